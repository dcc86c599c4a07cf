//! Claims that would cost a hub too much if it believed them.

use std::time::Duration;

use super::tools::{
    Turn, by_chunks, chunks, file, frames, has_too, holds, is_stream, noise, of_kind, presented,
};
use crate::case::{Case, Miss, need};
use crate::content::MIB;
use crate::desk::{self, end, frame};
use crate::http::{Response, Step};
use crate::wire::{Value, list};

pub(super) fn cases() -> Vec<Case> {
    vec![tebibyte(), length(), endless(), deep(), slow(), silent(), head_only(), many_small()]
}

fn tebibyte() -> Case {
    Case::client(
        "claims.tebibyte",
        "SYNC-13 SYNC-12 FILE-9",
        "A file of 1 TiB is announced whose digests nobody gives; a small one is announced after it.",
        "it is refused with `no-space` or `quota-exceeded`, or stored and wanted in vain; the small one arrives",
        |world| async move {
            let origin = world.second().await?;
            let (mut entry, content) = noise(&origin, "1 TiB", 34 * MIB);
            entry.row.set("filesize", 1u64 << 40);
            entry.data[0].set("size", 1u64 << 40);
            let reports = world.sync(&origin, vec![entry.operation("put")]).await?;
            let status = reports[0].text("status").unwrap_or_default();
            let full = [32, 33].contains(&reports[0].uint("code").unwrap_or(0));
            need(
                status == "stored" || status == "refused" && full,
                format_args!("it is {status}"),
            )?;
            let _ = content;
            let (small, bytes) = noise(&origin, "beside 1 TiB", 9_000);
            world.give(&origin, &small, &bytes).await?;
            holds(&world, &small, &bytes).await
        },
    )
}

fn length() -> Case {
    Case::client(
        "claims.content-length",
        "FETCH-10 FETCH-12",
        "The first answer claims 8 GiB in `Content-Length`, and ends after its first frame.",
        "what came is kept, and the rest asked for",
        |world| async move {
            let (origin, entry, content) = file(&world, "8 GiB", 500_000).await?;
            by_chunks(&origin, |turn, origin, incoming, packet| {
                let honest = desk::frames_of(origin, incoming, packet);
                let mut cut = frames(&honest[..1]).with("content-length", 8u64 << 30);
                cut.steps.push(Step::Cut);
                (turn == 0).then_some(cut)
            });
            world.give(&origin, &entry, &content).await?;
            need(presented(&origin) >= 2, "the hub did not ask again")?;
            holds(&world, &entry, &content).await
        },
    )
}

fn endless() -> Case {
    Case::client(
        "claims.endless",
        "FETCH-19 FETCH-14",
        "Behind what was asked for the first answer goes on with 64 MiB of frames.",
        "they do not count, and the hub has the right bytes",
        |world| async move {
            let (origin, entry, content) = file(&world, "endless", 20_000).await?;
            by_chunks(&origin, |turn, origin, incoming, packet| {
                let honest = desk::frames_of(origin, incoming, packet);
                let mut answer = frames(&honest[..1]).with("content-length", 65 * MIB);
                let more = frame(0, 1, 0, &vec![9; 262_144]);
                answer.steps.extend(std::iter::repeat_n(Step::Bytes(more), 256));
                answer.steps.push(Step::Bytes(end("done")));
                (turn == 0).then_some(answer)
            });
            world.give(&origin, &entry, &content).await?;
            holds(&world, &entry, &content).await
        },
    )
}

fn deep() -> Case {
    Case::client(
        "claims.deep",
        "PKT-3 SIGN-11",
        "The first answer to a `manifest-request` nests 20 arrays in a field that nobody knows.",
        "it is not taken; the pages are asked for again, and the content arrives",
        |world| async move {
            let (origin, entry, content) = file(&world, "deep", 33 * MIB).await?;
            let turn = Turn::default();
            let counted = turn.clone();
            origin.hook(move |origin, incoming| {
                let packet = of_kind(incoming, "manifest-request")?;
                if counted.next() > 0 {
                    return None;
                }
                let (_, body, _) =
                    crate::wire::open(&desk::answer(origin, incoming).body()).ok()?;
                let pages = body.at("pages").cloned().unwrap_or(Value::Nil);
                let deep = (0..20).fold(Value::Nil, |inner, _| list([inner]));
                Some(origin.reply(packet, "manifest-page", [("pages", pages), ("more", deep)]))
            });
            world.give(&origin, &entry, &content).await?;
            need(turn.count() >= 2, "an answer that is too deep was taken")
        },
    )
}

fn slow() -> Case {
    Case::client(
        "claims.slow-but-honest",
        "FETCH-10 FETCH-45",
        "An honest answer comes in pieces of 4 KiB with 5 ms between them.",
        "the hub waits for it, and does not ask twice",
        |world| async move {
            let (origin, entry, content) = file(&world, "slow", 400_000).await?;
            let turn = by_chunks(&origin, |_, origin, incoming, packet| {
                let honest = frames(&desk::frames_of(origin, incoming, packet));
                Some(honest.in_pieces(4096, &Step::Pause(Duration::from_millis(5))))
            });
            world.give(&origin, &entry, &content).await?;
            need(turn.count() == 1, format_args!("it asked {} times", turn.count()))?;
            holds(&world, &entry, &content).await
        },
    )
}

fn silent() -> Case {
    Case::client(
        "claims.silent",
        "FETCH-54 SYNC-11",
        "The clone that announced a file falls silent in the middle of each answer; another one has it.",
        "the hub has the right bytes from the other one, without an end of the silence",
        |world| async move {
            let (origin, entry, content) = file(&world, "silent", 3 * MIB).await?;
            origin.hook(|origin, incoming| {
                let wants = is_stream(incoming) || chunks(incoming).is_some();
                let honest = wants.then(|| desk::answer(origin, incoming))?;
                let len = honest.body().len();
                let mut silent = honest.with("content-length", len);
                let begin = silent.body().get(..1000)?.to_vec();
                silent.steps = vec![Step::Bytes(begin), Step::Silence];
                Some(silent)
            });
            let other = world.second().await?;
            world.sync(&origin, vec![entry.operation("put")]).await?;
            has_too(&other, &entry, &content).await?;
            // A hub may wait for a silent one longer than for anything else.
            for _ in 0..5 {
                if world.present(&other, &entry, &content).await.is_ok() {
                    return holds(&world, &entry, &content).await;
                }
            }
            Err(Miss::from("the hub waits for the silent clone"))
        },
    )
}

fn head_only() -> Case {
    Case::client(
        "claims.head-only",
        "FETCH-10 FETCH-12",
        "The first answer holds the head of a frame of 262,144 bytes and nothing behind it.",
        "no byte of it counts; the hub asks again, and has the right bytes",
        |world| async move {
            let (origin, entry, content) = file(&world, "a head", 300_000).await?;
            by_chunks(&origin, |turn, origin, incoming, packet| {
                let honest = frames(&desk::frames_of(origin, incoming, packet));
                (turn == 0).then(|| honest.cut_after(9))
            });
            world.give(&origin, &entry, &content).await?;
            holds(&world, &entry, &content).await
        },
    )
}

fn many_small() -> Case {
    Case::client(
        "claims.bundle",
        "STREAM-8 FETCH-1",
        "Sixty files of 2 KiB are announced in one packet.",
        "they come in fewer than thirty requests, none of more than 256 items or 1024 chunks",
        |world| async move {
            let origin = world.second().await?;
            let files: Vec<_> = (0..60).map(|_| noise(&origin, "one of sixty", 2_048)).collect();
            by_chunks(&origin, |_, _, _, _| None::<Response>);
            for (_, content) in &files {
                origin.serve(content);
            }
            world
                .sync(&origin, files.iter().map(|(entry, _)| entry.operation("put")).collect())
                .await?;
            for (entry, content) in &files {
                world.present(&origin, entry, content).await?;
            }
            for incoming in origin.inbox() {
                let Some(packet) = chunks(&incoming) else { continue };
                let items = packet.body.list("items").len();
                need(items <= 256, format_args!("a request has {items} items"))?;
            }
            let count = presented(&origin);
            need(count < 30, format_args!("sixty small files took {count} requests"))
        },
    )
    .should()
}
