//! What is announced arrives.

use std::sync::Arc;

use crate::case::Case;
use crate::content::{Content, MIB};
use crate::entry::{Entry, name};

pub(super) fn cases() -> Vec<Case> {
    vec![Case::client(
        "fetch.announced-file",
        "SYNC-31 SYNC-10 FETCH-3",
        "A clone announces a file of several chunks and serves it honestly.",
        "the hub fetches it and reports it as `present` to the clone",
        |world| async move {
            let origin = world.second().await?;
            let content = Arc::new(Content::noise(2 * MIB + 17));
            let entry = Entry::file(&origin, &name("announced"), &content);
            world.give(&origin, &entry, &content).await
        },
    )]
}
