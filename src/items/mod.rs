//! Items: posts, comments and likes that sit on entries, translated to where they are shown.
//!
//! Owns: rows between JSON and what travels, whose an item is, translating and signing again, merging
//! received ones. Not here: which URLs point to the channel (`translate`), rows of the catalog, how
//! a person hands items over (`files`).
//! Invariant: `mid` and `uuid` of an item never change, nor a byte of a row that others wrote;
//! translating and signing again make no version.
//!
//! | file | knows |
//! |---|---|
//! | `captured.rs` | items in the JSON of hub software: one, a list, a whole sync packet |
//! | `row.rs` | the fields of a row that this hub looks at |
//! | `home.rs` | the channel's home here, and whose things are that a row names |
//! | `described.rs` | an item as hub software and people are told of it |
//! | `shown.rs` | a row as this hub shows it; signing again |
//! | `merge.rs` | items of a packet: made ready before its transaction, merged within |
//!
//! Spec: ITEM-3, ITEM-5 to ITEM-12.

mod captured;
mod described;
mod home;
mod merge;
mod row;
mod shown;
#[cfg(test)]
mod tests;

use zotferry_protocol::refusal::Refusal;

use crate::catalog::CatalogError;
use crate::hub::HubError;

pub use captured::{Captured, Handed, NoItem, Relocate};
pub use described::{Described, described, path_of};
pub use home::here;
pub use merge::{Prepared, merge, prepare, wire};
pub use row::{attached, author, set_field};
pub use shown::{kept, resigned, shown};

/// Why something cannot be done with an item.
#[derive(Debug, thiserror::Error)]
pub enum ItemError {
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The channel's key.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// A row or version that does not hold together.
    #[error("an item: {0}")]
    Row(String),
    /// A worker thread was lost.
    #[error("a worker thread ended: {0}")]
    Worker(#[from] tokio::task::JoinError),
}

impl From<Refusal> for ItemError {
    fn from(refusal: Refusal) -> Self {
        Self::Row(refusal.to_string())
    }
}
