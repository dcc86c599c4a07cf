//! What refusals say, and what they must not.
//!
//! Spec: REF-7, REF-3, ID-14, FETCH-26.

use super::identity::mute;
use crate::case::{Case, Miss, need};
use crate::content::Content;
use crate::keys::random;
use crate::wire::{Answer, Reply, Value, list, map, read};
use crate::world::World;

pub(super) fn cases() -> Vec<Case> {
    vec![no_more_than_asked(), alike()]
}

/// The text of an answer that has to be a refusal, signed or not.
fn text(answer: &Answer) -> Result<String, Miss> {
    let signed = read(&answer.body).and_then(|envelope| {
        let body = read(envelope.bin("body").unwrap_or_default())?;
        Ok(body.text("text").unwrap_or_default().to_owned())
    });
    let text = signed.unwrap_or_else(|_| String::from_utf8_lossy(&answer.body).into_owned());
    need(answer.status >= 400, format_args!("{} is no refusal", answer.shown()))?;
    Ok(text)
}

/// Whether a text names a place on a disk: an absolute path of two names, or one with a drive.
fn names_a_path(text: &str) -> bool {
    let parts = text.split(|c: char| c.is_whitespace() || "`'\"(),;".contains(c));
    parts.into_iter().any(|part| {
        let unix = part.starts_with('/') && part[1..].contains('/') && !part.starts_with("/zot/");
        let windows = part.get(1..3).is_some_and(|next| next == ":\\");
        unix || windows
    })
}

/// Requests that must be refused, each as it is sent by whom.
async fn provoked(world: &World) -> Result<Vec<Answer>, Miss> {
    let (me, library) = (world.me(), world.library().await?);
    let stranger = mute(world).await?;
    let place = stranger.state(&stranger.place());
    let hello = stranger.packet("locations", [("records", list([place.clone()]))]);
    stranger.introduce(&hello, &place).await?;
    let known = list([library.several.chunks(0, 1)]);
    let absent = map([
        ("resource", library.byte.entry.hash().into()),
        ("role", "file".into()),
        ("root", random::<32>().into()),
        ("first", 0u64.into()),
        ("count", 1u64.into()),
    ]);
    let other_channel = me.packet("challenge", [("nonce", random::<32>().into())]);
    let other_channel =
        other_channel.with("from.channel", "C".repeat(86)).with("to.channel", "C".repeat(86));
    let keys = list([random::<32>()]);
    let packets = [
        (&stranger, stranger.packet("chunk-request", [("items", known)])),
        (me, me.packet("manifest-request", [("items", list([absent]))])),
        (me, other_channel),
        (me, me.packet("entry-request", [("keys", keys)])),
        (me, me.packet("challenge", [("nonce", 7u64.into())])),
        (me, me.packet("shred", [])),
    ];
    let mut answers = Vec::new();
    for (actor, body) in packets {
        answers.push(actor.post(actor.seal(&body).bytes(), &[]).await?);
    }
    answers.push(me.post(b"no packet".to_vec(), &[]).await?);
    let stream =
        format!("/zot/file/{}/file/{}", library.byte.entry.hash(), hex::encode(random::<32>()));
    answers.push(me.exchange("GET", &stream, &[], Vec::new()).await?);
    // The page of an item that is not there is refused within an answer.
    answers.retain(|answer| answer.status >= 400);
    need(answers.len() >= 6, format_args!("{} refusals", answers.len()))?;
    Ok(answers)
}

fn no_more_than_asked() -> Case {
    Case::server(
        "refusals.no-more-than-asked",
        "REF-7 REF-3",
        "A hub that is not listed asks for chunks of a file; a clone asks for what is not there, in another channel's name, with \
         a wrong field, a type that nobody knows, no packet at all.",
        "no text of a refusal names a path of a disk, a file of the channel, or another hub; none has a control character",
        |world| async move {
            let library = world.library().await?;
            let mut secret: Vec<String> =
                library.all().iter().map(|book| book.entry.filename().to_owned()).collect();
            secret.extend([world.me().url().to_owned(), world.me().site().to_owned()]);
            for answer in provoked(&world).await? {
                let text = text(&answer)?;
                let line = text.strip_suffix('\n').unwrap_or(&text);
                need(
                    !line.chars().any(char::is_control),
                    format_args!("{line:?} has a control character"),
                )?;
                need(!names_a_path(line), format_args!("{line:?} names a path"))?;
                let named = secret.iter().find(|secret| line.contains(secret.as_str()));
                need(named.is_none(), format_args!("{line:?} names {named:?}"))?;
            }
            Ok(())
        },
    )
}

fn alike() -> Case {
    Case::server(
        "refusals.alike",
        "REF-7 ID-14",
        "A hub that is not listed asks for chunks of a file of the channel, and for chunks of one that never was.",
        "both refusals have the same code, text and status",
        |world| async move {
            let book = &world.library().await?.several;
            let stranger = mute(&world).await?;
            let place = stranger.state(&stranger.place());
            let hello = stranger.packet("locations", [("records", list([place.clone()]))]);
            stranger.introduce(&hello, &place).await?;
            let nowhere = Content::noise(10);
            let made_up = map([
                ("resource", "conformance-nowhere".into()),
                ("role", "file".into()),
                ("root", nowhere.root.into()),
                ("ranges", book.chunks(0, 1).at("ranges").cloned().unwrap_or(Value::Nil)),
            ]);
            let ask = async |item: Value| {
                let body = stranger.packet("chunk-request", [("items", list([item]))]);
                match stranger.ask(&body).await? {
                    Reply::Refusal { code, body } => {
                        Ok((code, body.text("text").unwrap_or_default().to_owned()))
                    }
                    other => Err(Miss::Failed(other.shown())),
                }
            };
            let mut said = [ask(book.chunks(0, 1)).await?, ask(made_up.clone()).await?];
            if said[0].0 == 30 && said[1].0 == 25 {
                // ID-14: the hub's challenge has failed between the two.
                said[0] = ask(book.chunks(0, 1)).await?;
            }
            need(said[0] == said[1], format_args!("{:?} and {:?}", said[0], said[1]))
        },
    )
}
