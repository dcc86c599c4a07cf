//! Finds out what this hub and the other clones of a channel disagree about, and makes them agree.
//!
//! Owns: when comparisons run, what is done about what they find. Not here: sums and lists of the
//! own catalog (`catalog`), answering other clones that compare (`packets`).
//! Invariant: what a comparison changes, it changes as deliveries do: every register by its version.
//! So it can be cut off at any point, run beside deliveries, and be repeated.
//! Spec: AUDIT-5 to AUDIT-18.
//!
//! | file | knows |
//! |---|---|
//! | `walk.rs` | from the sum of everything down to the leaves that differ |
//! | `compare.rs` | one comparison with one clone, and its account |
//! | `repair.rs` | asking for entries, delivering entries |
//! | `background.rs` | which clone is compared when |
//! | `scrub.rs` | reading files again |

mod background;
mod compare;
mod repair;
mod scrub;
mod walk;

pub use background::run;
pub use compare::{Account, Mode, compare};
pub use scrub::{Checked, Pace, ScrubError, check_files, run as scrub, scrub_pass};
