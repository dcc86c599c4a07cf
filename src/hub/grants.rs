//! Capabilities that were presented: verified once, asked again at each presentation.
//!
//! Owns: what a signed chunk-request was found to be, how often and how much it was used. Not here:
//! whether its asker is still a clone (asked each time by the handler).
//! Invariant: bounded: a grant goes when it expires, and there are at most [`MAX_GRANTS`].
//! Spec: FETCH-9, FETCH-25 to FETCH-27.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use zotferry_protocol::envelope::Header;
use zotferry_protocol::ids::Millis;
use zotferry_protocol::packets::ChunkRequest;
use zotferry_protocol::refusal::{Code, Refusal};

/// Most grants remembered; beyond, the one that expires first is verified again when it comes.
const MAX_GRANTS: usize = 1024;
/// FETCH-26: most answers to one capability at the same time.
const MAX_PARALLEL: u32 = 8;
/// FETCH-27: content bytes per capability: this many times what it names, and some air.
const MAX_TIMES: u64 = 4;
const AIR: u64 = 16 << 20;

/// A capability whose signature holds.
#[derive(Debug)]
pub struct Grant {
    /// Who may present it, and until when.
    pub header: Header,
    /// What for.
    pub request: ChunkRequest,
    in_flight: AtomicU32,
    served: AtomicU64,
}

/// One answer in the making; counted until it is dropped.
#[derive(Debug)]
pub struct Presented(pub Arc<Grant>);

impl Drop for Presented {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

impl Grant {
    /// FETCH-26, FETCH-27, QUEUE-10: one more answer, unless there are too many or they gave too much.
    pub fn present(self: &Arc<Self>, asked: u64) -> Result<Presented, Refusal> {
        if self.served.load(Relaxed) > asked.saturating_mul(MAX_TIMES).saturating_add(AIR) {
            let text = "this capability has been used up; sign another";
            return Err(Refusal::with(Code::TooMany, text));
        }
        if self.in_flight.fetch_add(1, Relaxed) >= MAX_PARALLEL {
            self.in_flight.fetch_sub(1, Relaxed);
            return Err(Refusal::with(Code::TooMany, "too many answers at once").after(1));
        }
        Ok(Presented(Arc::clone(self)))
    }

    /// Counts content bytes that were sent for it.
    pub fn sent(&self, bytes: u64) {
        self.served.fetch_add(bytes, Relaxed);
    }
}

/// The grants of one hub, by the SHA-256 of the capability's bytes.
#[derive(Debug, Default)]
pub struct Grants(Mutex<HashMap<[u8; 32], Arc<Grant>>>);

impl Grants {
    /// What these bytes were found to be, if they were here and count still.
    pub fn find(&self, packet: &[u8], now: Millis) -> Option<Arc<Grant>> {
        let grants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let grant = grants.get(&<[u8; 32]>::from(Sha256::digest(packet)))?;
        (now <= grant.header.expires).then(|| Arc::clone(grant))
    }

    /// Remembers what these bytes are.
    pub fn keep(&self, packet: &[u8], header: Header, request: ChunkRequest) -> Arc<Grant> {
        let key = <[u8; 32]>::from(Sha256::digest(packet));
        let (at, in_flight, served) = (header.at, AtomicU32::new(0), AtomicU64::new(0));
        let grant = Arc::new(Grant { header, request, in_flight, served });
        let mut grants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        grants.retain(|_, g| g.header.expires >= at);
        if grants.len() >= MAX_GRANTS {
            let first = grants.iter().min_by_key(|(_, g)| g.header.expires).map(|(k, _)| *k);
            first.map(|key| grants.remove(&key));
        }
        // Another presentation may have come first; its counts go on.
        Arc::clone(grants.entry(key).or_insert(grant))
    }
}
