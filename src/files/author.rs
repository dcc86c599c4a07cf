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
            .map_err(CatalogError::Unchangeable)?;
        *hlc = (*hlc).max(version.hlc().0);
        Ok(VersionBytes(codec::encode(&version)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// SYNC-21: an entry whose counters a clone used up says so; the catalog is not damaged.
    #[test]
    fn used_up_counters_are_no_damage() {
        let replica = ReplicaId([1; 8]);
        let last = BTreeMap::from([(replica, i64::MAX as u64)]);
        let last = Version::new(last, Hlc(1 << 20), replica).expect("the last version");
        let last = VersionBytes(codec::encode(&last));
        let mut here = Here { replica, now: Millis(1_800_000_000_000) };
        let error = here.version(Some(&last), &mut 0).expect_err("no more");
        assert!(matches!(error, CatalogError::Unchangeable(_)), "{error}");
        let mut other = Here { replica: ReplicaId([2; 8]), ..here };
        other.version(Some(&last), &mut 0).expect("another replica goes on");
    }
}
