//! What the hub under test must not tell, in whatever it sends.
//!
//! Spec: ID-32.

use super::tools::file;
use crate::case::{Case, need};
use crate::wire::{Value, list};

pub(super) fn cases() -> Vec<Case> {
    vec![private_key()]
}

fn private_key() -> Case {
    Case::client(
        "secrets.private-key",
        "ID-32",
        "A clone comes in, asks for the locations, announces a file and is asked for it; all that the hub has sent in this run \
         is searched for the channel's private key, as bytes, in hexadecimal and in base64.",
        "nothing of the key is in it",
        |world| async move {
            let (origin, entry, content) = file(&world, "no secret", 9_000).await?;
            let none = list(Vec::<Value>::new());
            origin.ask(&origin.packet("locations", [("records", none)])).await?;
            world.give(&origin, &entry, &content).await?;
            let watch = &world.shared().watch;
            need(watch.seen() >= 5, format_args!("{} bodies were seen", watch.seen()))?;
            match watch.found() {
                None => Ok(()),
                Some(what) => Err(format!("a part of the private key is in {what}").into()),
            }
        },
    )
}
