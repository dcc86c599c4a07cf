//! Cases in which the hub under test is asked: we are the clone.
//!
//! Owns: the list of these cases, one file for each group.

mod envelope;

use crate::case::Case;

/// All of them.
pub fn cases() -> Vec<Case> {
    envelope::cases()
}
