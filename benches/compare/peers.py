"""The programs Zotferry is compared with, and how processes are measured."""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import socket
import subprocess
import threading
import time

PACKAGES = {"nginx": "nginx", "rsync": "rsync", "rclone": "rclone", "aria2c": "aria2",
            "curl": "curl", "restic": "restic"}
TICK = os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass
class Sample:
    """One measurement; pairs are (client, server), memory is in bytes."""

    wall: float
    cpu: tuple
    rss: tuple
    counts: dict = dataclasses.field(default_factory=dict)
    size: int = 0


def install():
    missing = sorted({p for tool, p in PACKAGES.items() if not shutil.which(tool)})
    if missing:
        subprocess.run(["apt-get", "install", "-y", *missing], check=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def tree(pid):
    """A process and all below it."""
    found = [pid]
    for one in found:
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{one}/task"):
                children = pathlib.Path(f"/proc/{one}/task/{task}/children").read_text()
                found += map(int, children.split())
    return found


def cpu(pid):
    """Seconds of a process, of those below it, and of those that ended there."""
    ticks = 0
    for one in tree(pid):
        with contextlib.suppress(OSError):
            stat = pathlib.Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += sum(map(int, stat[11:15]))
    return ticks / TICK


def peak(pid):
    """VmHWM of the largest process of a tree."""
    most = 0
    for one in tree(pid):
        with contextlib.suppress(OSError):
            for line in open(f"/proc/{one}/status"):
                if line.startswith("VmHWM:"):
                    most = max(most, int(line.split()[1]) * 1024)
    return most


class Peaks(threading.Thread):
    """Watches the peaks of trees whose processes may be gone when they could be asked."""

    def __init__(self, pids):
        super().__init__(daemon=True)
        self.pids, self.most, self.done = pids, [0] * len(pids), threading.Event()
        self.start()

    def run(self):
        while not self.done.wait(0.03):
            self.most = [max(m, peak(p)) for m, p in zip(self.most, self.pids)]

    def end(self):
        self.done.set()
        self.join()
        return tuple(self.most)


class Server:
    """A server on loopback (or inside a namespace, run by `before`), ended by its own pid."""

    def __init__(self, command, port, host="127.0.0.1", before=()):
        self.port, self.host, self.before = port, host, list(before)
        self.process = subprocess.Popen([*before, *map(str, command)], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.ready()

    def ready(self):
        probe = [*self.before, "bash", "-c", f"exec 3<>/dev/tcp/{self.host}/{self.port}"]
        for _ in range(100):
            if self.process.poll() is not None:
                raise RuntimeError("a server ended at once")
            if subprocess.run(probe, stderr=subprocess.DEVNULL, check=False).returncode == 0:
                return
            time.sleep(0.1)
        raise RuntimeError("a server does not listen")

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def nginx(work, root, host="127.0.0.1", before=()):
    port, folder = free_port(), pathlib.Path(work) / "nginx"
    folder.mkdir(exist_ok=True)
    temporary = "".join(f"{kind}_temp_path {folder}/{kind}; " for kind in
                        ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"user root; worker_processes auto; daemon off; pid {folder}/pid; error_log {folder}/log;\n"
        f"events {{}}\nhttp {{ {temporary} access_log off; sendfile on; tcp_nopush on;\n"
        f"server {{ listen {host}:{port}; root {root}; }} }}\n")
    return Server(["nginx", "-p", folder, "-c", folder / "nginx.conf"], port, host, before)


def rsyncd(work, root):
    port, config = free_port(), pathlib.Path(work) / "rsyncd.conf"
    config.write_text("use chroot = no\nuid = 0\ngid = 0\nlog file = /dev/null\n"
                      f"[src]\npath = {root}\nread only = yes\n")
    return Server(["rsync", "--daemon", "--no-detach", f"--config={config}", f"--port={port}",
                   "--address=127.0.0.1"], port)


def rclone_http(root):
    port = free_port()
    return Server(["rclone", "serve", "http", root, "--addr", f"127.0.0.1:{port}"], port)


def run(command, server, durable, before=()):
    """Runs a client, makes its result durable, and measures both ends. `durable` is a file that
    is fsynced, or a folder whose file system is."""
    used, begin = cpu(server.process.pid), time.monotonic()
    child = subprocess.Popen([*before, *map(str, command)], stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peaks = Peaks((child.pid, server.process.pid))
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{command[0]} ended with {child.returncode}")
    spent = usage.ru_utime + usage.ru_stime + settle(durable)
    wall, rss = time.monotonic() - begin, peaks.end()
    while len(tree(server.process.pid)) > 1 and command[0] == "rsync":
        time.sleep(0.01)  # A daemon's worker counts once it has been waited for.
    return Sample(wall, (spent, cpu(server.process.pid) - used), rss)


def settle(durable):
    """Makes a file, or a folder's file system, durable; says what CPU time that took."""
    if durable.is_dir():
        child = subprocess.Popen(["sync", "-f", durable])
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        return usage.ru_utime + usage.ru_stime
    begin, file = time.thread_time(), os.open(durable, os.O_RDONLY)
    os.fsync(file)
    os.close(file)
    return time.thread_time() - begin
