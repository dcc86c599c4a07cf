#!/usr/bin/env python3
"""Adopts a channel of Hubzilla out of a real MariaDB and a real PostgreSQL.

    tests/hubzilla/run.py [ZOTFERRY] [mysql|postgres]

The program under test is by default target/debug/zotferry. KEEP=1 leaves the folders. Needs nothing but Python 3.11 and
Debian's mariadb-server and postgresql.
"""

import hashlib
import json
import os
import pathlib
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from servers import SECRET, MariaDb, Postgres, free_port  # noqa: E402
from tables import ALICE, ROOT, UID, Hubzilla, insert, packets, schema  # noqa: E402

AVATAR = "333dc10b-96a8-4df1-81ae-d02ad0305e83"


def same(what, found, wanted):
    if found != wanted:
        raise SystemExit(f"{what}:\n  found  {found!r}\n  wanted {wanted!r}")


def tree(folder):
    """What is in a folder, bytes and times."""
    found = {}
    for path in sorted(pathlib.Path(folder).rglob("*")):
        about = path.lstat()
        data = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() and not path.is_symlink() else None
        found[str(path)] = (about.st_mode, about.st_mtime_ns if path.is_file() else None, data)
    return found


class Program:
    """The program under test, on hubs in one folder."""

    def __init__(self, path, work):
        self.path, self.work, self.hubs = path, work, []

    def run(self, *args, code=0, env=None):
        done = subprocess.run([self.path, *args], cwd=self.work, capture_output=True,
                              env={**os.environ, "ZOTFERRY_PASSPHRASE": "correct horse", **(env or {})}, timeout=300)
        out, err = done.stdout, done.stderr.decode(errors="replace")
        if done.returncode != code:
            raise SystemExit(f"{args}: ended with {done.returncode}, not {code}\n{out.decode(errors='replace')[-3000:]}\n{err[-3000:]}")
        return out, err

    def json(self, *args, **more):
        return [json.loads(line) for line in self.run(*args, **more)[0].splitlines()]

    def init(self, name):
        port = free_port()
        self.run("init", name, "--url", f"http://127.0.0.1:{port}")
        return port

    def start(self, name, port):
        log = open(self.work / f"{name}.log", "w")
        hub = subprocess.Popen([self.path, "hub", name], cwd=self.work, stdout=log, stderr=log)
        self.hubs.append(hub)
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return hub
            except OSError:
                if hub.poll() is not None:
                    break
                time.sleep(0.05)
        raise SystemExit(f"the hub {name} did not start: {(self.work / f'{name}.log').read_text()[-2000:]}")

    def stop(self):
        for hub in self.hubs:
            if hub.poll() is None:
                hub.terminate()
                hub.wait(timeout=60)


class Case:
    """One kind of database."""

    def __init__(self, program, server, work):
        self.program, self.server, self.work = program, server, work
        self.hubzilla = Hubzilla(work / "hz/store")
        self.adopt_args = ["--dir", "a", "adopt", "--hubzilla", server.url(), "--store", str(work / "hz/store"), "alice"]
        self.env = {"ZOTFERRY_DB_PASSWORD": SECRET}

    def run(self):
        self.fill()
        self.refusals()
        self.killed()
        before = tree(self.work / "hz")
        self.first()
        self.entries()
        self.photos()
        self.items()
        self.second()
        same("Hubzilla's store after all that", tree(self.work / "hz"), before)
        self.mended()
        self.round_trip()

    def fill(self):
        hubzilla = self.hubzilla
        hubzilla.captured()
        hubzilla.ordinary()
        hubzilla.hostile(self.server.kind)
        photo = next(row for table, row in hubzilla.rows if table == "item")
        hubzilla.said(photo)
        # The cropped scale of the cover is gone; the cover is not.
        cover = next(r for t, r in hubzilla.rows if t == "photo" and r["imgscale"] == 7)
        (self.work / "hz" / cover["content"].decode()).unlink()
        hubzilla.spoil("cover.jpg", cover["filesize"], None, 7)
        self.server.execute(schema(self.server.kind) + hubzilla.sql(self.server.kind))
        self.program.init("a")
        fixture = ROOT / "tests/fixtures/hubzilla-identity.json"
        _, err = self.program.run("--dir", "a", "channel", "import", str(fixture))
        assert "destroy the file" in err, err
        channel = self.program.json("--dir", "a", "channel", "list", "--json")[0]
        same("the imported channel's id", channel["id"], ALICE)

    def refusals(self):
        """A wrong password is not told to anybody; a channel that is not there is named."""
        wrong = {"ZOTFERRY_DB_PASSWORD": "wrong-" + SECRET}
        out, err = self.program.run(*self.adopt_args, env=wrong, code=1)
        assert "cannot be opened" in err and SECRET not in err + out.decode(), err
        inside = self.server.url().replace("reader@", f"reader:wrong-{SECRET}@")
        args = [inside if arg == self.server.url() else arg for arg in self.adopt_args]
        out, err = self.program.run(*args, code=1)
        assert "cannot be opened" in err and SECRET not in err + out.decode(), err
        self.program.run("--dir", "a", "channel", "new", "carol")
        _, err = self.program.run(*self.adopt_args[:-1], "carol", env=self.env, code=1)
        assert "no channel with the id of carol; it has sys, alice, bob" in err, err
        self.program.run(*self.adopt_args[:5], "--store", "nowhere", "alice", env=self.env, code=1)

    def killed(self):
        """Killed at some moments, it has entered whole entries or none; the next run goes on. On a hub of its own."""
        self.program.init("k")
        self.program.run("--dir", "k", "channel", "import", str(ROOT / "tests/fixtures/hubzilla-identity.json"))
        args = ["--dir", "k", *self.adopt_args[2:], "--json"]
        for lines in (3, 40, 300):
            adopt = subprocess.Popen([self.program.path, *args], cwd=self.work, stdout=subprocess.PIPE,
                                     stderr=subprocess.DEVNULL, env={**os.environ, **self.env})
            for _ in range(lines):
                adopt.stdout.readline()
            adopt.kill()
            adopt.stdout.close()
            adopt.wait()
            listed, wanted = self.listed("k"), self.wanted()
            assert all(wanted.get(place) == found for place, found in listed.items()), set(listed) - set(wanted)
        summary = self.program.json(*args, env=self.env, code=6)[-1]["summary"]
        assert summary["files"] > 0 < summary["unchanged"], f"it was killed in between: {summary}"
        same("the files after all", self.listed("k"), self.wanted())

    def first(self):
        events = self.program.json(*self.adopt_args, "--json", env=self.env, code=6)
        missing = [event["missing"] for event in events if "missing" in event]
        found = {(m["path"], m["expected"], m["found"], m["scale"]) for m in missing}
        same("what is missing", found, self.hubzilla.missing)
        assert all(m["store"] for m in missing)
        skipped = {event["skipped"]["path"] for event in events if "skipped" in event}
        wanted = {f"h{n}.txt" for n in range(1, 6)} | {f"bad name {n}" for n in range(5)} | {"attach"}
        same("what is skipped", skipped, wanted)
        counted = " ".join(event["skipped"]["reason"] for event in events if "skipped" in event)
        assert "1 rows have the id" in counted and "2 folders lie" in counted, counted
        changed = sorted(event["changed"]["path"] for event in events if "changed" in event)
        same("what is elsewhere", changed, ["lost folder", "lost.txt"])
        summary = events[-1]["summary"]
        counts = (summary["files"], summary["folders"], summary["unchanged"])
        same("files, folders, what was here", counts, (len(self.hubzilla.good), 4, 0))
        same("items", (summary["items"], summary["items_elsewhere"]), (5, 1))

    def listed(self, hub):
        entries = self.program.json("--dir", hub, "ls", "alice", "-R", "--json")
        return {e["path"].lstrip("/"): (e["hash"], e["size"], e["state"]) for e in entries if not e["folder"]}

    def wanted(self):
        return {place: (hash, len(data), "present") for place, (hash, data) in self.hubzilla.good.items()}

    def entries(self):
        same("the files", self.listed("a"), self.wanted())
        for place, (hash, data) in self.hubzilla.good.items():
            if hash.startswith("m") and hash not in ("m0", "m599"):
                continue
            out, _ = self.program.run("--dir", "a", "get", "alice", f"/{place}", "-")
            same(f"the bytes of {place}", out == data, True)
        rows = sqlite3.connect(f"file:{self.work}/a/catalog.sqlite?mode=ro", uri=True)
        rows.row_factory = sqlite3.Row
        row = rows.execute("SELECT * FROM attach WHERE hash = 'f1'").fetchone()
        names = ("creator", "filename", "revision", "folder", "flags", "created", "edited", "allow_cid", "deny_gid")
        wanted = (ALICE, "doc1.txt", 3, "d1", 4, "2021-02-03 04:05:06", "2022-03-04 05:06:07", f"<{ALICE}>", "<group>")
        same("the row of doc1.txt", tuple(row[name] for name in names), wanted)
        for text in (b"later_release", b"kept as it is", b"herons", b"term"):
            assert text in row["extra"], text
        for text in (b"store/alice", b"a post's", b"os_path", b"display_path"):
            assert text not in row["extra"], text
        folder = rows.execute("SELECT created, edited, is_dir FROM attach WHERE hash = 'd1'").fetchone()
        same("the row of folder1", tuple(folder), ("2020-01-01 00:00:00", "2020-01-02 00:00:00", 1))
        lost = rows.execute("SELECT hash, folder, allow_cid FROM attach WHERE hash IN ('l1', 'l2', 'ld') ORDER BY hash")
        same("what lay in lost folders is at the top, and private", [tuple(row) for row in lost],
             [("l1", "", f"<{ALICE}>"), ("l2", "ld", ""), ("ld", "", f"<{ALICE}>")])
        roles = rows.execute("SELECT hash, role, size FROM data WHERE role <> 'file' AND state = 'present'").fetchall()
        same("cropped photos", [tuple(role) for role in roles], [(AVATAR, "photo-4", 4643)])
        rows.close()

    def photos(self):
        uses = self.program.json("--dir", "a", "photo", "show", "alice", "--json")
        assert any("avatar.jpg" in json.dumps(use) for use in uses), uses
        assert not any("cover.jpg" in json.dumps(use) for use in uses), uses

    def items(self):
        items = {item["uuid"]: item for item in self.program.json("--dir", "a", "item", "ls", "alice", "--json")}
        own = [item["uuid"] for file in packets() for item in file["item"]]
        same("the items", set(items), {*own, "c0", "c1"})
        first = items[own[0]]
        same("whose", (first["own"], first["path"], items["c0"]["own"]), (True, "/photo.jpg", False))
        same("where the comment sits", items["c0"]["path"], "/photo.jpg")
        author = items["c0"]["item"]["author"]
        same("who wrote it", (author["name"], author["address"], author["id"], author["photo"]), (
            "Bob Bülow", "bob@hub-b.test", "guid of bob",
            {"mimetype": "image/png", "src": "https://hub-b.test/photo/profile/m/3"}))
        body = first["item"]["body"]
        assert "hub-a.test" not in body and "http://127.0.0.1" in body, body

    def second(self):
        """Run again, nothing is read, nothing is new."""
        events = self.program.json(*self.adopt_args, "--json", env=self.env, code=6)
        changes = {event["done"]["change"] for event in events if "done" in event}
        same("a second run", changes, {"unchanged"})
        same("its items", events[-1]["summary"]["items"], 0)
        same("the files still", self.listed("a"), self.wanted())

    def mended(self):
        """What was mended in Hubzilla comes with the next run, and a later revision replaces the one before."""
        hubzilla, kind = self.hubzilla, self.server.kind
        for hash, place, data in (("g1", "gone.txt", b"was here"), ("g2", "short.txt", b"0123456789"),
                                  ("g3", "long.txt", b"0123456789")):
            hubzilla.write(f"store/alice/{hash}", data)
            hubzilla.good[place] = (hash, data)
        cover = next(r for t, r in hubzilla.rows if t == "photo" and r["imgscale"] == 7)
        hubzilla.write(cover["content"].decode(), b"c" * cover["filesize"])
        edited = b"edited in Hubzilla meanwhile"
        hubzilla.write("store/alice/f3", edited)
        hubzilla.good["empty"] = ("f3", edited)
        self.server.execute(f"UPDATE attach SET filesize = {len(edited)}, revision = 1 WHERE hash = 'f3';"
                            "DELETE FROM attach WHERE hash = 'g4' OR hash LIKE 'h_' OR hash LIKE 'n_';"
                            "DELETE FROM attach WHERE filename = 'doubled.txt' OR hash IN ('c1', 'c2');")
        self.program.run("--dir", "a", "rm", "alice", "/large.bin", "-f")
        del hubzilla.good["large.bin"]
        events = self.program.json(*self.adopt_args, "--json", env=self.env, code=6)
        changed = sorted(e["done"]["path"] for e in events if "done" in e and e["done"]["change"] != "unchanged")
        same("what came", changed, ["cover.jpg", "empty", "gone.txt", "long.txt", "short.txt"])
        skipped = [e["skipped"]["path"] for e in events if "skipped" in e]
        same("what was removed stays so", skipped, ["large.bin"])
        uses = self.program.json("--dir", "a", "photo", "show", "alice", "--json")
        assert any("cover.jpg" in json.dumps(use) for use in uses), uses
        same("the files now", self.listed("a"), self.wanted())
        self.server.execute("DELETE FROM attach WHERE hash = 'f5';")
        self.program.run(*self.adopt_args, env=self.env)
        self.server.execute(insert(kind, "attach", {"uid": UID, "hash": "z", "filename": "z", "content": b"store/alice/z"}))

    def round_trip(self):
        """A second clone fetches all that was adopted, and both say that they are in sync."""
        program = self.program
        ports = {"a": None, "b": program.init("b")}
        program.run("--dir", "a", "channel", "export", "alice", "alice.id")
        program.run("--dir", "b", "channel", "import", "alice.id")
        config = (self.work / "a/config.toml").read_text()
        ports["a"] = int(config.split("127.0.0.1:")[1].split('"')[0].split("/")[0])
        for name, port in ports.items():
            program.start(name, port)
        until = time.monotonic() + 120
        while self.listed("b") != self.wanted():
            if time.monotonic() > until:
                raise SystemExit(f"the clone has not all: {set(self.wanted()) ^ set(self.listed('b'))}")
            time.sleep(0.2)
        # What was cropped arrives like any bytes; it cannot be made again.
        while True:
            rows = sqlite3.connect(f"file:{self.work}/b/catalog.sqlite?mode=ro", uri=True)
            count = rows.execute("SELECT count(*) FROM data WHERE role <> 'file' AND state = 'present'").fetchone()[0]
            rows.close()
            if count == 2:
                break
            if time.monotonic() > until:
                raise SystemExit("the cropped photos did not come")
            time.sleep(0.2)
        for name in ports:
            out, _ = program.run("--dir", name, "audit", "alice")
            assert b"in sync with http://127.0.0.1" in out, out
        items = program.json("--dir", "b", "item", "ls", "alice", "--json")
        same("items on the clone", len(items), 5)
        program.stop()


def main():
    program = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "target/debug/zotferry").resolve()
    kinds = sys.argv[2:] or ["mysql", "postgres"]
    work = pathlib.Path(tempfile.mkdtemp())
    work.chmod(0o711)
    try:
        for kind in kinds:
            begin = time.monotonic()
            server = {"mysql": MariaDb, "postgres": Postgres}[kind](work / f"{kind}-server")
            hubs = work / kind
            hubs.mkdir(mode=0o700)
            runner = Program(program, hubs)
            try:
                server.begin()
                server.create()
                Case(runner, server, hubs).run()
            finally:
                runner.stop()
                server.stop()
            print(f"{kind}: adopted, {time.monotonic() - begin:.0f} s")
    finally:
        if os.environ.get("KEEP"):
            print(f"kept {work}")
        else:
            shutil.rmtree(work)


if __name__ == "__main__":
    main()
