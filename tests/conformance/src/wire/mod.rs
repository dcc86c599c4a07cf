//! Bytes of the wire, good ones and bad ones.
//!
//! Owns: MessagePack of any shape, written and read without a type in mind; envelopes around it. Not here:
//! what a hub ought to say to it.
//! Invariant: whatever a case asks for is written, however wrong; what comes is read without mercy.

mod envelope;
mod read;
mod value;

pub use envelope::{Answer, Asked, Reply, hint, judge, message, open, seal};
pub use read::{ReadError, read, read_first};
pub use value::{Value, list, map};
