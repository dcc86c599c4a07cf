"""Cases for backup.md: backup.json."""

import base64
import json

from . import cases_keys, tree
from .cases_packets import ABC, V1, V2, data, entry, folder, item, put, two_chunks
from .cases_photos import row as photo_row
from .cases_sync import row
from .cases_identity import refused
from .wire import ALICE, CHANNEL, GUID, LIFE, NOW, OTHER, OTHER_CHANNEL, SITES, pack, uuid7


def cases():
    return {
        "rows": rows(), "metadata": metadata(), "metadata_bad": metadata_bad(),
        "heads": heads(), "heads_bad": heads_bad(), "lines": lines(),
    }


def text(value):
    """JSON without needless space."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def b64(raw):
    return base64.b64encode(raw).decode()


def rows():
    as_json = [
        ("everything that JSON can hold", {"z": 1, "a": [None, True, -5, 0.5, {"b": []}], "n": 70_000, "": 2**63}),
        ("text", {"a": "\u00fc \"\\ \n\t\0\x1f \u2028 \U0001f600", "\u00fc": ""}),
        ("an attach row", row(term=[{"ttype": 1, "term": "holiday"}])),
        ("nothing", {}),
    ]
    as_bytes = [
        ("a byte string", pack({"a": b"\7"})),
        ("an integer wider than it needs to be", b"\x81\xa1a\xcd\0\7"),
        ("a short float", b"\x81\xa1a\xca\x3f\x80\0\0"),
        ("no number", b"\x81\xa1a\xcb\x7f\xf8\0\0\0\0\0\0"),
        ("a key that is no text", b"\x81\7\7"),
        ("a list", b"\x91\xc0"),
    ]
    out = [{"name": n, "requirement": "BACKUP-8", "row": pack(v).hex(), "json": text(v)} for n, v in as_json]
    return out + [{"name": n, "requirement": "BACKUP-8", "row": r.hex(), "json": text(b64(r))} for n, r in as_bytes]


def version_json(v):
    """BACKUP-7."""
    vector = {k.hex(): n for k, n in sorted(v["vector"].items())}
    return {"vector": vector, "hlc": v["hlc"], "replica": v["replica"].hex()}


def attach_json(e, fields):
    out = {"row": fields, "place": version_json(e["place"]), "meta": version_json(e["meta"])}
    out |= {name: version_json(e[name]) for name in ("content", "removed") if name in e}
    return out | ({"was": e["was"]} if "was" in e else {})


def data_json(d, content=None, missing=False):
    out = {"role": d["role"], "size": d["size"], "root": d["root"].hex(), "mime": d["mime"]}
    if "digests" in d:
        out["digests"] = [d["digests"][i : i + 32].hex() for i in range(0, len(d["digests"]), 32)]
    if content is not None:
        out["bytes"] = b64(content)
    return out | ({"missing": True} if missing else {})


def item_json(i, fields):
    out = {"mid": i["mid"]} | ({"row": fields} if fields else {}) | {"version": version_json(i["version"])}
    return out | {k: i[k] for k in ("url", "nick", "uid") if k in i}


def entry_json(operation, attach, contents, photo=(), items=()):
    out = {"format": "zotferry-entry", "version": 1, "id": operation["id"].hex(), "op": operation["op"]}
    out["attach"] = [attach_json(e, f) for e, f in zip(operation["attach"], attach, strict=True)]
    out |= {"photo": list(photo)} if photo else {}
    out |= {"item": list(items)} if items else {}
    return out | ({"data": contents} if contents else {})


def brought(contents):
    return [d | {"source": "backup"} for d in contents]


def a_file():
    fields, contents = row(), brought([data()])
    operation = put(500, [entry(fields, V1)], contents)
    return operation, entry_json(operation, [fields], [data_json(contents[0])])


def metadata():
    above = row("d1", "", "Photos", filetype="multipart/mixed", filesize=0, is_dir=1)
    large, fields = brought([two_chunks()]), row("f3", "d1", "a.bin", filesize=tree.MIB + 1)
    below = put(502, [folder(), entry(fields, V2)], large)
    me = row("f4", filename="me.jpg", is_photo=1, filesize=3, term=[{"ttype": 1, "term": "me"}])
    scales = [photo_row(0, resource_id="f4"), photo_row(4, resource_id="f4")]
    two = brought([data(mime="image/jpeg"), data(2, tree.leaf(b"ab"), role="photo-4", mime="image/jpeg")])
    mine = {"message_id": "m1", "uuid": "u1", "body": "b", "later": {"kept": [1, None]}}
    items = [item("m1", mine, uid=2), item("m2", None)]
    photo = put(503, [entry(me, V1, was="d9")], two, op="meta", photo=[pack(s) for s in scales], item=items)
    photo_json = entry_json(
        photo, [me], [data_json(two[0]), data_json(two[1], b"ab")], scales,
        [item_json(items[0], mine), item_json(items[1], None)])
    gone = put(506, [entry(row(), V1, removed=V2)], [], op="remove")
    wide = b"\xde\0\x14" + pack(row() | {"x": 7})[3:]
    odd = {"row": wide[:-1] + b"\xcc\7", "place": V1, "meta": V1, "content": V1}
    odd_put = put(507, [odd], brought([data()]))
    size = 40 * tree.MIB
    away = brought([data(size, tree.leaf(b"far away"))])
    lacking = put(508, [entry(row(filesize=size), V1)], away)
    made = [
        ("a file", "BACKUP-5", *a_file()),
        ("a file of two chunks below a folder", "BACKUP-10", below, entry_json(below, [above, fields], [data_json(large[0])])),
        ("a photo with a cropped one, tags, items, a move", "BACKUP-11", photo, photo_json),
        ("a removed file", "BACKUP-7", gone, entry_json(gone, [row()], [])),
        ("a row that JSON would not give back", "BACKUP-8", odd_put, entry_json(odd_put, [b64(odd["row"])], [data_json(data())])),
        ("a content that was not there", "BACKUP-12", lacking, entry_json(lacking, [row(filesize=size)], [data_json(away[0], missing=True)])),
    ]
    return [{"name": n, "requirement": r, "metadata": text(j) + "\n", "operation": pack(o).hex()} for n, r, o, j in made]


def metadata_bad():
    out = []

    def case(name, change):
        _, json_ = a_file()
        changed = change(json_)
        out.append({"name": name, "requirement": "BACKUP-6", "metadata": text(json_ if changed is None else changed)})

    def setting(path, value):
        def change(json_):
            at = json_
            for step in path[:-1]:
                at = at[step]
            at[path[-1]] = value
        return change

    file_row, first = ("attach", 0, "row"), ("data", 0)
    for name in ["../x", "a/b", "..", "", "x" * 256]:
        case(f"a file that is called {name[:20]!r}", setting((*file_row, "filename"), name))
    case("an id that is a path", setting((*file_row, "hash"), "../../x"))
    case("a parent that is not there", setting((*file_row, "folder"), "d1"))
    case("another size than the row says", setting((*first, "size"), 4))
    case("a size beyond all files", setting((*first, "size"), 2**44 + 1))
    case("digests where none belong", setting((*first, "digests"), [ABC.hex()]))
    case("a root in upper case", setting((*first, "root"), ABC.hex().upper()))
    case("a short root", setting((*first, "root"), ABC.hex()[2:]))
    case("bytes of the file itself", setting((*first, "bytes"), b64(b"abc")))
    case("a role that stands twice", lambda j: j["data"].append(j["data"][0]))
    case("a cropped photo whose bytes are others", lambda j: j["data"].append(data_json(data(role="photo-4"), b"abd")))
    case("no version", lambda j: j["attach"][0].pop("place"))
    case("a counter of zero", setting(("attach", 0, "place", "vector"), {"01" * 8: 0}))
    case("an operation that is not known", setting(("op",), "shred"))
    case("another format", setting(("format",), "tar"))
    case("a later version", setting(("version",), 2))
    case("a list", lambda _: [])
    return out


def head(**changes):
    out = {
        "format": "zotferry-backup", "version": 1, "channel": ALICE, "guid": GUID, "nick": "alice", "key": CHANNEL.pem,
        "url": "https://a.example", "made": NOW, "index": tree.leaf(b"index").hex(), "entries": 2, "files": 1,
        "bytes": 3, "missing": 0,
    }
    return out | changes


def signed(fields, key=CHANNEL, context=b"zot-file-backup\n"):
    """BACKUP-3."""
    line = text(fields)
    return f'{line}\n{text({"signature": b64(key.sign(context + line.encode()))})}\n'


def heads():
    turned = head(key=OTHER_CHANNEL.pem)
    first, rest = list(turned.items())[:6], list(turned.items())[6:]
    turned = dict(first) | {"rotations": [b64(pack(cases_keys.turn()))]} | dict(rest)
    made = [
        ("the smallest", signed(head())),
        ("with an identity, and members that are not known", signed(head(identity=ABC.hex(), later=[1]))),
        ("after a rotation", signed(turned, OTHER_CHANNEL)),
        ("lines that are written otherwise", signed(head()).replace('{"signature"', '{ "signature"')),
    ]
    return [{"name": n, "requirement": "BACKUP-3", "head": h, "channel": ALICE} for n, h in made]


def heads_bad():
    good = signed(head())
    made = [
        ("another key", signed(head(), OTHER_CHANNEL)),
        ("signed for something else", signed(head(), context=b"zot-file-location\n")),
        ("a space more", good.replace('"version":1', '"version": 1')),
        ("another index", good.replace(tree.leaf(b"index").hex(), ABC.hex())),
        ("another channel", signed(head(channel=OTHER))),
        ("another guid", signed(head(guid="another"))),
        ("a key that is not the channel's", signed(head(key=OTHER_CHANNEL.pem), OTHER_CHANNEL)),
        ("another format", signed(head(format="tar"))),
        ("a later version", signed(head(version=2))),
        ("no signature", good.split("\n")[0] + "\n"),
        ("nothing", ""),
    ]
    return [{"name": n, "requirement": "BACKUP-4", "head": h} for n, h in made]


def lines():
    root = ABC.hex()
    name = {"id": "f1", "kind": "file", "path": "Photos/a.txt", "meta": [root], "data": [{"root": root, "size": 3}]}
    made = [
        ("a file", name, f"data/{root[:2]}/{root}\tPhotos/a.txt\n"),
        ("a name with a line's end and a turn", name | {"path": "a\tb\n\u202ec"}, f"data/{root[:2]}/{root}\ta_b__c\n"),
        ("a folder", {"id": "d1", "kind": "folder", "path": "Photos", "meta": [root]}, "folder\tPhotos\n"),
        ("what was removed", {"id": "f2", "kind": "removed", "meta": [root, root]}, None),
        ("what was not there", {"id": "f3", "kind": "file", "path": "b", "meta": [root], "missing": name["data"]}, None),
    ]
    return [{"name": n, "requirement": "BACKUP-15", "line": text(v), "listed": listed} for n, v, listed in made]


def statement(step="bytes", n=900, **changes):
    out = {"channel": ALICE, "site": SITES["site-b"], "id": uuid7(n), "at": NOW, "expires": NOW + LIFE, "step": step}
    return out | changes


def stated(fields, key=CHANNEL, context=b"zot-file-restore\n"):
    """BACKUP-26."""
    raw = fields if isinstance(fields, bytes) else pack(fields)
    return pack({"record": raw, "channel_sig": key.sign(context + raw)})


def restores():
    return {"good": restores_good(), "bad": restores_bad()}


def restores_good():
    operation, _ = a_file()
    made = [
        ("a beginning", statement("begin"), NOW), ("the right to bring bytes", statement(), NOW + LIFE),
        ("an end, by a clock that is ahead", statement("end"), NOW - 300_000),
        ("an entry", statement("entries", operations=[operation]), NOW),
    ]
    out = [
        {"name": n, "requirement": "BACKUP-26", "site": SITES["site-b"], "now": now, "statement": stated(f).hex(), "again": pack(f).hex()}
        for n, f, now in made]
    later = stated(statement(later=[1]))
    return out + [{"name": "a field that is not known", "requirement": "BACKUP-26", "site": SITES["site-b"], "now": NOW, "statement": later.hex()}]


def restores_bad():
    operation, _ = a_file()
    made = [
        ("another key", stated(statement(), OTHER_CHANNEL), NOW, "bad-signature"),
        ("signed for something else", stated(statement(), context=b"zot-file-notice\n"), NOW, "bad-signature"),
        ("another hub", stated(statement(site=SITES["site-a"])), NOW, "not-for-me"),
        ("too late", stated(statement()), NOW + LIFE + 1, "stale"),
        ("too early", stated(statement()), NOW - 300_001, "stale"),
        ("a long life", stated(statement(expires=NOW + LIFE + 1)), NOW, "stale"),
        ("entries without any", stated(statement("entries")), NOW, "bad-field"),
        ("a beginning with entries", stated(statement("begin", operations=[operation])), NOW, "bad-field"),
        ("a step that is not known", stated(statement("sideways")), NOW, "bad-field"),
        ("257 entries", stated(statement("entries", operations=[operation] * 257)), NOW, "bad-field"),
        ("no site", stated({k: v for k, v in statement().items() if k != "site"}), NOW, "bad-field"),
        ("a list", stated(b"\x90"), NOW, "malformed"),
        ("not even MessagePack", b"\xc1", NOW, "malformed"),
    ]
    return [
        {"name": n, "requirement": "BACKUP-27", "site": SITES["site-b"], "now": now, "statement": raw.hex()} | refused(code)
        for n, raw, now, code in made]
