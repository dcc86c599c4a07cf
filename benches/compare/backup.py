"""Backups of a tree, and what brings them back: ours beside rsync, tar and restic."""

import os
import random
import subprocess
import time

import peers
from hubs import Hub, NICK
from peers import Sample

MIB = 1 << 20


def tree(folder, files, size):
    """Random files of many sizes, in folders of 200; `size` bytes in all."""
    dice = random.Random(1)
    shares = [dice.lognormvariate(0, 1.5) for _ in range(files)]
    whole = sum(shares)
    for i, share in enumerate(shares):
        path = folder / f"folder-{i // 200:03}" / f"file-{i:05}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            left = int(share / whole * size)
            while left:
                file.write(os.urandom(min(left, MIB)))
                left -= min(left, MIB)


def measured(command, durable, **more):
    """Runs one command and makes what it wrote durable."""
    begin = time.monotonic()
    child = subprocess.Popen([*map(str, command)], stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)
    # Not what the kernel says at the end: that counts the process that this one was made of.
    peaks = peers.Peaks((child.pid,))
    _, status, usage = os.wait4(child.pid, 0)
    rss, child.returncode = peaks.end(), os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{command[:3]} ended with {child.returncode}")
    spent = usage.ru_utime + usage.ru_stime + (peers.settle(durable) if durable else 0)
    return Sample(time.monotonic() - begin, (spent, 0.0), (rss[0], 0))


def contenders(args, source, places, keep):
    """Saving and bringing back, by each: name -> function. What is brought back is compared."""
    hub = Hub(args.zotferry, args.work / "backed-up").start()
    keep.append(hub)
    hub.local.ask("/channel/new", {"nick": NICK})
    hub.put(source)
    identity = args.work / "alice.id"
    hub.run("channel", "export", NICK, identity)
    hub.stop()
    restic = {"env": os.environ | {"RESTIC_PASSWORD": "x", "RESTIC_CACHE_DIR": str(args.work / "cache")}}
    saved = {}

    def save(name, command, before=None, **more):
        def go():
            into = places.fresh() / "backup"
            if before:
                subprocess.run([*map(str, before(into))], check=True, stdout=subprocess.DEVNULL, **more)
            sample = measured(command(into), into.parent, **more)
            saved[name] = into
            return sample
        return go

    def fetch(name, command, before=None, check=None, **more):
        def go():
            into = places.fresh() / "restored"
            if before:
                before(into)
            sample = measured(command(saved[name], into), into.parent, **more)
            (check or same)(source, into)
            return sample
        return go

    def fresh_hub(into):
        new = Hub(args.zotferry, into)
        new.run("channel", "import", identity)

    def holds(source, into):
        new = Hub.__new__(Hub)
        new.program, new.folder, new.before, new.process = str(args.zotferry), into, [], None
        new.start()
        names = sorted(p.relative_to(source) for p in source.rglob("*.bin"))
        if not new.matches(source, names[::40]) or new.status()["channels"][0]["present"]["files"] != len(names):
            raise RuntimeError("the restored hub differs from the source")
        new.stop()

    zot = args.zotferry
    saving = {
        "zotferry export --copy": save("copy", lambda into: [zot, "export", hub.folder, NICK, into, "--copy"]),
        "zotferry export": save("link", lambda into: [zot, "export", hub.folder, NICK, into]),
        "rsync -a": save("rsync", lambda into: ["rsync", "-a", f"{source}/", into]),
        "tar": save("tar", lambda into: ["tar", "cf", into, "-C", source, "."]),
        "restic": save("restic", lambda into: ["restic", "-r", into, "backup", source],
                       lambda into: ["restic", "-r", into, "init"], **restic),
    }
    restoring = {
        "zotferry restore --copy": fetch("copy", lambda old, into: [
            zot, "restore", old, "--to", into, "--copy"], fresh_hub, holds),
        "zotferry restore": fetch("copy", lambda old, into: [zot, "restore", old, "--to", into], fresh_hub, holds),
        "rsync -a": fetch("rsync", lambda old, into: ["rsync", "-a", f"{old}/", into]),
        "tar": fetch("tar", lambda old, into: ["tar", "xf", old, "-C", into], lambda into: into.mkdir()),
        "restic": fetch("restic", lambda old, into: ["restic", "-r", old, "restore", "latest", "--target", into],
                        check=lambda source, into: same(source, into / str(source).lstrip("/")), **restic),
    }
    return saving, restoring, lambda: measured([zot, "verify", saved["copy"]], None)


def same(source, into):
    if subprocess.run(["diff", "-rq", source, into], stdout=subprocess.DEVNULL).returncode:
        raise RuntimeError(f"{into} differs from the source")


def openssl():
    """Bytes of SHA-256 a second on one core."""
    speed = ["openssl", "speed", "-seconds", "3", "-bytes", str(MIB), "-evp", "sha256", "-mr"]
    out = subprocess.run(speed, capture_output=True, text=True, check=True).stdout
    return float(next(line for line in out.splitlines() if line.startswith("+F")).split(":")[-1])
