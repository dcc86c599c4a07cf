//! What is done to metadata that anybody uploads, as a function that any bytes may be given to.

use crate::Metadata;

/// What is taken is the same after a round through its bytes.
pub fn metadata(bytes: &[u8]) {
    let Ok(metadata) = Metadata::decode(bytes) else { return };
    let again = Metadata::decode(&metadata.encode());
    assert_eq!(again.ok(), Some(metadata));
}
