//! Zotferry carries a channel's files between its clones.
//!
//! The rules of the wire are in [`zotferry_protocol`]; this crate is the hub that lives by them.

pub mod catalog;
pub mod chunker;
pub mod queue;
pub mod storage;
