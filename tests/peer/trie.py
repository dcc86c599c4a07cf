"""Leaves and ranges of a catalog, and how two are compared (audit.md)."""

import hashlib

import msgpack

from refusals import need
from versions import canonical

FEW = 128
ROOM = 900_000


def leaf_key(kind, name):
    """AUDIT-1."""
    return hashlib.sha256(kind.encode() + b"\0" + name.encode()).digest()


def attach_digest(resource, place, meta, content, removed, folder, filename, root):
    """AUDIT-2."""
    versions = [canonical(version) for version in (place, meta, content, removed)]
    return hashlib.sha256(msgpack.packb(["attach", resource, *versions, folder, filename, root])).digest()


def item_digest(mid, version):
    """AUDIT-3."""
    return hashlib.sha256(msgpack.packb(["item", mid, canonical(version)])).digest()


def sum_of(digests):
    """AUDIT-4."""
    total = 0
    for digest in digests:
        total ^= int.from_bytes(digest, "big")
    return total.to_bytes(32, "big")


class Leaves:
    """All leaves of a catalog at one moment: key to digest."""

    def __init__(self, leaves):
        self.leaves = sorted(leaves.items())

    def below(self, prefix):
        return [(key, digest) for key, digest in self.leaves if key.startswith(prefix)]

    def digest(self, prefix):
        return sum_of(digest for _, digest in self.below(prefix))

    def page(self, ranges):
        """The answer to an audit-request (AUDIT-6 to AUDIT-8)."""
        out, used = [], 0
        for number, asked in enumerate(ranges):
            part = self.answer(number, asked, ROOM - used)
            size = len(msgpack.packb(part))
            if out and used + size > ROOM:
                break
            out.append(part)
            used += size
        return out

    def answer(self, number, asked, room):
        found, prefix, after = self.below(asked["prefix"]), asked["prefix"], asked.get("after")
        part = {"range": number, "digest": sum_of(digest for _, digest in found), "count": len(found)}
        if part["digest"] == asked["digest"] and after is None:
            return part
        if not (asked["list"] or after is not None or len(prefix) == 4 or len(found) <= FEW):
            below = [prefix + bytes([byte]) for byte in range(256)]
            part["digests"] = b"".join(map(self.digest, below))
            part["counts"] = [len(self.below(one)) for one in below]
            return part
        rest = [leaf for leaf in found if after is None or leaf[0] > after]
        fits = max(room // 64, 1)
        part["leaves"] = b"".join(key + digest for key, digest in rest[:fits])
        if len(rest) > fits:
            part["more"] = True
        return part


def compare(ours, ask):
    """The keys about which another catalog says something else: two maps, key to digest, theirs and ours.

    `ask(ranges)` sends an audit-request and gives the `ranges` of its answer.
    """
    theirs, mine = {}, {}
    waiting = [{"prefix": b"", "digest": ours.digest(b""), "list": False}]
    while waiting:
        asked, waiting = waiting[:256], waiting[256:]
        answered = ask(asked)
        need([part["range"] for part in answered] == list(range(len(answered))) and answered, "ranges out of order")
        waiting = asked[len(answered) :] + waiting
        for part in answered:
            waiting += differences(ours, asked[part["range"]], part, theirs, mine)
    return theirs, mine


def differences(ours, asked, part, theirs, mine):
    """What one range of an answer shows; the ranges that have to be asked next."""
    prefix, after = asked["prefix"], asked.get("after")
    if part["digest"] == asked["digest"] and after is None:
        return []
    if part.get("digests") is not None:
        return [
            {"prefix": below, "digest": ours.digest(below), "list": len(ours.below(below)) <= 8}
            for byte in range(256)
            for below in [prefix + bytes([byte])]
            if part["digests"][32 * byte : 32 * byte + 32] != ours.digest(below)
        ]
    leaves = part.get("leaves")
    need(leaves is not None, "a range that differs without its leaves")
    listed = {leaves[i : i + 32]: leaves[i + 32 : i + 64] for i in range(0, len(leaves), 64)}
    need(list(listed) == sorted(listed) and all(key.startswith(prefix) for key in listed), "leaves out of order")
    last = max(listed, default=after)
    more = bool(part.get("more"))
    need(not more or listed, "more of nothing")
    here = {
        key: digest for key, digest in ours.below(prefix) if (after is None or key > after) and (not more or key <= last)
    }
    theirs |= {key: digest for key, digest in listed.items() if here.get(key) != digest}
    mine |= {key: digest for key, digest in here.items() if listed.get(key) != digest}
    return [{**asked, "after": last}] if more else []
