//! How many images are decoded at once.
//!
//! Owns: the bound on their memory, and that one image is decoded by one at a time. Not here: images.
//! Invariant: all images in hand together take no more memory than the bound; one that needs more than
//! that is alone.

use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard, OwnedSemaphorePermit, Semaphore};
use zotferry_protocol::ids::Digest;

/// Memory for all images in hand, in MiB.
const BOUND: u32 = 512;
/// Images that are looked after at once.
const LANES: usize = 16;

/// The turn of each image.
pub struct Decoding {
    memory: Arc<Semaphore>,
    lanes: [Mutex<()>; LANES],
}

impl Default for Decoding {
    fn default() -> Self {
        Self {
            memory: Arc::new(Semaphore::new(BOUND as usize)),
            lanes: std::array::from_fn(|_| Mutex::default()),
        }
    }
}

impl Decoding {
    /// The turn of the image with this root: who comes second finds what the first has made.
    pub async fn turn(&self, root: &Digest) -> MutexGuard<'_, ()> {
        self.lanes[usize::from(root.0[0]) % LANES].lock().await
    }

    /// Waits until so many bytes may be used. Goes along with the work, also when nobody waits for it.
    pub async fn memory(&self, bytes: u64) -> OwnedSemaphorePermit {
        let mib = u32::try_from(bytes >> 20).unwrap_or(BOUND).saturating_add(1).min(BOUND);
        let memory = Arc::clone(&self.memory);
        memory.acquire_many_owned(mib).await.expect("the semaphore is never closed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PHOTO-6: what is in hand stays below the bound, whatever is asked for.
    #[tokio::test]
    async fn images_wait_for_each_others_memory() {
        let decoding = Decoding::default();
        let large = decoding.memory(300 << 20).await;
        let small = decoding.memory(100 << 20).await;
        let mut third = std::pin::pin!(decoding.memory(150 << 20));
        assert!(futures_util::poll!(third.as_mut()).is_pending());
        drop(small);
        let third = third.await;
        let mut huge = std::pin::pin!(decoding.memory(u64::MAX));
        drop(large);
        assert!(futures_util::poll!(huge.as_mut()).is_pending());
        drop(third);
        drop(huge.await);
    }
}
