"""Versions of registers: which is newer, which wins, what an edit makes of one (SYNC-20 to SYNC-26)."""

import datetime
import hashlib

import msgpack

from refusals import need
from shapes import Map, binary, fields, uint


def version(value):
    """SYNC-21."""
    top = 2**63 - 1
    fields(hlc=uint(top), replica=binary(8))(value)
    vector = value.get("vector")
    need(isinstance(vector, Map) and not vector.twice and 1 <= len(vector) <= 256, "a vector")
    for replica, counter in vector.items():
        binary(8)(replica)
        uint(top, 1)(counter)
    need(value["replica"] in vector, "a writer outside the vector")


def has_seen(a, b):
    """Whether version `a` has seen the edit that wrote what `b` stands for (SYNC-26)."""
    return a["vector"].get(b["replica"], 0) >= b["vector"][b["replica"]]


def includes(a, b):
    """Whether version `a` is newer than `b` or equal to it (SYNC-24)."""
    seen = all(a["vector"].get(replica, 0) >= counter for replica, counter in b["vector"].items())
    return seen and (b["hlc"], b["replica"]) <= (a["hlc"], a["replica"])


def weight(a):
    """Of concurrent versions the one that weighs more wins (SYNC-25)."""
    return a["hlc"], a["replica"], sum(a["vector"].values()), sorted(a["vector"].items())


def merge(held, new):
    """What a register's version is after `new` came, and whether the value of `new` is taken (SYNC-24 to 27)."""
    if includes(held, new):
        return held, False
    if includes(new, held):
        return new, True
    winner = max(held, new, key=weight)
    vector = {r: max(held["vector"].get(r, 0), new["vector"].get(r, 0)) for r in held["vector"] | new["vector"]}
    return {**winner, "vector": vector}, winner is new


def join(a, b):
    """What has seen all that either has (SYNC-33); `hlc` and `replica` are those of the later one."""
    if a is None or b is None:
        return a or b
    vector = {r: max(a["vector"].get(r, 0), b["vector"].get(r, 0)) for r in a["vector"] | b["vector"]}
    later = max(a, b, key=lambda one: (one["hlc"], one["replica"]))
    return {"vector": vector, "hlc": later["hlc"], "replica": later["replica"]}


def edit(previous, replica, now):
    """The version of an edit of what stands under `previous` (SYNC-22, SYNC-23)."""
    vector = dict(previous["vector"]) if previous else {}
    vector[replica] = vector.get(replica, 0) + 1
    return {"vector": vector, "hlc": max(now << 16, previous["hlc"] + 1 if previous else 0), "replica": replica}


def canonical(a):
    """A version as it is hashed: its vector in the order of the replica ids (SYNC-37, AUDIT-2)."""
    if a is None:
        return None
    return {"vector": dict(sorted(a["vector"].items())), "hlc": a["hlc"], "replica": a["replica"]}


def copy_id(resource, loser):
    """The id of the conflict copy of `resource` that keeps the content of version `loser` (SYNC-37)."""
    text = b"zot-file-conflict\n" + resource.encode() + b"\n" + msgpack.packb(canonical(loser))
    digits = hashlib.sha256(text).hexdigest()[:32]
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def split_name(name):
    """What stands before the last dot, and what from it on."""
    dot = name.rfind(".")
    return (name[:dot], name[dot:]) if dot > 0 else (name, "")


def copy_name(name, loser):
    """SYNC-38."""
    clock = datetime.datetime.fromtimestamp((loser["hlc"] >> 16) // 1000, datetime.timezone.utc)
    mark = f".conflict-{clock:%Y%m%d-%H%M%S}-{loser['replica'].hex()}"
    stem, extension = split_name(name)
    room = 255 - len(mark) - len(extension.encode())
    if room < 1:
        stem, extension, room = name, "", 255 - len(mark)
    return stem.encode()[:room].decode(errors="ignore") + mark + extension
