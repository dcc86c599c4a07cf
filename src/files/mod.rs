//! File operations that a person does on this hub.
//!
//! Owns: the way of a put from a path to the catalog, files that are adopted, edits by path. Not here: hashing and storing (`chunker`),
//! telling the clones (`clone_sync`).
//! Invariant: a file is in the catalog only when its bytes are durable; a put that fails half-way
//! leaves the old file as it was.
//! Spec: SYNC-3, SYNC-6.

mod adopt;
mod author;
mod edit;
mod group;
mod items;
mod photo;
mod put;
mod walk;

pub use crate::catalog::{Became, Brought, EditError, MetaChange, Renamed, RoleContent};
pub use adopt::{Adopting, Keeping, adopt};
pub use edit::{
    About, bring, copy, make_dirs, mkdir, put_content, remove, rename, set_meta, set_sight_below,
};
pub use group::{Group, GroupError, NewContent, NewFile};
pub use items::{AddItemsError, ELSEWHERE, ItemsAdded, add_items, remove_item};
pub use photo::{PhotoSet, SetPhotoError, album, set_photo};
pub use put::{PutError, PutEvent, Way, enter, local_put, put, word};
pub use walk::{Found, Skipped, walk, walk_inside};
