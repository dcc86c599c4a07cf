//! The Zot file protocol: what the packets are and what the rules say.
//!
//! Owns: bytes and rules. Not here: clocks, randomness, tasks, disks, sockets; time comes in as a
//! parameter, effects go out as values, so that a whole lossy network runs in a unit test.
//! Spec: every chapter of `spec/`.

pub mod codec;
pub mod conflict;
pub mod envelope;
pub mod frames;
#[doc(hidden)]
pub mod fuzz;
pub mod identity;
pub mod ids;
pub mod manifest;
pub mod merkle;
pub mod pacing;
pub mod packets;
pub mod path;
pub mod photo;
pub mod places;
pub mod raw;
pub mod refusal;
pub mod restore;
mod strict;
pub mod transfer;
pub mod trie;
pub mod version;
