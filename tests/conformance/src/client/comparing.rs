//! What a hub does about what it finds when it compares itself with a clone.
//!
//! Spec: AUDIT-10, AUDIT-11, ITEM-8, SYNC-31.

use crate::announced::about;
use crate::case::{Case, need};
use crate::comparison::hub_has;
use crate::wire::Value;

pub(super) fn cases() -> Vec<Case> {
    vec![merged(), not_again(), items_in_parts()]
}

fn merged() -> Case {
    Case::client(
        "comparing.merged",
        "AUDIT-11 SYNC-24 SYNC-31",
        "The hub compares itself with a clone that has a file more, and a later name of a folder.",
        "it asks for both, has them as the clone has them, under its versions, fetches the file's content and reports it to \
         every clone",
        |world| async move {
            let found = world.comparison().await?;
            need(
                hub_has(&world, &found.file.entry).await?,
                "the hub does not have the file as the clone has it",
            )?;
            need(hub_has(&world, &found.renamed).await?, "the folder's later name was not merged")?;
            for (who, clone) in
                [("the clone that has it", &found.clone), ("another clone", world.me())]
            {
                need(found.arrived(clone), format_args!("the content is not reported to {who}"))?;
            }
            Ok(())
        },
    )
}

fn not_again() -> Case {
    Case::client(
        "comparing.not-announced",
        "AUDIT-11",
        "The same; afterwards the hub has something of its own to announce.",
        "that is announced to every clone, and nothing about the file or the folder",
        |world| async move {
            let found = world.comparison().await?;
            for (who, clone) in
                [("the clone that has it", &found.clone), ("another clone", world.me())]
            {
                for entry in [&found.file.entry, &found.renamed] {
                    let (count, name) = (about(clone, entry.hash()).len(), entry.filename());
                    need(
                        count == 0,
                        format_args!("{name:?} is announced to {who}, {count} times"),
                    )?;
                }
            }
            Ok(())
        },
    )
}

fn items_in_parts() -> Case {
    Case::client(
        "comparing.items-in-parts",
        "ITEM-8 PKT-3 PKT-21",
        "The same; the clone lacks a folder on which there are six posts of 400,000 bytes, of which two fit a packet.",
        "the folder is announced in several operations with one `id`, one `attach` and no `data`; each post comes, byte by byte",
        |world| async move {
            let found = world.comparison().await?;
            let told = about(&found.clone, found.lacking.hash());
            need(!told.is_empty(), "what the clone lacks is not announced to it")?;
            let lost = found.lost_posts();
            need(
                lost.is_empty(),
                format_args!("{} of {} posts do not come", lost.len(), found.posts.len()),
            )?;
            need(told.len() >= 3, format_args!("six posts in {} packets", told.len()))?;
            for field in ["id", "attach"] {
                let same = told.iter().all(|op| op.at(field) == told[0].at(field));
                need(same, format_args!("the operations differ in `{field}`"))?;
            }
            let data = told.iter().all(|operation| operation.list("data").is_empty());
            need(data, "a folder comes with `data`")?;
            for post in &found.posts {
                let is = |item: &&Value| item.text("mid") == post.text("mid");
                let mut came = told.iter().flat_map(|op| op.list("item")).filter(is);
                let same = came.all(|item| item.bin("row") == post.bin("row"));
                need(same, "a post comes with another row")?;
            }
            Ok(())
        },
    )
}
