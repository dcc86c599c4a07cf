//! The conformance suite, tried: our own hub keeps every case, and hubs that are broken on purpose are caught.
//!
//! Owns: a hub run by the real binary, a front before it that spoils what passes. Not here: the cases
//! (`tests/conformance/`), which know nothing of this hub.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod front;
mod harness;
mod mutants;
mod ours;
mod reports;
