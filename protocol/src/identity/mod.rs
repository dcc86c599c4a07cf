//! Who is who: channels, hubs, replicas, and the records that tie them together.
//!
//! Owns: keys and their limits, ids derived from keys, base URLs, location records. Not here:
//! private keys, storage of any of it, the requests that carry a challenge.
//! Spec: ID-1 to ID-5, ID-7 to ID-10, ID-19.

mod key;
mod location;
mod url;

pub use key::{KeyError, PublicKey, portable_id, site_id};
pub use location::{Location, SignedLocation, VerifiedLocation};
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
