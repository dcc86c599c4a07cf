"""Cases for sync.md: attach.json, versions.json."""

import datetime
import hashlib

from . import versions
from .versions import edit, version
from .wire import NOW, pack, plain

R1, R2, R3 = b"\1" * 8, b"\2" * 8, b"\3" * 8
LOCAL = ["id", "aid", "uid", "content", "os_path", "display_path", "os_storage"]


def row(hash="f1", folder="", filename="notes.txt", **changes):
    out = {
        "hash": hash, "creator": "", "filename": filename, "filetype": "text/plain", "filesize": 3,
        "revision": 0, "folder": folder, "flags": 0, "is_dir": 0, "is_photo": 0,
        "created": "2027-01-15 08:00:00", "edited": "2027-01-15 08:00:00",
        "allow_cid": "", "allow_gid": "", "deny_cid": "", "deny_gid": "", "mtime": None, "executable": None,
        "title": None,
    }
    out.update(changes)
    return out


def without(fields, *names):
    return {k: v for k, v in fields.items() if k not in names}


GOOD_NAMES = [
    "a", ".a", "...", "-rf", " ", "a\nb", "a\\b", "CON", "\u202egpj.exe", "e\u0301", "\u00e9", "\u00fc" * 127,
    "x" * 255, "name.conflict", "\U0001f600",
]
BAD_NAMES = ["", ".", "..", "/", "a/b", "nul\0", "x" * 256, "\u00fc" * 128]


def attach():
    return {
        "names": [{"name": repr(n)[:40], "requirement": "SYNC-6", "filename": n} for n in GOOD_NAMES],
        "names_bad": [
            {"name": repr(n)[:40], "requirement": "SYNC-6", "filename": n, "row": pack(row(filename=n)).hex()}
            for n in BAD_NAMES
        ],
        "rows": rows(),
        "rows_local": rows_local(),
        "rows_bad": rows_bad(),
    }


def rows():
    term = [{"term": "holiday", "ttype": 1}, None, 1.5, -7, b"\0\1", True]
    cases = [
        ("a file", row(), "SYNC-7"),
        ("a folder", row("d1", "", "Photos", filetype="multipart/mixed", filesize=0, is_dir=1), "SYNC-7"),
        ("everything set", row(
            "f" * 64, "d-1_A", "\u00fc.txt", creator="c" * 86, filesize=2**44, revision=2**32 - 1, flags=2**32 - 1,
            is_photo=1, allow_cid="<a><b>", allow_gid="<g>", deny_cid="<c>", deny_gid="<h>",
            mtime=NOW, executable=True, title="T\u00eftle"), "SYNC-7"),
        ("fields that are not known", row(term=term, later={"deep": [[[[]]]]}), "SYNC-7"),
        ("64 fields", row(**{f"x{n}": n for n in range(45)}), "SYNC-18"),
    ]
    return [
        {"name": name, "requirement": requirement, "fields": plain(fields), "row": pack(fields).hex()}
        for name, fields, requirement in cases
    ]


def rows_local():
    fields = row(term=[1]) | {name: 1 for name in LOCAL}
    return [{
        "name": "columns of one hub are dropped, the others kept", "requirement": "SYNC-19",
        "row": pack(fields).hex(), "kept": pack(row(term=[1])).hex(),
    }]


def rows_bad():
    good = row()
    twice = pack(good)
    assert twice[0] == 0xDE
    twice = b"\xde" + (len(good) + 1).to_bytes(2, "big") + twice[3:] + pack("filename") + pack("other")
    cases = [(f"no {field}", pack(without(good, field))) for field in good if field not in ("mtime", "executable", "title")]
    cases += [
        ("a field twice", twice),
        ("65 fields", pack(row(**{f"x{n}": n for n in range(46)}))),
        ("65,537 bytes", pack(row(x=b"\0" * (65_537 - len(pack(row())) - 2 - 3)))),
        ("a size as text", pack(row(filesize="3"))),
        ("a negative size", pack(row(filesize=-1))),
        ("a size as a float", pack(row(filesize=3.0))),
        ("is_dir as a bool", pack(row(is_dir=True))),
        ("a revision of 33 bits", pack(row(revision=2**32))),
        ("a folder that is no id", pack(row(folder="a/b"))),
        ("an empty id", pack(row(hash=""))),
        ("a name as bin", pack(row(filename=b"notes.txt"))),
        ("a list of readers as bin", pack(row(allow_cid=b""))),
        ("a title as bin", pack(row(title=b"Notes"))),
        ("an id as bin", pack(row(hash=b"f1"))),
        ("a known key as bin", pack({b"title" if k == "title" else k: v for k, v in row(title="Notes").items()})),
        ("a key that is no text", pack({**good, 1: 2})),
        ("an array", pack(list(good.values()))),
        ("a byte too many", pack(good) + b"\0"),
        ("a byte too few", pack(good)[:-1]),
        ("nested too deeply", pack(row(x=nested(16)))),
        ("an extension type", pack(good)[:-1] + b"\xd4\0\0"),
    ]
    assert len(dict(cases)["65,537 bytes"]) == 65_537
    return [
        {"name": name, "requirement": "SYNC-18", "row": raw.hex()} for name, raw in cases if name != "65,537 bytes"
    ] + [{"name": "65,537 bytes", "requirement": "SYNC-18", **zeros(dict(cases)["65,537 bytes"])}]


def zeros(raw):
    """Bytes that end in many zeros, written short."""
    head = raw.rstrip(b"\0")
    return {"row": head.hex(), "then_zeros": len(raw) - len(head)}


def nested(depth):
    out = []
    for _ in range(depth - 1):
        out = [out]
    return out


def version_cases():
    return {
        "encoded": encoded(), "bad": bad(), "edits": edits(), "pairs": pairs(), "removals": removals(), "revivals": revivals(),
        "copies": copies(), "cycles": cycles(),
    }


def encoded():
    many = {n.to_bytes(8, "big"): n for n in range(1, 257)}
    top = 2**63 - 1
    cases = [
        ("a first edit", version({R1: 1}, NOW << 16, R1)),
        ("two replicas", version({R1: 3, R2: 70_000}, NOW << 16 | 5, R2)),
        ("the largest numbers", version({R3: top}, top, R3)),
        ("256 replicas", version(many, 1, (256).to_bytes(8, "big"))),
    ]
    return [{"name": n, "requirement": "SYNC-20", "version": plain(v), "bytes": pack(v).hex()} for n, v in cases]


def bad():
    good = version({R1: 1}, 1, R1)
    many = {n.to_bytes(8, "big"): 1 for n in range(257)}
    twice = b"\x83" + pack("vector") + b"\x82" + 2 * (pack(R1) + b"\1") + pack("hlc") + b"\1" + pack("replica") + pack(R1)
    cases = [
        ("an empty vector", {**good, "vector": {}}),
        ("257 replicas", version(many, 1, bytes(8))),
        ("a counter of 0", {**good, "vector": {R1: 1, R2: 0}}),
        ("a counter above 2^63 - 1", {**good, "vector": {R1: 2**63}}),
        ("a clock above 2^63 - 1", {**good, "hlc": 2**63}),
        ("a writer outside the vector", {**good, "replica": R2}),
        ("a replica of 9 bytes", {**good, "vector": {R1: 1, b"\1" * 9: 1}}),
        ("no clock", {"vector": {R1: 1}, "replica": R1}),
        ("a negative counter", {**good, "vector": {R1: -1}}),
    ]
    out = [{"name": n, "requirement": "SYNC-21", "bytes": pack(v).hex()} for n, v in cases]
    return [*out, {"name": "a replica twice", "requirement": "SYNC-21", "bytes": twice.hex()}]


def edits():
    first = edit(None, R1, NOW)
    cases = [
        ("the first", None, R1, NOW, "SYNC-23"),
        ("by the same replica", first, R1, NOW + 1, "SYNC-23"),
        ("by another replica", first, R2, NOW + 1, "SYNC-23"),
        ("within the same ms", first, R1, NOW, "SYNC-22"),
        ("under a clock that was set back", first, R2, NOW - 86_400_000, "SYNC-22"),
    ]
    return [
        {
            "name": name, "requirement": requirement, "previous": plain(previous), "replica": replica.hex(),
            "now": now, "result": plain(edit(previous, replica, now)),
        }
        for name, previous, replica, now, requirement in cases
    ]


def removals():
    """What a removal has seen: the content, and earlier removals."""
    content, other = edit(None, R1, NOW), edit(None, R2, NOW + 5)
    removed = edit(content, R2, NOW + 1)
    cases = [
        ("of one content", [content], R2, NOW + 1),
        ("of a content that was removed before and put again", [edit(content, R1, NOW + 3), removed], R3, NOW + 4),
        ("of a folder", [], R1, NOW),
        ("of a folder that was removed before", [removed], R1, NOW),
        ("of a joined content", [versions.join(content, other)], R3, NOW),
    ]
    out = []
    for name, seen, replica, now in cases:
        result = edit(joined(seen), replica, now)
        out.append({
            "name": name, "requirement": "SYNC-33", "seen": [plain(v) for v in seen], "replica": replica.hex(), "now": now,
            "result": plain(result), "covers": [versions.has_seen(result, v) for v in [content, other]],
            "contents": [plain(content), plain(other)],
        })
    return out


def revivals():
    """New content for an entry that has `removed`: an edit of both, which no removal has seen."""
    content, other = edit(None, R1, NOW), edit(None, R2, NOW + 5)
    removed = edit(content, R2, NOW + 1)
    cases = [
        ("removed by another clone", content, removed, R1, NOW + 2),
        ("removed by the same clone", content, removed, R2, NOW + 2),
        ("removed by one that knew of no content", content, edit(None, R3, NOW), R1, NOW + 2),
        ("removed after a join", versions.join(content, other), edit(versions.join(content, other), R3, NOW + 9), R1, NOW + 2),
        ("removed under a clock that is ahead", content, edit(content, R2, NOW + 86_400_000), R1, NOW + 2),
        ("removed, put again, and removed again", edit(removed, R1, NOW + 2), edit(edit(removed, R1, NOW + 2), R3, NOW + 3), R2, NOW + 4),
        ("lives already", edit(content, R1, NOW + 3), removed, R1, NOW + 4),
    ]
    return [
        {
            "name": name, "requirement": "SYNC-44", "content": plain(content), "removed": plain(removed),
            "replica": replica.hex(), "now": now, "result": plain(edit(versions.join(content, removed), replica, now)),
            "lived": not versions.has_seen(removed, content),
        }
        for name, content, removed, replica, now in cases
    ]


def joined(seen):
    out = None
    for one in seen:
        out = one if out is None else versions.join(out, one)
    return out


def copies():
    """Conflict copies: id and name, from the loser alone."""
    first, late = edit(None, R1, NOW), edit(None, b"\xab" * 8, 4_107_542_400_000)
    joint = versions.join(first, late)
    names = [
        "notes.txt", "a.tar.gz", "README", ".bashrc", "x" * 255, "\u00e9" * 127, "a." + "e" * 253, "a." + "e" * 200,
        "\u00fc.j\u00fcg",
    ]
    cases = [(names[n % len(names)], "f1", version) for n, version in enumerate([first] * len(names))]
    cases += [("a.txt", "f1", late), ("a.txt", "f2", late), ("a.txt", "f2", joint)]
    return [
        {
            "name": f"{n}: {entry}: {repr(name)[:30]}", "requirement": "SYNC-37" if n % 2 else "SYNC-38", "entry": entry, "filename": name,
            "loser": plain(loser), "id": copy_id(entry, loser), "copy": copy_name(name, loser),
        }
        for n, (name, entry, loser) in enumerate(cases)
    ]


def copy_id(entry, loser):
    digest = hashlib.sha256(b"zot-file-conflict\n" + entry.encode() + b"\n" + pack(loser)).hexdigest()[:32]
    return "-".join([digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:]])


def copy_name(name, loser):
    at = datetime.datetime.fromtimestamp((loser["hlc"] >> 16) // 1000, datetime.timezone.utc)
    mark = at.strftime(".conflict-%Y%m%d-%H%M%S-") + loser["replica"].hex()
    dot = name.rfind(".")
    stem, extension = (name[:dot], name[dot:]) if dot > 0 else (name, "")
    room = 255 - len(mark)
    if len(extension.encode()) >= room:
        stem, extension = name, ""
    stem = stem.encode()[:room - len(extension.encode())].decode(errors="ignore")
    return stem + mark + extension


def cycles():
    """Folders that were moved into each other: (id, folder, moved from, ms)."""
    cases = [
        ("a tree", [("a", "", "", 1), ("b", "a", "", 2), ("c", "gone", "", 3)]),
        ("the earlier move returns", [("t", "", "", 1), ("a", "b", "t", 5), ("b", "a", "", 6), ("c", "b", "", 2)]),
        ("its old place is in the cycle too", [("a", "b", "b", 5), ("b", "a", "", 6)]),
        ("a folder in itself", [("a", "a", "", 5)]),
        ("the return closes another cycle", [("a", "b", "c", 5), ("b", "a", "", 6), ("c", "d", "", 9), ("d", "a", "", 3)]),
        ("two cycles", [("a", "b", "", 1), ("b", "a", "", 2), ("c", "d", "a", 4), ("d", "c", "", 5)]),
        ("three in a ring", [("a", "b", "", 3), ("b", "c", "", 2), ("c", "a", "", 1), ("d", "b", "", 9)]),
    ]
    return [
        {
            "name": name, "requirement": "SYNC-40",
            "folders": [{"hash": h, "folder": f, "was": w, "version": plain(edit(None, R1, NOW + ms))} for h, f, w, ms in rows],
            "displaced": resolve({h: (ms, [f, w, ""]) for h, f, w, ms in rows}),
        }
        for name, rows in cases
    ]


def resolve(folders):
    """Round by round: find a cycle, let its earliest move go one place back."""
    at = {h: 0 for h in folders}
    while True:
        ring = None
        for start in folders:
            way = []
            while start in folders and start not in way:
                way.append(start)
                start = folders[start][1][at[start]]
            if start in way:
                ring = way[way.index(start):]
                break
        if ring is None:
            return {h: folders[h][1][n] for h, n in sorted(at.items()) if n}
        loser = min((h for h in ring if at[h] < 2), key=lambda h: (folders[h][0], h))
        at[loser] += 1


def pairs():
    base = edit(None, R1, NOW)
    left, right = edit(base, R1, NOW + 1), edit(base, R2, NOW + 2)
    merged = versions.join(left, right)
    after = edit(merged, R3, NOW)
    knowing = edit(right, R1, NOW + 9)
    backdated = version({R1: 9, R2: 9}, 1, R1)
    same_time = version({R2: 1}, base["hlc"], R2)
    forged = version({R1: 1, R3: 5}, base["hlc"], R1), version({R1: 1, R2: 5}, base["hlc"], R1)
    cases = [
        ("equal", base, base),
        ("an edit and what it edited", left, base),
        ("two edits of one version", left, right),
        ("a join and one side", merged, left),
        ("an edit after a join", after, right),
        ("seen, though concurrent with the join", knowing, merged),
        ("the same moment: the larger replica", base, same_time),
        ("seen everything, dated earlier", backdated, left),
        ("the same stamp, forged", *forged),
        ("the same stamp, forged, other sums", version({R1: 1, R3: 4}, base["hlc"], R1), forged[1]),
    ]
    out = []
    for name, a, b in cases + [(f"{n}, the other way round", b, a) for n, a, b in cases]:
        out.append({
            "name": name, "requirement": "SYNC-25", "a": plain(a), "b": plain(b),
            "relation": versions.relation(a, b), "winner": "a" if versions.winner(a, b) == a else "b",
            "join": plain(versions.join(a, b)), "a_has_seen_b": versions.has_seen(a, b),
            "b_has_seen_a": versions.has_seen(b, a),
        })
    return out
