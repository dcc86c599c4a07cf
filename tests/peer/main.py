"""The peer: a clone of a channel, made from `spec/` alone.

    python3 main.py init DIR --url URL --key CHANNEL.pem --guid GUID [--hub URL] [--quota BYTES]
    python3 main.py run DIR [--listen HOST:PORT]
    python3 main.py stop|restart DIR
    python3 main.py put|mkdir|mv|rm|ls|state|audit DIR ...

`run` serves until SIGTERM or SIGINT. The others work beside it: they write into the same SQLite file.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import urllib.parse

from broken import MUTANTS, break_it
from clone import Clone, init, load_key
from edits import view
from server import serve


def run(arguments):
    clone = Clone(arguments.dir, log=sys.stderr)
    if arguments.broken:
        break_it(clone, arguments.broken)
    listen = arguments.listen or urllib.parse.urlsplit(clone.url).netloc
    clone.begin()
    server = serve(clone, listen)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: clone.stopping.set())
    pathlib.Path(arguments.dir, "pid").write_text(str(os.getpid()))
    print(f"{clone.url} listens on {listen}", flush=True)
    clone.run(server)
    pathlib.Path(arguments.dir, "pid").unlink(missing_ok=True)


def stop(arguments):
    """Stops a clone that runs, in order, and waits for its end."""
    pid = pathlib.Path(arguments.dir, "pid")
    while pid.exists():
        try:
            os.kill(int(pid.read_text()), signal.SIGTERM)
        except (ProcessLookupError, FileNotFoundError):  # it was killed, or has just ended
            pid.unlink(missing_ok=True)
        time.sleep(0.1)


def restart(arguments):
    """Stops a clone and starts it again in the background."""
    stop(arguments)
    with open(f"{arguments.dir}.log", "ab") as log:
        line = [sys.executable, __file__, "run", arguments.dir]
        subprocess.Popen(line, stdout=log, stderr=log, start_new_session=True)
    while not pathlib.Path(arguments.dir, "pid").exists():
        time.sleep(0.05)


def make(arguments):
    init(arguments.dir, arguments.url, load_key(arguments.key), arguments.guid, arguments.hub, arguments.quota)


def put(arguments):
    Clone(arguments.dir).edits.put(arguments.source, arguments.path)


def mkdir(arguments):
    Clone(arguments.dir).edits.make_folder(arguments.path)


def move(arguments):
    Clone(arguments.dir).edits.move(arguments.path, arguments.to)


def remove(arguments):
    Clone(arguments.dir).edits.remove(arguments.path)


def export(arguments):
    """Writes every file that is here into a folder, under the path that is shown."""
    clone, into = Clone(arguments.dir), pathlib.Path(arguments.into)
    for path, entry in view(clone.catalog).items():
        target = into / path
        if entry.is_dir:
            target.mkdir(parents=True, exist_ok=True)
        elif clone.blobs.has(entry.root):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(clone.blobs.path(entry.root), target)


def listing(arguments):
    clone = Clone(arguments.dir)
    for path, entry in sorted(view(clone.catalog).items()):
        here = entry.is_dir or clone.blobs.has(entry.root)
        print(json.dumps({"path": path, "dir": entry.is_dir, "here": here, "size": entry.value("filesize")}))


def state(arguments):
    """What is here, what is wanted, and what waits for whom."""
    store = Clone(arguments.dir).store

    def count(query):
        return store.one("SELECT count(*) AS n FROM " + query)["n"]

    print(json.dumps({
        "listed": count("hubs WHERE state = 'listed' AND NOT deleted"), "entries": count("entries"),
        "held": count("contents WHERE state = 'held'"), "wanted": count("contents WHERE state = 'wanted'"),
        "waiting": count("operations") + count("reports"), "audited": count("hubs WHERE audited > 0"),
        "offsets": [row["offset"] for row in store.all("SELECT offset FROM hubs")],
        "no_streams": count("hubs WHERE no_streams > 0"), "partials": count("partials"),
        "said": [tuple(row)[1:] for row in store.all("SELECT * FROM said")],
    }))  # fmt: skip


def audit(arguments):
    """Compares with every listed hub; ends with 6 where something differs."""
    clone, differs = Clone(arguments.dir), False
    for row in clone.hubs.all_listed():
        theirs, ours = clone.courier.audit(row["site"], repair=False)
        equal = not theirs and not ours
        differs |= not equal
        print(f"{row['url']}: " + ("equal" if equal else f"{len(theirs)} there and {len(ours)} here differ"))
    return 6 if differs else 0


COMMANDS = {
    "init": (make, []), "run": (run, []), "stop": (stop, []), "restart": (restart, []), "put": (put, ["source", "path"]), "mkdir": (mkdir, ["path"]),
    "mv": (move, ["path", "to"]), "rm": (remove, ["path"]), "ls": (listing, []), "export": (export, ["into"]),
    "state": (state, []), "audit": (audit, []),
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, (function, positional) in COMMANDS.items():
        command = commands.add_parser(name)
        command.add_argument("dir")
        for argument in positional:
            command.add_argument(argument)
        if name == "run":
            command.add_argument("--listen")
            command.add_argument("--broken", choices=MUTANTS, help="a rule that this peer forgets")
        if name == "init":
            for option in ("--url", "--key", "--guid"):
                command.add_argument(option, required=True)
            command.add_argument("--hub")
            command.add_argument("--quota", type=int)
        command.set_defaults(function=function)
    arguments = parser.parse_args()
    return arguments.function(arguments)


if __name__ == "__main__":
    sys.exit(main())
