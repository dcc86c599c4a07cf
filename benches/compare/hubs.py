"""Zotferry hubs: made, run, asked, stopped, and one measured transfer between two of them."""

import hashlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

from peers import Sample, cpu, free_port, peak

NICK = "alice"
PASSPHRASE = "a passphrase for benchmarks"
MODES = {
    "stream": {},
    "chunks": {"streaming": "false"},
    "capped": {"streaming": "false", "response_bytes": "1048576"},
}


class Local(http.client.HTTPConnection):
    """One connection to a hub's own socket, kept open."""

    def __init__(self, folder):
        super().__init__("hub", timeout=600)
        self.folder, self.used = folder, 0

    def connect(self):
        # Through the folder's descriptor the address is short, wherever the folder lies.
        held = os.open(self.folder, os.O_PATH)
        try:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(self.timeout)
            self.sock.connect(f"/proc/self/fd/{held}/hub.sock")
        finally:
            os.close(held)

    def post(self, path, question):
        if time.monotonic() - self.used > 5:
            self.close()  # The hub hangs up on those that say nothing; the next line connects.
        self.request("POST", path, json.dumps(question), {"content-type": "application/json"})
        answer, self.used = self.getresponse(), time.monotonic()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {answer.read()[:500]!r}")
        return answer

    def ask(self, path, question):
        return json.loads(self.post(path, question).read())


class Hub:
    """A hub in a folder. `before` is a command that runs others, as `badnet run NAME a`."""

    def __init__(self, program, folder, settings=None, host="127.0.0.1", before=()):
        self.program, self.folder = str(program), pathlib.Path(folder)
        self.before, self.process = list(before), None
        address = f"{host}:{free_port()}"
        making = [self.program, "init", folder, "--url", f"http://{address}", "--listen", address]
        subprocess.run(making, check=True, stdout=subprocess.DEVNULL)
        if host != "127.0.0.1":
            net = '["' + host.rsplit(".", 1)[0] + '.0/24"]'
            settings = {"allow": net, "plain_http": net} | (settings or {})
        self.configure(settings or {})

    def configure(self, settings):
        path = self.folder / "config.toml"
        text = path.read_text()
        for name, value in settings.items():
            text, found = re.subn(rf"(?m)^{name} = .*$", f"{name} = {value}", text)
            if found != 1:
                raise RuntimeError(f"config.toml has no single line for {name}")
        path.write_text(text)

    def start(self):
        with open(self.folder / "hub.log", "ab") as log:
            self.process = subprocess.Popen(
                [*self.before, self.program, "hub", "--until-stdin-ends", self.folder],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        if not self.process.stdout.readline().startswith(b"listening on"):
            raise RuntimeError((self.folder / "hub.log").read_text()[-2000:])
        self.local = Local(self.folder)
        return self

    def run(self, *command):
        """One command beside the hub. What a passphrase costs in memory, it costs this process."""
        subprocess.run([self.program, "--dir", self.folder, *command], check=True,
                       stdout=subprocess.DEVNULL, env=os.environ | {"ZOTFERRY_PASSPHRASE": PASSPHRASE})

    @property
    def pid(self):
        return self.process.pid

    def stop(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.local.close()
            self.process.send_signal(how)
            self.process.wait(60)
        if self.process:
            self.process.stdin.close()
            self.process.stdout.close()
            self.process = None

    def remove(self):
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def status(self):
        return self.local.ask("/status", {})

    def counts(self):
        return self.status()["running"]["counts"]

    def pause(self, paused):
        self.local.ask("/pause", {"channel": NICK, "paused": paused})

    def put(self, path):
        paths = sorted(map(str, path.iterdir())) if path.is_dir() else [str(path)]
        question = {"channel": NICK, "paths": paths, "to": "/"}
        lines = self.local.post("/put", question).read().splitlines()
        if json.loads(lines[-1]) != "end":
            raise RuntimeError(f"put: {lines[-1][:500]!r}")

    def matches(self, path, names):
        """Whether the channel's files hold what the files below `path` hold."""
        for name in names:
            ours, theirs = hashlib.sha256(), hashlib.sha256()
            answer = self.local.post("/get", {"channel": NICK, "path": f"/{name}"})
            while piece := answer.read(1 << 20):
                ours.update(piece)
            with open(path / name, "rb") as file:
                while piece := file.read(1 << 20):
                    theirs.update(piece)
            if ours.digest() != theirs.digest():
                return False
        return True


class Pair:
    """An origin with files, and clones of it, one at a time."""

    def __init__(self, program, work, name, settings, hosts=("127.0.0.1", "127.0.0.1"),
                 before=((), ())):
        self.program, self.work, self.name = program, pathlib.Path(work), name
        self.hosts, self.before, self.clone, self.made = hosts, before, None, 0
        folder = self.work / f"{name}-origin"
        self.origin = Hub(program, folder, settings, hosts[0], before[0])

    def fill(self, source):
        """Puts the files on the origin, once."""
        local = self.origin.local
        local.ask("/channel/new", {"nick": NICK})
        self.origin.put(source)
        self.total = self.origin.status()["channels"][0]["present"]
        self.identity = self.origin.folder.with_name(f"{self.name}.id")
        self.origin.run("channel", "export", NICK, self.identity)
        # A new process, so that its peak memory says nothing about the putting.
        self.origin.stop()
        self.origin.start()

    def introduce(self):
        """A fresh clone that knows every file and has none: its transfers rest."""
        self.made += 1
        folder = self.work / f"{self.name}-clone-{self.made}"
        self.clone = Hub(self.program, folder, None, self.hosts[1], self.before[1]).start()
        # The origin stands still until the clone rests, so nothing is fetched before its time.
        os.kill(self.origin.pid, signal.SIGSTOP)
        try:
            self.clone.run("channel", "import", self.identity)
            self.clone.pause(True)
        finally:
            os.kill(self.origin.pid, signal.SIGCONT)
        wait(lambda: self.tally("wanted")["files"] == self.total["files"], 300)
        if self.clone.counts()["bytes_fetched"]:
            raise RuntimeError("the clone fetched while it should rest")

    def tally(self, state):
        return self.clone.status()["channels"][0][state]

    def arrived(self):
        channel = self.clone.status()["channels"][0]
        if channel["failed"]["files"]:
            raise RuntimeError("the clone gave files up: " + str(channel))
        return channel["present"]["files"] == self.total["files"]

    def transfer(self, patience=1800):
        """From "go on" to the last durable commit, which the hub records itself."""
        hubs = (self.clone, self.origin)
        counts, used = [h.counts() for h in hubs], [cpu(h.pid) for h in hubs]
        begin = time.time()
        self.clone.pause(False)
        wait(self.arrived, patience, 0.1)
        after = [h.counts() for h in hubs]
        return Sample(
            wall=after[0]["last_commit_ms"] / 1000 - begin,
            cpu=tuple(cpu(h.pid) - u for h, u in zip(hubs, used)),
            rss=tuple(peak(h.pid) for h in hubs),
            counts={k: sum(a[k] - c[k] for a, c in zip(after, counts)) for k in after[0]},
        )

    def drop_clone(self):
        if self.clone:
            self.clone.remove()
            self.clone = None

    def remove(self):
        self.drop_clone()
        self.origin.remove()
        self.identity.unlink(missing_ok=True)


def wait(done, patience, pause=0.01):
    end = time.monotonic() + patience
    while not done():
        if time.monotonic() > end:
            raise RuntimeError(f"not done after {patience} s")
        time.sleep(pause)
