//! Hubs that take another key of the channel from whom they must not, or not from whom they must.

use zotferry_conformance::wire::{Value, list, read};

use super::{Mutant, says, takes};
use crate::front::Asked;

pub(super) fn mutants() -> Vec<Mutant> {
    vec![
        says("takes no rotation from a clone", &["rotation.from-a-clone"], |front, _, response| {
            front.edit_answer(response, |body, _| {
                if body.text("type") == Some("locations") {
                    body.set("rotations", list(Vec::<Value>::new()));
                }
            })
        }),
        takes(
            "takes the rotation of who introduces himself by it",
            &["rotation.shown-by-a-stranger"],
            |front, request| {
                let keys = front.keys();
                let request = front.edit_body(request, |body| {
                    if body.text("type") == Some("locations") {
                        body.set("records", list(Vec::<Value>::new()));
                    }
                });
                Asked::Pass(front.edit_envelope(request, |envelope| {
                    let place = envelope.bin("location").and_then(|bytes| read(bytes).ok());
                    let shown = place.filter(|place| !place.list("rotations").is_empty());
                    let Some(mut place) = shown else { return };
                    let record = place.bin("record").unwrap_or_default();
                    let text = [b"zot-file-location\n", record].concat();
                    place.remove("rotations").set("channel_sig", keys.channel.sign(&text));
                    envelope.set("location", place.bytes());
                }))
            },
        ),
    ]
}
