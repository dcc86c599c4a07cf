//! What a packet is: one enum, one file per type.
//!
//! Owns: the fields of each type and their limits. Not here: what a hub does with them.
//! Spec: PKT-6 to PKT-8 and each type's chapter.

mod attach;
mod audit;
mod challenge;
mod chunk_request;
mod clone_sync;
mod item;
mod locations;
mod manifest;
mod photo;
mod refusal;
mod row;
mod stream_request;
mod sync_report;

pub use attach::{AttachRow, BadRow, is_name};
pub use audit::{
    AuditAnswer, AuditPage, AuditRange, AuditRequest, EntryRequest, LISTED, MAX_KEYS, MAX_RANGES,
};
pub use challenge::Challenge;
pub use chunk_request::{ChunkItem, ChunkRequest, MAX_CHUNKS_ASKED, MAX_ITEMS};
pub use clone_sync::{
    AttachEntry, CloneSync, Data, MAX_OPERATIONS, MAX_PARENTS, Op, Operation, Source,
};
pub use item::{Item, ItemRow, MAX_ITEM};
pub use locations::Locations;
pub use manifest::{ManifestItem, ManifestPage, ManifestPages, ManifestRequest, PageRefused};
pub use photo::{BadPhoto, PhotoRow};
pub use refusal::RefusalPacket;
pub use row::without_local;
pub use stream_request::StreamRequest;
pub use sync_report::{OpReport, OpStatus, PresentData, SyncReport};

use serde::Serialize;

use crate::codec;
use crate::refusal::{Code, Refusal};

macro_rules! packets {
    ($( $name:ident($fields:ty) = $kind:literal; )*) => {
        /// Every packet that this version knows.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        #[serde(untagged)]
        #[allow(missing_docs, reason = "each type's own page says what it is")]
        pub enum Packet {
            $( $name($fields), )*
        }

        impl Packet {
            /// The `type` field.
            pub fn kind(&self) -> &'static str {
                match self { $( Self::$name(_) => $kind, )* }
            }

            /// PKT-6, PKT-7, PKT-8: the fields of a type out of a body that has been verified; others are ignored.
            pub(crate) fn decode(kind: &str, body: &[u8]) -> Result<Self, Refusal> {
                match kind {
                    $( $kind => {
                        let fields: $fields = codec::decode_owned(body)?;
                        fields.check()?;
                        Ok(Self::$name(fields))
                    } )*
                    other => Err(Refusal::with(Code::UnknownType, other)),
                }
            }
        }

        $( impl From<$fields> for Packet {
            fn from(fields: $fields) -> Self {
                Self::$name(fields)
            }
        } )*
    };
}

packets! {
    CloneSync(CloneSync) = "clone-sync";
    SyncReport(SyncReport) = "sync-report";
    ManifestRequest(ManifestRequest) = "manifest-request";
    ManifestPages(ManifestPages) = "manifest-page";
    ChunkRequest(ChunkRequest) = "chunk-request";
    StreamRequest(StreamRequest) = "stream-request";
    Locations(Locations) = "locations";
    Challenge(Challenge) = "challenge";
    AuditRequest(AuditRequest) = "audit-request";
    AuditPage(AuditPage) = "audit-page";
    EntryRequest(EntryRequest) = "entry-request";
    Refusal(RefusalPacket) = "refusal";
}
