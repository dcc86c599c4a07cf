"""Edits on one hub until they are durable on its clone: everything that a sync takes is in it."""

import os
import shutil
import time

import report
from hubs import Hub, NICK, Pair, wait
from peers import Sample, cpu, peak

MIB = 1 << 20


def joined(program, work, name, settings):
    """Two running hubs of one channel that know each other; one little file has been through."""
    pair = Pair(program, work, name, settings)
    pair.origin.start()
    local = pair.origin.local
    local.ask("/channel/new", {"nick": NICK})
    first = work / "first.txt"
    first.write_text("a first file")
    pair.origin.put(first)
    pair.identity = pair.origin.folder.with_name(f"{name}.id")
    pair.origin.run("channel", "export", NICK, pair.identity)
    # Processes whose peaks say nothing about the passphrase.
    pair.origin.stop()
    pair.origin.start()
    pair.clone = Hub(program, work / f"{name}-clone", settings)
    pair.clone.run("channel", "import", pair.identity)
    pair.clone.start()
    arrives(pair, 1, 60)
    return pair


def arrives(pair, files, patience=1800):
    def there():
        pair.total = {"files": files}
        return bool(pair.clone.status()["channels"]) and pair.arrived()
    wait(there, patience, 0.02)


def put_to_commit(args, folder, mode, keep):
    """A contender: a fresh pair, from the first put to the last commit on the clone."""
    made = []

    def go():
        pair = joined(args.zotferry, args.work, f"sync-{len(made)}-{mode[0]}", mode[1])
        made.append(pair)
        hubs = (pair.clone, pair.origin)
        counts, used = [h.counts() for h in hubs], [cpu(h.pid) for h in hubs]
        begin = time.time()
        pair.origin.put(folder)
        arrives(pair, args.files + 1)
        after = [h.counts() for h in hubs]
        sample = Sample(
            wall=after[0]["last_commit_ms"] / 1000 - begin,
            cpu=tuple(cpu(h.pid) - u for h, u in zip(hubs, used)),
            rss=tuple(peak(h.pid) for h in hubs),
            counts={k: sum(a[k] - c[k] for a, c in zip(after, counts)) for k in after[0]},
            size=args.files * (10 << 10),
        )
        if not pair.clone.matches(folder, [p.relative_to(folder) for p in folder.rglob("*.bin")]):
            raise RuntimeError("the clone differs from the source")
        for hub in hubs:
            hub.stop()
        keep.append(pair)
        return sample
    return go


def per_32_files(results, files):
    """Requests and signatures of both hubs for each 32 files; the median of the rounds."""
    rows = []
    for name, samples in results.items():
        if samples[0].counts:
            middle = lambda key: sorted(s.counts[key] for s in samples)[len(samples) // 2]
            rows.append([name, *(f"{middle(k) * 32 / files:.2f}" for k in ("requests", "signatures"))])
    return report.table(["how", "requests per 32 files", "signatures per 32 files"], rows)


def on_the_wire():
    """Bytes that the loopback device has carried, headers and all."""
    with open("/proc/net/dev") as lines:
        fields = next(line for line in lines if line.strip().startswith("lo:")).split()
    return int(fields[1])


def edits(args, source, size):
    """A rename and a change in the middle of a large file: what each costs until the clone has it."""
    pair = joined(args.zotferry, args.work, "edits", {})
    try:
        pair.origin.put(source)
        arrives(pair, 2)
        time.sleep(2)
        before = on_the_wire()
        time.sleep(2)
        idle = on_the_wire() - before
        rows = [["nothing, for 2 s", "", f"{idle / 1024:.1f}", "", ""]]
        for what, edit, done in (rename(pair, source), change(pair, source, size)):
            counts, before, begin = pair.clone.counts(), on_the_wire(), time.time()
            edit()
            wait(done, 600, 0.02)
            wall = time.time() - begin
            time.sleep(1)  # What is said about it afterwards counts as well.
            sent, after = on_the_wire() - before, pair.clone.counts()
            rows.append([what, f"{wall:.2f}", f"{sent / 1024:.1f}",
                         after["chunks"] - counts["chunks"],
                         f"{(after['bytes_fetched'] - counts['bytes_fetched']) / MIB:.2f}"])
        if not pair.clone.matches(source.parent, []) or not same(pair, source):
            raise RuntimeError("the clone differs from the source")
    finally:
        pair.remove()
    return report.table(["edit", "wall s until the clone has it", "KiB on the wire, both ways", "chunks fetched",
                         "MiB of content fetched"], rows)


def same(pair, source):
    renamed = source.with_name("renamed.bin")
    os.link(source, renamed)
    return pair.clone.matches(renamed.parent, [renamed.name])


def names(pair):
    """The clone's top folder, as it is told."""
    return pair.clone.local.post("/list", {"channel": NICK, "path": "/", "recursive": False}).read()


def rename(pair, source):
    def edit():
        pair.origin.run("mv", NICK, f"/{source.name}", "/renamed.bin")
    return "rename", edit, lambda: b"/renamed.bin" in names(pair)


def change(pair, source, size):
    def edit():
        with open(source, "r+b") as file:
            file.seek(size // 2 + 12345)
            file.write(os.urandom(MIB))
        shutil.copy(source, source.with_name("renamed.bin"))
        before = pair.clone.counts()["files_committed"]
        edit.before = before
        pair.origin.put(source.with_name("renamed.bin"))
        source.with_name("renamed.bin").unlink()
    return "1 MiB changed in the middle", edit, lambda: pair.clone.counts()["files_committed"] > edit.before
