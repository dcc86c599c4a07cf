"""Cases for audit.md: audit.json, and its packets for packets.json and envelopes.json."""

import functools
import hashlib

from . import tree
from .cases_sync import R1, R2, R3
from .versions import edit, version
from .wire import NOW, pack, plain

ZERO = bytes(32)


def key(kind, id_):
    """AUDIT-1."""
    return hashlib.sha256(kind.encode() + b"\0" + id_.encode()).digest()


def attach_leaf(id_, place, meta, content=None, removed=None, folder="", filename="a", root=None):
    """AUDIT-2."""
    return hashlib.sha256(pack(["attach", id_, place, meta, content, removed, folder, filename, root])).digest()


def item_leaf(mid, version_):
    """AUDIT-3."""
    return hashlib.sha256(pack(["item", mid, version_])).digest()


def xor(digests):
    """AUDIT-4."""
    return functools.reduce(lambda a, b: bytes(x ^ y for x, y in zip(a, b)), digests, ZERO)


def cases():
    return {"keys": keys(), "attach": attach(), "items": items(), "ranges": ranges()}


def keys():
    ids = [("attach", "f1"), ("attach", "x" * 64), ("item", "f1"), ("item", "https://hub.example/item/\u00fc")]
    return [{"name": f"{k} {i[:32]}", "requirement": "AUDIT-1", "kind": k, "id": i, "key": key(k, i).hex()} for k, i in ids]


def attach():
    v1 = edit(None, R1, NOW)
    v2 = edit(v1, R2, NOW)
    full = version({R3: 2**63 - 1, R1: 127, R2: 128}, 2**63 - 1, R2)
    entries = [
        ("a folder at the top", {"id_": "d1", "place": v1, "meta": v1, "filename": "Photos"}),
        ("a file in a folder", {"id_": "f1", "place": v1, "meta": v2, "content": v1, "folder": "d1", "root": tree.leaf(b"abc")}),
        ("a file that was removed", {"id_": "f1", "place": v1, "meta": v1, "content": v1, "removed": v2}),
        ("a file that came back", {"id_": "f1", "place": v1, "meta": v1, "content": edit(v2, R1, NOW), "removed": v2, "root": tree.leaf(b"abc")}),
        ("a folder that was removed", {"id_": "d1", "place": v1, "meta": v1, "removed": v2}),
        ("three replicas, long names", {
            "id_": "x" * 64, "place": full, "meta": full, "content": full, "folder": "y" * 64, "filename": "\u00fc" * 127,
            "root": tree.root([])}),
    ]
    return [
        {"name": name, "requirement": "AUDIT-2", **plain({"folder": "", "filename": "a"} | e), "digest": attach_leaf(**e).hex()}
        for name, e in entries
    ]


def items():
    v1 = edit(None, R1, NOW)
    mids = ["https://hub.example/item/5a0f", "\u00fc"]
    return [
        {"name": m, "requirement": "AUDIT-3", "mid": m, "version": plain(v1), "digest": item_leaf(m, v1).hex()} for m in mids
    ]


def ranges():
    leaves = [tree.leaf(bytes([n])) for n in range(5)]
    lists = [("no leaf", []), ("one leaf", leaves[:1]), ("a leaf twice", 2 * leaves[:1]), ("five leaves", leaves), ("in another order", leaves[::-1])]
    return [
        {"name": name, "requirement": "AUDIT-4", "leaves": plain(ls), "count": len(ls), "digest": xor(ls).hex()} for name, ls in lists
    ]


def packets():
    """Name, type, fields."""
    leaves = [(key("attach", f"f{n}"), tree.leaf(bytes([n]))) for n in range(3)]
    listed = b"".join(k + d for k, d in sorted(leaves))
    below = [ZERO] * 254 + [leaves[0][1], leaves[1][1]]
    whole = xor(d for _, d in leaves)
    return [
        ("everything", "audit-request", {"ranges": [{"prefix": b"", "digest": whole, "list": False}]}),
        ("two ranges, one of them listed further", "audit-request", {"ranges": [
            {"prefix": b"\x07", "digest": ZERO, "list": True}, {"prefix": b"\0\1\2\xff", "digest": whole, "list": True, "after": leaves[0][0]}]}),
        ("equal, divided, listed", "audit-page", {"ranges": [
            {"range": 0, "digest": whole, "count": 3},
            {"range": 1, "digest": xor(below), "count": 300, "digests": b"".join(below), "counts": [0] * 254 + [44, 256]},
            {"range": 3, "digest": whole, "count": 3, "leaves": listed},
            {"range": 4, "digest": whole, "count": 4, "leaves": listed, "more": True},
            {"range": 5, "digest": ZERO, "count": 0, "leaves": b""}]}),
        ("two entries", "entry-request", {"keys": [k for k, _ in leaves[:2]]}),
    ]


def bad_fields():
    """Name, requirement, type, fields: refused with bad-field."""
    part = {"prefix": b"", "digest": ZERO, "list": False}
    page = lambda **c: {"ranges": [{"range": 0, "digest": ZERO, "count": 0, **c}]}
    divided = {"digests": 256 * ZERO, "counts": 256 * [0]}
    return [
        ("no range to compare", "AUDIT-5", "audit-request", {"ranges": []}),
        ("a prefix of 5 bytes", "AUDIT-5", "audit-request", {"ranges": [{**part, "prefix": bytes(5)}]}),
        ("a range without a digest", "PKT-7", "audit-request", {"ranges": [{"prefix": b"", "list": False}]}),
        ("257 ranges", "PKT-4", "audit-request", {"ranges": 257 * [part]}),
        ("no entry", "AUDIT-9", "entry-request", {"keys": []}),
        ("a key of 31 bytes", "PKT-23", "entry-request", {"keys": [ZERO[:-1]]}),
        ("257 keys", "PKT-4", "entry-request", {"keys": 257 * [ZERO]}),
        ("half a leaf", "AUDIT-8", "audit-page", page(leaves=ZERO)),
        ("divided by 255", "AUDIT-8", "audit-page", page(**{**divided, "digests": 255 * ZERO})),
        ("257 counts", "PKT-4", "audit-page", page(**{**divided, "counts": 257 * [0]})),
        ("divided and listed", "AUDIT-8", "audit-page", page(**divided, leaves=b"")),
        ("counts alone", "AUDIT-8", "audit-page", page(counts=256 * [0])),
        ("a range twice", "AUDIT-6", "audit-page", {"ranges": 2 * page()["ranges"]}),
    ]
