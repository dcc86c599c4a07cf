"""A real hub and clones of this folder live through a channel's life, and end with the same catalog and the same bytes.

python3 scenario.py ZOTFERRY WORK
"""

import json
import os
import pathlib
import random
import secrets
import shlex
import signal
import socket
import subprocess
import sys

from cryptography.hazmat.primitives.asymmetric import rsa

from checks import check, failures, wait_for
from clone import save_key
from probes import Probes

HERE = pathlib.Path(__file__).parent
MIB = 1 << 20
SIZES = [0, 1, MIB - 1, MIB, MIB + 1, 5 * MIB + 1, 40 * MIB]


class Process:
    """A server that runs until it is stopped or killed."""

    def __init__(self, command, log, **more):
        self.log = open(log, "ab")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, env=os.environ | more)

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(60)


class Hub:
    def __init__(self, program, folder, port):
        self.program, self.folder, self.url = program, folder, f"http://127.0.0.1:{port}"
        self.call("init", folder, "--url", self.url)
        self.start()

    def call(self, *arguments):
        return subprocess.run([self.program, *map(str, arguments)], check=True, capture_output=True, text=True).stdout

    def do(self, *arguments):
        return self.call("--dir", self.folder, *arguments)

    def start(self):
        self.server = Process([self.program, "hub", str(self.folder)], f"{self.folder}.log")
        port = int(self.url.rsplit(":", 1)[1])
        wait_for("the hub listens", lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)

    def configure(self, **changes):
        path = self.folder / "config.toml"
        lines = path.read_text().splitlines()
        for name, value in changes.items():
            lines = [f"{name} = {value}" if line.startswith(f"{name} = ") else line for line in lines]
        path.write_text("\n".join(lines) + "\n")

    def tree(self):
        rows = [json.loads(line) for line in self.do("ls", "alice", "-R", "--json").splitlines()]
        return {row["path"].lstrip("/"): row["size"] for row in rows if row["state"] == "present"}

    def served(self):
        return json.loads(self.do("status", "--json"))["running"]["counts"]["bytes_served"]


class Peer:
    def __init__(self, folder, port, key, guid, hub):
        self.folder, self.url, self.clock = folder, f"http://127.0.0.1:{port}", "0"
        self.call("init", "--url", self.url, "--key", key, f"--guid={guid}", "--hub", hub)

    def call(self, command, *arguments, good=(0,)):
        line = [sys.executable, HERE / "main.py", command, self.folder, *arguments]
        found = subprocess.run(list(map(str, line)), capture_output=True, text=True, env=self.env())
        if found.returncode not in good:
            sys.exit(f"{command} {arguments}: {found.returncode}: {found.stderr}")
        return found.stdout

    def env(self):
        return os.environ | {"PEER_CLOCK_MS": self.clock}

    def start(self, **more):
        command = [sys.executable, str(HERE / "main.py"), "run", str(self.folder)]
        self.server = Process(command, f"{self.folder}.log", **self.env(), **more)

    def state(self):
        return json.loads(self.call("state"))

    def tree(self):
        rows = [json.loads(line) for line in self.call("ls").splitlines()]
        return {row["path"]: 0 if row["dir"] else row["size"] for row in rows if row["here"]}

    def audit(self):
        return self.call("audit", good=(0, 6)).splitlines()

    def bytes(self, path, into):
        self.call("export", into)
        return (into / path).read_bytes()


def settled(hub, peer):
    """Nothing waits, both show the same, and an audit finds nothing (AUDIT-7)."""
    state = peer.state()
    if not state["listed"] or state["wanted"] or state["waiting"] or peer.tree() != hub.tree():
        return False
    compared = peer.audit()
    return bool(compared) and all(line.endswith(": equal") for line in compared)


def same(name, hub, peer):
    good = wait_for(name, lambda: settled(hub, peer))
    if good:
        check(name, True, True)
    else:
        print("hub ", hub.tree(), "\npeer", peer.tree(), "\n", peer.state(), peer.audit(), flush=True)
        for log in (f"{hub.folder}.log", f"{peer.folder}.log"):
            print("".join(open(log).readlines()[-25:]))
    return good


class Story:
    def __init__(self, program, work):
        self.work, self.random = work, random.Random(7)
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
        self.ports = [one.getsockname()[1] for one in sockets]
        for one in sockets:
            one.close()
        self.hub = Hub(program, work / "hub", self.ports[0])
        self.hub.do("channel", "new", "alice")
        channel = json.loads(self.hub.do("channel", "list", "--json").splitlines()[0])
        self.guid, self.key = channel["guid"], work / "hub" / "keys" / f"channel-{channel['id']}.pem"
        self.peer = self.clone("peer", 1)

    def clone(self, name, port):
        return Peer(self.work / name, self.ports[port], self.key, self.guid, self.hub.url)

    def file(self, name, size):
        path = self.work / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.random.randbytes(size))
        return path

    def put(self, name, size, to=None):
        path = self.file(name, size)
        self.hub.do("put", "alice", path, *(("--to", to) if to else ()))
        return path

    def run(self):
        for chapter in (
            self.comes_in,
            self.follows,
            self.conflicts,
            self.is_killed,
            self.without_streams,
            self.second,
            self.judged,
        ):
            print(f"--- {chapter.__doc__.splitlines()[0]}", flush=True)
            chapter()

    def comes_in(self):
        """A clone comes in, and fetches by stream and in bundles."""
        for size in SIZES:
            self.put(f"{size} bytes", size, to="sizes")
        self.peer.start()
        same("all files are here", self.hub, self.peer)
        into = self.work / "fetched"
        self.peer.call("export", into)
        for size in SIZES:
            good = (into / "sizes" / f"{size} bytes").read_bytes() == (self.work / "files" / f"{size} bytes").read_bytes()
            check(f"{size} bytes are the same", good, True)
        Probes(self.peer.folder, self.guid).run(streams=True)
        same("after what the hub did not take", self.hub, self.peer)

    def follows(self):
        """It follows what the hub does: folders, names, removals, new content, descriptions."""
        hub = self.hub
        hub.do("mkdir", "alice", "a")
        hub.do("mkdir", "alice", "b")
        hub.do("mv", "alice", "sizes/1 bytes", "a/one")
        hub.do("mv", "alice", "sizes/0 bytes", "b/nothing")
        hub.do("rm", "alice", f"sizes/{MIB - 1} bytes")
        self.put("a file", 100, to="b")
        self.put("a file", 200, to="b")
        hub.do("meta", "alice", "b/a file", "--title", "A title", "--tag", "tagged")
        hub.do("rm", "alice", "a", "-r", "-f")
        same("the hub's edits are here", hub, self.peer)
        self.peer.call("put", self.file("from the peer", 3 * MIB), "c/from the peer")
        self.peer.call("mv", "b/nothing", "c/nothing")
        self.peer.call("rm", f"sizes/{MIB} bytes")
        same("the peer's edits are there", hub, self.peer)
        check(
            "its bytes too",
            hub_bytes(hub, "c/from the peer", self.work),
            (self.work / "files" / "from the peer").read_bytes(),
        )

    def conflicts(self):
        """Both edit while they do not hear each other, and the peer's clock is an hour ahead."""
        self.peer.server.stop()
        self.peer.clock = "3600000"
        self.peer.call("put", self.file("mine", 50), "b/a file")
        self.put("a file", 60, to="b")
        self.peer.call("mkdir", "x")
        self.peer.call("mkdir", "y")
        self.peer.start()
        same("concurrent contents", self.hub, self.peer)
        check("the clock of the hub was believed", abs(self.peer.state()["offsets"][0] + 3_600_000) < 60_000, True)
        copies = [path for path in self.peer.tree() if ".conflict-" in path]
        check("the one that lost is a copy", (len(copies), self.peer.tree()["b/a file"]), (1, 50))
        self.peer.server.stop()
        self.peer.clock = "0"
        self.peer.call("mv", "x", "y/x")
        self.hub.do("mv", "alice", "y", "x/y")
        self.peer.call("rm", "c")
        self.put("late", 70, to="c")
        self.peer.call("mv", "b/a file", "b/renamed here")
        self.hub.do("mv", "alice", "b/a file", "b/renamed there")
        self.peer.start()
        same("a cycle of moves, a folder that is filled while it is removed, two names", self.hub, self.peer)
        check(
            "the folder came back with what is new",
            ("c/late" in self.peer.tree(), "c/nothing" in self.peer.tree()),
            (True, False),
        )

    def is_killed(self):
        """The peer is killed while it fetches, and goes on with what it has."""
        self.peer.server.stop()
        size = 48 * MIB
        self.put("large", size)
        before = self.hub.served()
        self.peer.start(PEER_DIES_AFTER="16")
        check("it was killed", self.peer.server.process.wait(120), -signal.SIGKILL)
        held = self.peer.state()
        check("it has some of it", (held["wanted"], held["partials"]), (1, 1))
        self.peer.start()
        same("it went on", self.hub, self.peer)
        again = self.hub.served() - before - size
        # What was in flight in two requests of 8 MiB each was not recorded yet.
        check(f"of {size} bytes {again} came twice", 0 <= again <= 24 * MIB, True)
        self.peer.server.stop()
        before = self.hub.served()
        self.peer.start()
        same("after a stop in order", self.hub, self.peer)
        check("nothing is fetched again", self.hub.served(), before)

    def without_streams(self):
        """The hub refuses streams and gives few bytes at a time: everything goes by chunk-requests."""
        self.hub.server.stop()
        self.hub.configure(streaming="false", response_bytes="777777")
        self.hub.start()
        self.put("by pages", 34 * MIB)
        self.put("by chunks", 3 * MIB + 7)
        same("by chunks and pages", self.hub, self.peer)
        check("streams are off for this hub", self.peer.state()["no_streams"], 1)
        Probes(self.peer.folder, self.guid).run(streams=False)

    def second(self):
        """A second clone of this kind comes in, and gets what the hub does not give any more from the first."""
        other = self.clone("other", 2)
        other.start()
        same("it never heard of what was removed before, and is equal", self.hub, other)
        wait_for("the clones know each other", lambda: (other.state()["listed"], self.peer.state()["listed"]) == (2, 2))
        self.hub.server.stop()
        self.peer.call("put", self.file("among peers", 5 * MIB + 1), "among peers")
        good = wait_for("from clone to clone", lambda: "among peers" in other.tree())
        if good:
            found = other.bytes("among peers", self.work / "other files")
            check("from clone to clone", found == (self.work / "files" / "among peers").read_bytes(), True)
        self.hub.start()
        same("the hub is back", self.hub, self.peer)
        same("and equal to both", self.hub, other)
        print(self.hub.do("audit", "alice"), flush=True)
        other.server.stop()
        self.peer.server.stop()
        self.hub.server.stop()

    def judged(self):
        """The suite's client side judges the peer."""
        folder, key, guid = self.work / "judged", self.work / "test channel.pem", secrets.token_hex(32)
        save_key(key, rsa.generate_private_key(public_exponent=65537, key_size=2048))
        url, environment = f"http://127.0.0.1:{self.ports[1]}", os.environ | {"PEER_PAUSE_S": "0.1", "PEER_TIMEOUT_S": "5"}
        line = [sys.executable, str(HERE / "main.py")]
        subprocess.run([*line, "init", folder, "--url", url, "--key", key, "--guid", guid], check=True)
        subprocess.run([*line, "restart", folder], check=True, env=environment)
        again = shlex.join([*line, "restart", str(folder)])
        command = [self.hub.program, "conform", url, f"--guid={guid}", "--key", key, "--side", "client", "--restart", again]
        found = subprocess.run([*command, "--known", HERE / "known.toml", "--quiet"], env=environment)
        subprocess.run([*line, "stop", folder], check=True)
        check("the client's side holds", found.returncode, 0)
        if found.returncode:
            print("".join(open(f"{folder}.log").readlines()[-25:]))


def hub_bytes(hub, path, work):
    hub.do("get", "alice", path, work / "got")
    return (work / "got").read_bytes()


def main():
    story = Story(sys.argv[1], pathlib.Path(sys.argv[2]))
    try:
        story.run()
    finally:
        for process in (story.hub.server.process, *(p.server.process for p in [story.peer] if hasattr(p, "server"))):
            if process.poll() is None:
                process.terminate()
    print(f"{len(failures)} checks failed" if failures else "all checks hold")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
