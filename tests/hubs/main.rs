//! Whole hubs in one process, talking over loopback.
#![allow(missing_docs, reason = "a test binary")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod harness;
mod path;
mod sweep;
