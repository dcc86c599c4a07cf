//! A channel's files as a plain folder, outside of any hub.
//!
//! Owns: the format (`spec/backup.md`): writing it, reading it, finding and mending damage. Not here:
//! where entries and bytes come from, and where they go (a hub; `zotferry_backup_client`).
//! Invariant: nothing in a backup is believed because of its name: metadata, index and chunks are
//! compared with digests that lead to the channel's signature. Memory never grows with the number of
//! entries or the size of a file. Whatever only some systems have is in `platform`.
//! Spec: BACKUP-1 to BACKUP-24.

mod answers;
mod chunks;
mod coming;
mod content;
mod entry;
mod error;
mod extras;
mod finding;
mod folder;
#[doc(hidden)]
pub mod fuzz;
mod header;
mod index;
mod mend;
mod platform;
mod rows;
mod settle;
mod text;
mod verify;
mod writer;

pub use answers::{Awaited, Came, Standing, Taken};
pub use chunks::{ChunkFault, Reading, read_chunk};
pub use coming::{Coming, Group, RestoreEvent, Restored, groups};
pub use content::{Content, Digests, EMBEDDED, INLINE};
pub use entry::{MAX_METADATA, Metadata, embeds};
pub use error::BackupError;
pub use extras::{Extra, extras, prune};
pub use finding::{Finding, Part, Sums, Trouble};
pub use folder::{Backup, Lock};
pub use header::{Header, Identity, Signer};
pub use index::{Index, Kind, Line, LineData};
pub use mend::{Mended, Pieces, mend};
pub use rows::{row_from_json, row_to_json};
pub use text::Text;
pub use verify::{Mender, verify};
pub use writer::{Placed, Writer};
