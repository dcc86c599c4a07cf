//! Fresh ids and versions for what is done here.
//!
//! Spec: SYNC-20, SYNC-22, SYNC-23.

use uuid::Uuid;
use zotferry_protocol::codec;
use zotferry_protocol::ids::{Millis, OpId, ReplicaId, ResourceId};
use zotferry_protocol::version::{Hlc, Version};

use crate::catalog::{Author, CatalogError, VersionBytes};

/// The author of one transaction.
pub(super) struct Here {
    pub(super) replica: ReplicaId,
    pub(super) now: Millis,
}

impl Author for Here {
    fn resource(&mut self) -> ResourceId {
        ResourceId::new(Uuid::new_v4().to_string()).expect("a UUID is a resource id")
    }

    fn operation(&mut self) -> OpId {
        // PKT-21: made once; deliveries repeat it.
        OpId(Uuid::now_v7().into_bytes())
    }

    fn version(
        &mut self,
        previous: Option<&VersionBytes>,
        hlc: &mut u64,
    ) -> Result<VersionBytes, CatalogError> {
        let previous: Option<Version> = previous
            .map(|bytes| codec::decode_owned(&bytes.0))
            .transpose()
            .map_err(|e| CatalogError::Corrupt(format!("a version: {e}")))?;
        // Above everything this channel has seen, not only above what this register had.
        let now = Hlc::after(Hlc(*hlc), self.now).millis().max(self.now);
        let version = Version::edit(previous.as_ref(), self.replica, now)
            .map_err(|e| CatalogError::Corrupt(e.to_string()))?;
        *hlc = (*hlc).max(version.hlc().0);
        Ok(VersionBytes(codec::encode(&version)))
    }
}
