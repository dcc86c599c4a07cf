//! Who is who: channels, hubs, replicas, and the records that tie them together.
//!
//! Owns: keys and their limits, ids derived from keys, base URLs, location records, rotations of a
//! channel's key, notices. Not here: private keys, storage of any of it, the requests that carry a
//! challenge.
//! Spec: ID-1 to ID-5, ID-7 to ID-10, ID-19, ID-24 to ID-29, ID-35 to ID-37.

mod chain;
mod key;
mod location;
mod notice;
mod rotation;
mod url;

pub use chain::{KeyChain, MAX_ROTATIONS, Standing};
pub use key::{KeyError, PublicKey, portable_id, site_id};
pub use location::{Introduction, Location, SignedLocation, VerifiedLocation};
pub use notice::{Notice, SignedNotice, VerifiedNotice};
pub use rotation::{Rotation, SignedRotation, VerifiedRotation};
pub use url::{BaseUrl, UrlError};

/// Something that signs for one key. Where the private key lives is the implementor's affair.
pub trait Signer: Send + Sync {
    /// The PKCS#1 v1.5 signature with SHA-256 over `message` (RFC 8017, section 8.2).
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// The private key could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("signing failed: {0}")]
pub struct SignError(pub String);
