//! Backups as folders: written, killed half-way, damaged, mended.
#![allow(missing_docs, reason = "a test binary")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod damage;
mod hostile;
mod sample;
mod writing;
