#!/usr/bin/env python3
"""Compares Zotferry with what else carries files from one machine to another.

    python3 benches/compare/run.py large small            needs root for apt-get only
    python3 benches/compare/run.py bad --badnet PATH      root: network namespaces

Contenders take turns within each round, the first of them another one each time; only ratios
inside one run mean anything on a machine that does other work, too.
"""

import argparse
import contextlib
import filecmp
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import peers
import report
from backup import contenders, openssl, tree
from hubs import MODES, Pair, wait
from machine import own_memory, rest, warm
from sync import edits as sync_edits, per_32_files, put_to_commit

ROOT = pathlib.Path(__file__).resolve().parents[2]
MIB, GIB = 1 << 20, 1 << 30
NETWORKS = [("100 ms, 1 % loss", (100, 1, 0)), ("20 ms, 0.1 % loss", (20, 0.1, 0)),
            ("100 ms, 200 Mbit/s", (100, 0, 200))]


def amount(text):
    number, unit = re.fullmatch(r"(\d+)\s*([KMG]iB)?", text).groups()
    return int(number) << {None: 0, "KiB": 10, "MiB": 20, "GiB": 30}[unit]


def shown(size):
    return f"{size // GIB} GiB" if size % GIB == 0 else f"{size // MIB} MiB"


def random_file(path, size):
    with open(path, "wb") as file:
        for at in range(0, size, MIB):
            file.write(os.urandom(min(MIB, size - at)))
    return path


def sparse_file(path, size, island=4096, every=256 << 10):
    """Zeros with random islands, so that no two chunks are alike."""
    with open(path, "wb") as file:
        for at in range(0, size, every):
            file.seek(at)
            file.write(os.urandom(island))
        file.truncate(size)
    return path


def rounds(contenders, count, after_round):
    """Lets every contender run once per round; `contenders`: name -> function."""
    results = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(count):
        try:
            for name in names[number % len(names):] + names[:number % len(names)]:
                rest()
                sample = contenders[name]()
                results[name].append(sample)
                print(f"round {number + 1}  {name:32} {sample.wall:8.3f} s", flush=True)
        finally:
            after_round()
    return results


class Places:
    """Fresh folders, removed together."""

    def __init__(self, work):
        self.work, self.made = work, []

    def fresh(self):
        self.made.append(pathlib.Path(tempfile.mkdtemp(prefix="dest-", dir=self.work)))
        return self.made[-1]

    def remove(self):
        while self.made:
            shutil.rmtree(self.made.pop())


def ours(pair, source, names, size):
    """A contender: one fresh clone."""
    def go():
        pair.introduce()
        warm(pair.origin.folder / "storage")
        sample = pair.transfer()
        sample.size = size
        if not pair.clone.matches(source, names):
            raise RuntimeError("the clone differs from the source")
        # Its process would take part in what is measured next. Its files go after the round.
        pair.clone.stop()
        return sample
    return go


def theirs(places, command, server, source, before=()):
    """A contender: `command(destination)` fetches one file."""
    def go():
        warm(source)
        into = places.fresh() / source.name
        sample = peers.run(command(into), server, into, before)
        sample.size = source.stat().st_size
        if not filecmp.cmp(source, into, shallow=False):
            raise RuntimeError("the result differs from the source")
        return sample
    return go


def filled(stack, args, name, mode, source, **where):
    pair = Pair(args.zotferry, args.work, name, MODES[mode], **where)
    stack.callback(pair.remove)
    pair.origin.start()
    pair.fill(source)
    return pair


def clear(places, pairs):
    def go():
        for pair in pairs:
            shutil.rmtree(pair.clone.folder, ignore_errors=True) if pair.clone else None
        places.remove()
    return go


def large(args, stack):
    folder = args.work / "source"
    folder.mkdir()
    source = random_file(folder / "file.bin", args.size)
    places = Places(args.work)
    stack.callback(places.remove)
    pairs = {mode: filled(stack, args, mode, mode, source) for mode in MODES}
    servers = [peers.nginx(args.work, folder), peers.rsyncd(args.work, folder),
               peers.rclone_http(folder)]
    for server in servers:
        stack.callback(server.stop)
    web, daemon, clone = servers
    contenders = {f"zotferry {m}": ours(p, folder, [source.name], args.size)
                  for m, p in pairs.items()}
    contenders |= {
        "curl": theirs(places, lambda into: [
            "curl", "-sf", "-o", into, f"http://127.0.0.1:{web.port}/{source.name}"], web, source),
        "rsync": theirs(places, lambda into: [
            "rsync", "-W", "--inplace", f"rsync://127.0.0.1:{daemon.port}/src/{source.name}",
            into], daemon, source),
        "rclone": theirs(places, lambda into: [
            "rclone", "copy", "--http-url", f"http://127.0.0.1:{clone.port}",
            "--multi-thread-streams", "0", f":http:{source.name}", into.parent], clone, source),
    }
    results = rounds(contenders, args.rounds, clear(places, pairs.values()))
    return (f"One random file of {shown(args.size)}, durable at the end; medians of {args.rounds} "
            "interleaved rounds. curl from nginx and rclone (one stream, from `rclone serve http`) "
            "do not verify content; rsync is its daemon with `-W --inplace`.\n\n"
            + report.comparison(results, args.size, ["curl", "rsync", "rclone"])
            + "\n\n" + report.counters(results, args.size))


def small_files(args):
    folder = args.work / "source"
    for d in range(100):
        (folder / f"folder-{d:02}").mkdir(parents=True)
    names = [f"folder-{i % 100:02}/file-{i:05}.bin" for i in range(args.files)]
    for name in names:
        (folder / name).write_bytes(os.urandom(10 << 10))
    return folder, names


def small(args, stack):
    folder, names = small_files(args)
    size, places = args.files * (10 << 10), Places(args.work)
    stack.callback(places.remove)
    pairs = {mode: filled(stack, args, mode, mode, folder) for mode in ("stream", "chunks")}
    daemon = peers.rsyncd(args.work, folder)
    stack.callback(daemon.stop)

    def rsync():
        warm(folder)
        into = places.fresh()
        command = ["rsync", "-rt", f"rsync://127.0.0.1:{daemon.port}/src/", f"{into}/"]
        sample = peers.run(command, daemon, into)
        if sum(1 for path in into.rglob("*") if path.is_file()) != args.files:
            raise RuntimeError("rsync left files out")
        return sample

    labels = {"stream": "zotferry, default settings", "chunks": "zotferry, streams blocked"}
    contenders = {labels[m]: ours(p, folder, names, size) for m, p in pairs.items()}
    # ext4 is slow where many inodes were deleted just before, so here all goes at the very end.
    clones = []
    contenders = {n: remembering(c, p, clones) for (n, c), p in
                  zip(contenders.items(), pairs.values())} | {"rsync": rsync}
    stack.callback(lambda: [shutil.rmtree(f, ignore_errors=True) for f in clones])
    results = rounds(contenders, args.rounds, lambda: None)
    return (f"{args.files:,} files of 10 KiB in 100 folders, durable at the end (rsync: daemon, "
            f"`-rt`, then one `sync -f`); medians of {args.rounds} interleaved rounds.\n\n"
            + report.comparison(results, size, ["rsync"]) + "\n\n"
            + report.counters(results, size))


def remembering(contender, pair, folders):
    def go():
        sample = contender()
        folders.append(pair.clone.folder)
        return sample
    return go


def bad(args, stack):
    if not args.badnet:
        sys.exit("bad needs --badnet PATH")
    folder, name = args.work / "source", "zfcmp"
    folder.mkdir()
    big = random_file(folder / "file.bin", args.bad_size)
    little = random_file(folder / "little.bin", args.bad_size // 10)
    badnet = [str(args.badnet.resolve())]
    sides = [[*badnet, "run", name, side] for side in "ab"]
    texts, pair = [], None
    for label, network in [n for n in NETWORKS if n[0].startswith(args.network)]:
        with contextlib.ExitStack() as inner:
            up = [*badnet, "up", name, *map(str, network), args.congestion]
            subprocess.run(up, check=True, stdout=subprocess.DEVNULL)
            inner.callback(subprocess.run, [*badnet, "down", name], check=False)
            if pair is None:
                pair = filled(stack, args, "bad", "stream", big, before=sides,
                              hosts=("10.77.0.1", "10.77.0.2"))
            else:
                pair.origin.start()
            inner.callback(pair.origin.stop)
            web = peers.nginx(args.work, folder, "10.77.0.1", sides[0])
            inner.callback(web.stop)
            url, places = f"http://10.77.0.1:{web.port}", Places(args.work)
            inner.callback(places.remove)
            contenders = {
                "zotferry": ours(pair, folder, [big.name], args.bad_size),
                "aria2c -x8": theirs(places, lambda into: [
                    "aria2c", "-q", "-x8", "-s8", "-k1M", "-d", into.parent, "-o", into.name,
                    f"{url}/{big.name}"], web, big, sides[1]),
                "curl": theirs(places, lambda into: [
                    "curl", "-sf", "-o", into, f"{url}/{little.name}"], web, little, sides[1]),
            }
            results = rounds(contenders, args.bad_rounds, clear(places, [pair]))
            pair.drop_clone()
            texts.append(f"### {label}\n\n"
                         + report.comparison(results, args.bad_size, ["aria2c -x8", "curl"])
                         + "\n\n" + report.counters(results, args.bad_size))
    return (f"{shown(args.bad_size)} from one network namespace to another through a user-space "
            f"link, {args.congestion}; curl carries a tenth of it and is compared by rate. "
            f"{args.bad_rounds} round(s).\n\n" + "\n\n".join(texts))


def resume(args, stack):
    folder = args.work / "source"
    folder.mkdir()
    source, rows = random_file(folder / "file.bin", args.size), []
    for mode in ("stream", "chunks"):
        pair = filled(stack, args, mode, mode, source)
        for flip in (False, True):
            rows.append([f"zotferry {mode}", "yes" if flip else "no",
                         *resumed(args, pair, source, flip)])
            print(*rows[-1], sep="  ", flush=True)
        pair.remove()
    head = ["how", "byte flipped", "durable when killed, MiB", "fetched again, MiB",
            "fetched in vain after the restart, MiB", "wall s after the restart", "identical"]
    return (f"{shown(args.size)}; the clone is killed (SIGKILL) about half-way, a byte of its "
            "partial file is flipped or not, and it is started again. Fetched again: what the "
            "origin sent over both runs, less the size; what was under way at the moment of the "
            "kill is part of it.\n\n" + report.table(head, rows))


def resumed(args, pair, source, flip):
    size = args.size
    pair.introduce()
    clone, sent = pair.clone, pair.origin.counts()["bytes_served"]
    clone.pause(False)
    held = 0
    while held < size // 2:
        channel = clone.status()["channels"][0]
        if channel["present"]["files"]:
            raise RuntimeError("too fast to be killed half-way; use a larger --size")
        held = channel["underway"]
        time.sleep(0.005)
    clone.stop(signal.SIGKILL)
    if flip:
        flip_byte(next(clone.folder.rglob("partial")), source, size)
    begin = time.time()
    clone.start()
    try:
        wait(pair.arrived, args.patience, 0.1)
    except RuntimeError:
        left = (pair.tally("wanted")["bytes"] - clone.status()["channels"][0]["underway"]) / MIB
        pair.drop_clone()
        return [f"{held / MIB:.0f}", "", "", f"over {args.patience}", f"NO: {left:.0f} MiB missing"]
    counts = clone.counts()
    wall = counts["last_commit_ms"] / 1000 - begin
    again = pair.origin.counts()["bytes_served"] - sent - size
    same = clone.matches(source.parent, [source.name])
    pair.drop_clone()
    return [f"{held / MIB:.0f}", f"{again / MIB:.1f}",
            f"{counts['bytes_fetched_twice'] / MIB:.1f}", f"{wall:.2f}", "yes" if same else "NO"]


def flip_byte(partial, source, size):
    """Inside data that was written already: where the partial file agrees with the source."""
    path = max(partial.iterdir(), key=lambda p: p.stat().st_size)
    with open(path, "r+b") as file, open(source, "rb") as original:
        for at in range(size // 8, size, MIB):
            file.seek(at)
            original.seek(at)
            piece = file.read(4096)
            if piece and piece == original.read(4096):
                file.seek(at)
                file.write(bytes([piece[0] ^ 1]))
                return
    raise RuntimeError("nothing of the partial file was written")


def memory(args, stack):
    rows = []
    for size in map(amount, args.memory_sizes.split(",")):
        content = "random" if size <= 2 * GIB else "sparse, 4 KiB random in each 256 KiB"
        if shutil.disk_usage(args.work).free < 2 * size + 4 * GIB:
            rows.append(["any", shown(size), content, "not run: too little disk space", "", ""])
            continue
        for mode in ("stream", "chunks"):
            folder = args.work / f"source-{mode}-{size}"
            folder.mkdir()
            make = random_file if content == "random" else sparse_file
            pair = filled(stack, args, f"{mode}-{size}", mode, make(folder / "file.bin", size))
            shutil.rmtree(folder)
            pair.introduce()
            sample = pair.transfer(3600)
            rows.append([f"zotferry {mode}", shown(size), content,
                         *(f"{rss / MIB:.0f}" for rss in sample.rss), f"{sample.wall:.1f}"])
            print(*rows[-1], sep="  ", flush=True)
            pair.remove()
    return report.table(["how", "size", "content", "clone, peak RSS MiB", "origin, peak RSS MiB",
                         "wall s"], rows) + (
        "\n\nThe clone's peak is that of its whole life, the origin's is without the putting.")


def sync(args, stack):
    folder, _ = small_files(args)
    places, keep = Places(args.work), []
    stack.callback(places.remove)
    stack.callback(lambda: [pair.remove() for pair in keep])
    daemon, web = peers.rsyncd(args.work, folder), peers.rclone_http(folder)
    for server in (daemon, web):
        stack.callback(server.stop)

    def copied(server, command):
        def go():
            warm(folder)
            into = places.fresh()
            sample = peers.run(command(into), server, into)
            if sum(1 for path in into.rglob("*") if path.is_file()) != args.files:
                raise RuntimeError("files were left out")
            return sample
        return go

    def ours_of(mode):
        put = put_to_commit(args, folder, (mode, MODES[mode]), keep)

        def go():
            warm(folder)
            return put()
        return go

    contenders = {
        "zotferry, default settings": ours_of("stream"),
        "zotferry, streams blocked": ours_of("chunks"),
        "rsync": copied(daemon, lambda into: [
            "rsync", "-rt", f"rsync://127.0.0.1:{daemon.port}/src/", f"{into}/"]),
        "rclone": copied(web, lambda into: [
            "rclone", "copy", "--http-url", f"http://127.0.0.1:{web.port}", "--transfers", "32",
            "--checkers", "32", ":http:", into]),
    }
    results = rounds(contenders, args.rounds, lambda: None)
    size = args.files * (10 << 10)
    return (f"{args.files:,} files of 10 KiB in 100 folders, from the first put on one hub to the last "
            "commit on its clone: hashing, both hubs' storing, the sync packets and the reports are in "
            "it. rsync (daemon, `-rt`) and rclone (`serve http`, 32 transfers) copy once, then one "
            f"`sync -f`; medians of {args.rounds} interleaved rounds.\n\n"
            + report.comparison(results, size, ["rsync", "rclone"]) + "\n\n"
            + per_32_files(results, args.files))


def edits(args, stack):
    folder = args.work / "source"
    folder.mkdir()
    source = random_file(folder / "file.bin", args.size)
    return (f"One random file of {shown(args.size)}, on two hubs. On the wire: all that the loopback "
            "device carried, headers, acknowledgements and keep-alives of both directions, from the "
            "edit to a second after the clone had it.\n\n" + sync_edits(args, source, args.size))


def backup(args, stack):
    source, places, keep = args.work / "source", Places(args.work), []
    source.mkdir()
    tree(source, args.tree_files, args.tree_size)
    stack.callback(places.remove)
    stack.callback(lambda: [hub.remove() for hub in keep])
    saving, restoring, verify = contenders(args, source, places, keep)
    results, verified = {}, []
    for number in range(args.rounds):
        for part in (saving, restoring):
            names = list(part)
            # Who comes first pays for the files of the round before, which were just deleted.
            for name in names[number % len(names):] + names[:number % len(names)]:
                rest()
                sample = part[name]()
                results.setdefault((part is saving, name), []).append(sample)
                print(f"round {number + 1}  {name:32} {sample.wall:8.3f} s", flush=True)
        rest()
        verified.append((verify(), openssl()))
        places.remove()
    texts = []
    for saves, what in ((True, "Saving"), (False, "Bringing back")):
        some = {name: samples for (kind, name), samples in results.items() if kind == saves}
        texts.append(f"### {what}\n\n" + report.comparison(some, args.tree_size, ["rsync -a", "restic"]))
    rates = sorted(args.tree_size / v.cpu[0] / rate for v, rate in verified)
    walls = sorted(v.wall for v, _ in verified)
    middle = len(rates) // 2
    texts.append(f"`verify`: {walls[middle]:.2f} s; for each second of a core it reads {rates[middle]:.2f} x what "
                 "`openssl speed` hashes.")
    return (f"{args.tree_files:,} random files of {shown(args.tree_size)} in all, durable at the end (`sync -f`); "
            f"medians of {args.rounds} rounds. The hub of ours rests; peak memory is the command's.\n\n"
            + "\n\n".join(texts))


SCENARIOS = {f.__name__: f for f in (large, small, sync, edits, backup, bad, resume, memory)}


def arguments():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("scenarios", nargs="+", choices=SCENARIOS, metavar="SCENARIO",
                   help=", ".join(SCENARIOS))
    p.add_argument("--zotferry", type=pathlib.Path, help="default: target/release/zotferry")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--size", type=amount, default=2 * GIB, help="of the large file (2GiB)")
    p.add_argument("--files", type=int, default=10_000, help="how many small ones")
    p.add_argument("--tree-files", type=int, default=20_000, help="how many files are backed up")
    p.add_argument("--tree-size", type=amount, default=4 * GIB, help="and their size (4GiB)")
    p.add_argument("--work", type=pathlib.Path, help="where to work; default: target")
    p.add_argument("--badnet", type=pathlib.Path, help="the script that makes bad networks")
    p.add_argument("--network", default="", help="only those whose label begins so, e.g. '20 ms'")
    p.add_argument("--bad-rounds", type=int, default=1)
    p.add_argument("--bad-size", type=amount, default=200 * MIB)
    p.add_argument("--congestion", choices=("cubic", "bbr"), default="cubic")
    p.add_argument("--patience", type=int, default=300,
                   help="seconds that a killed clone may take to go on and finish (300)")
    p.add_argument("--memory-sizes", default="2GiB,16GiB")
    p.add_argument("--results", type=pathlib.Path, default=ROOT / "benches" / "RESULTS.md")
    return p.parse_args()


def main():
    args = arguments()
    if args.zotferry is None:
        args.zotferry = ROOT / "target" / "release" / "zotferry"
        if not args.zotferry.exists():
            subprocess.run(["cargo", "build", "--release"], cwd=ROOT, check=True)
    args.zotferry = args.zotferry.resolve()
    peers.install()
    base = (args.work or ROOT / "target").resolve()
    base.mkdir(parents=True, exist_ok=True)
    for name in args.scenarios:
        with contextlib.ExitStack() as stack:
            own_memory(stack)
            args.work = pathlib.Path(tempfile.mkdtemp(prefix="compare-", dir=base))
            stack.callback(shutil.rmtree, args.work, ignore_errors=True)
            text = SCENARIOS[name](args, stack)
            facts = report.machine(args.work, args.zotferry)
        report.write(args.results, name, text, facts, sys.argv[1:])


if __name__ == "__main__":
    # Ended by a signal, it still stops its servers and removes its folders.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
