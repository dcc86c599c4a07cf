"""Cases for packets.md: packets.json, every type encoded and signed; operations.json."""

from . import cases_audit, cases_keys, tree
from .cases_identity import REPLICA, refused
from .cases_photos import row as photo_row
from .cases_sync import R1, R2, row
from .versions import edit
from .wire import ALICE, LIFE, NOW, SITES, header, pack, plain, record, seal, state, uuid7

ABC = tree.leaf(b"abc")
V1 = edit(None, R1, NOW)
V2 = edit(V1, R2, NOW)


def entry(fields, content=None, removed=None, was=None):
    out = {"row": pack(fields), "place": V1, "meta": V1}
    for name, value in [("content", content), ("removed", removed), ("was", was)]:
        if value:
            out[name] = value
    return out


def folder(hash="d1", parent="", name="Photos"):
    return entry(row(hash, parent, name, filetype="multipart/mixed", filesize=0, is_dir=1))


def data(size=3, root=ABC, digests=None, role="file", mime="text/plain", source="fetch"):
    out = {"role": role, "size": size, "root": root}
    if digests is not None:
        out["digests"] = digests
    return out | {"mime": mime, "source": source}


def put(n, attach, contents, op="put", photo=None, item=None):
    out = {"id": uuid7(n), "op": op, "attach": attach, "data": contents}
    return out | ({"photo": photo} if photo else {}) | ({"item": item} if item else {})


def item_row(mid, **more):
    return {"message_id": mid, "uuid": f"uuid-{mid}", "body": "b"} | more


def item(mid, fields=(), uid=None):
    out = {"mid": mid}
    if fields is not None:
        out["row"] = pack(fields or item_row(mid))
    out |= {"version": V1, "url": "https://a.example", "nick": "alice"}
    return out if uid is None else out | {"uid": uid}


def file_put(n=500):
    return put(n, [entry(row(), V1)], [data()])


def two_chunks():
    leaves = tree.leaves_of(tree.pattern(tree.MIB + 1))
    return data(tree.MIB + 1, tree.root(leaves), b"".join(leaves), mime="application/octet-stream")


def packets():
    leaves = [tree.synthetic(n) for n in range(4097)]
    name = {"resource": "f1", "role": "file", "root": ABC}
    photo = [data(mime="image/jpeg"), data(2, tree.leaf(b"ab"), role="photo-4"), data(0, tree.root([]), role="photo-7", source="backup")]
    nested = put(502, [folder(), folder("d2", "d1", "2027"), entry(row("f3", "d2", "a.bin", filesize=tree.MIB + 1), V2)], [two_chunks()])
    fields = [
        ("a file", "clone-sync", {"operations": [file_put()]}),
        ("a folder, a file below two folders, a photo", "clone-sync", {"operations": [
            put(501, [folder()], []), nested, put(503, [entry(row("f4", filename="me.jpg", is_photo=1), V1)], photo)]}),
        ("a move, tags and photo rows, a removal", "clone-sync", {"operations": [
            put(504, [folder(), entry(row("f3", "d1", "b.txt"), V1, was="d2")], [data()], op="place"),
            put(505, [entry(row("f4", filename="me.jpg", term=[{"term": "me", "ttype": 1, "url": ""}], title="Me"), V1)],
                [data(mime="image/jpeg")], op="meta", photo=[pack(photo_row(0, resource_id="f4", photo_usage=0, crop=None, chosen=None)), pack(photo_row(4, resource_id="f4"))]),
            put(506, [entry(row(), V1, removed=V2)], [], op="remove")]}),
        ("items on a file", "clone-sync", {"operations": [
            file_put() | {"op": "meta", "item": [item("https://a.example/item/1", uid=2), item("https://a.example/item/2", None)]}]}),
        ("what became of operations", "sync-report", {"operations": [
            {"id": uuid7(500), "status": "stored"}, {"id": uuid7(501), "status": "duplicate"},
            {"id": uuid7(502), "status": "superseded"}, {"id": uuid7(503), "status": "refused", "code": 32}], "present": []}),
        ("what has arrived", "sync-report", {"operations": [], "present": [name, {**name, "role": "photo-4"}]}),
        ("an empty report", "sync-report", {"operations": [], "present": []}),
        ("digests, asked for", "manifest-request", {"items": [
            {**name, "root": tree.root(leaves), "first": 1, "count": 1}, {**name, "first": 0, "count": 256}]}),
        ("a page, and an item that is refused", "manifest-page", {
            "pages": [{"item": 0, "page": 1, "digests": leaves[4096], "path": b"".join(tree.page_path(leaves, 1))}],
            "refused": [{"item": 1, "code": 41}]}),
        ("chunks of two contents", "chunk-request", {"items": [
            {**name, "ranges": [{"first": 0, "count": 1}]},
            {**name, "role": "photo-7", "ranges": [{"first": 70_000, "count": 1000}, {"first": 3, "count": 23}]}]}),
        ("a stream", "stream-request", name),
        ("two locations", "locations", {"records": [
            state(record("site-a", REPLICA, primary=True), "site-a"), state(record("site-b", REPLICA[::-1]), "site-b")]}),
        ("a greeting without records", "locations", {"records": []}),
        ("a location after a rotation, and one that was removed", "locations", {
            "records": [state(record("site-a", REPLICA), "site-a", "other-channel")],
            "rotations": [cases_keys.turn()], "notices": [cases_keys.note(cases_keys.notice(), "other-channel")]}),
        ("a challenge", "challenge", {"nonce": tree.leaf(b"nonce")}),
        ("a refusal", "refusal", {"code": 22, "text": "the packet's dates are outside the allowed window", "clock": NOW + 7}),
        ("a refusal with a pause", "refusal", {"code": 65535, "text": "", "retry_after": 30, "clock": NOW}),
        *cases_audit.packets(),
    ]
    answers = {"sync-report", "manifest-page", "audit-page", "refusal"}
    return {"packets": [packet(n, *case, kind_answers=case[1] in answers) for n, case in enumerate(fields, 1)]}


def packet(n, name, kind, fields, kind_answers):
    answers = uuid7(1000 + n) if kind_answers else None
    head = header(kind, "site-a", "site-b", n, answers=answers)
    body = pack(head | fields)
    return {
        "name": f"{kind}: {name}", "requirement": "PKT-1", "signer": "site-a", "receiver": SITES["site-b"],
        "header": plain(head), "life": LIFE, "fields": plain(fields), "body": body.hex(),
        "envelope": seal("site-a", body).hex(),
    }


def operations():
    """One packet each: a good operation, the one in question, a good operation."""
    leaves = [tree.leaf(bytes([n])) for n in range(33)]
    root2, root33 = tree.root(leaves[:2]), tree.root(leaves)
    join = b"".join
    mib = tree.MIB
    plain_entry = [entry(row("f2"), V1)]

    def sized(size, **more):
        return put(600, [entry(row("f2", filesize=size), V1)], [data(size, **more)])

    cases = [
        ("a file", put(600, plain_entry, [data()]), "SYNC-14", None),
        ("a folder", put(600, [folder()], []), "SYNC-14", None),
        ("an empty file", sized(0, root=tree.root([])), "FILE-16", None),
        ("a file of 2 chunks", sized(2 * mib, root=root2, digests=join(leaves[:2])), "FILE-14", None),
        ("a file of 33 chunks", sized(33 * mib, root=root33), "FILE-14", None),
        ("the largest file", sized(2**44, root=root33), "FILE-3", None),
        ("names that only look dangerous", put(600, [entry(row("f2", filename="..."), V1)], [data()]), "SYNC-6", None),
        ("an operation of a later version", put(600, plain_entry, [], op="shred"), "SYNC-4", "unsupported-operation"),
        ("an operation of which only id and op are looked at", {"id": uuid7(600), "op": "shred"}, "SYNC-4", "unsupported-operation"),
        ("a move", put(600, [folder(), entry(row("f2", "d1"), V1, was="d2")], [data()], op="place"), "SYNC-39", None),
        ("a move within a cycle", put(600, [
            entry(row("d1", "d2", "A", filetype="multipart/mixed", filesize=0, is_dir=1)), folder("d2", "d1")], [], op="place"), "SYNC-5", None),
        ("a first row that lies in none of them", put(600, [
            entry(row("d1", "d3", "A", filetype="multipart/mixed", filesize=0, is_dir=1)), folder("d2", "d1")], [], op="place"), "SYNC-5", "bad-place"),
        ("a removal", put(600, [entry(row("f2"), V1, removed=V2)], [], op="remove"), "SYNC-34", None),
        ("a removal of a folder", put(600, [{**folder(), "removed": V1}], [], op="remove"), "SYNC-33", None),
        ("a removal that removes nothing", put(600, plain_entry, [data()], op="remove"), "SYNC-33", "bad-field"),
        ("removed before it was put again, without data", put(600, [entry(row("f2"), V2, removed=V1)], []), "SYNC-34", "bad-field"),
        ("removed before it was put again", put(600, [entry(row("f2"), V2, removed=V1)], [data()]), "SYNC-34", None),
        ("photo rows", put(600, plain_entry, [data()], op="meta", photo=[pack(photo_row(n, resource_id="f2")) for n in range(10)]), "SYNC-36", None),
        ("a photo row that is no map", put(600, plain_entry, [data()], op="meta", photo=[pack([1])]), "SYNC-36", "bad-field"),
        ("a photo row of another entry", put(600, plain_entry, [data()], op="meta", photo=[pack(photo_row(4))]), "PHOTO-2", "bad-field"),
        ("a photo row above 16 KiB", put(600, plain_entry, [data()], op="meta", photo=[pack(photo_row(4, resource_id="f2", x="y" * 16384))]), "SYNC-36", "bad-field"),
        ("items, one of them removed", put(600, plain_entry, [data()], op="meta", item=[item("m1"), item("m2", None)]), "ITEM-4", None),
        ("an item twice", put(600, plain_entry, [data()], op="meta", item=[item("m1"), item("m1")]), "ITEM-1", "bad-field"),
        ("an item's row under another name", put(600, plain_entry, [data()], op="meta", item=[item("m1", item_row("m2"))]), "ITEM-1", "bad-field"),
        ("an item's row with bytes", put(600, plain_entry, [data()], op="meta", item=[item("m1", item_row("m1", x=b""))]), "ITEM-2", "bad-field"),
        ("an item's row without a body", put(600, plain_entry, [data()], op="meta", item=[item("m1", item_row("m1", body=None))]), "ITEM-2", "bad-field"),
        ("an item's row of 257 fields", put(600, plain_entry, [data()], op="meta", item=[item("m1", item_row("m1", **{f"x{n}": n for n in range(254)}))]), "ITEM-2", "bad-field"),
        ("an item whose uuid has a NUL", put(600, plain_entry, [data()], op="meta", item=[item("m1", item_row("m1", uuid="\0"))]), "ITEM-2", "bad-field"),
        ("an item of a channel without a nick", put(600, plain_entry, [data()], op="meta", item=[item("m1") | {"nick": ""}]), "ITEM-5", "bad-field"),
        ("an item of a channel with a number above 2^63 - 1", put(600, plain_entry, [data()], op="meta", item=[item("m1", uid=2**63)]), "ITEM-5", "bad-field"),
        ("an item's row with a hub's number", put(600, plain_entry, [data()], op="meta", item=[item("m1", item_row("m1", uid=2))]), "ITEM-3", "bad-field"),
        ("no row", put(600, [], []), "SYNC-5", "bad-place"),
        ("a parent that is missing", put(600, [entry(row("f2", "d1"), V1)], [data()]), "SYNC-5", "bad-place"),
        ("a parent of another folder", put(600, [folder("d2", "d1"), entry(row("f2", "d2"), V1)], [data()]), "SYNC-5", "bad-place"),
        ("a file for a parent", put(600, [entry(row("f1"), V1), entry(row("f2", "f1"), V1)], [data()]), "SYNC-5", "bad-place"),
        ("a row too many", put(600, [folder(), entry(row("f2"), V1)], [data()]), "SYNC-5", "bad-place"),
        ("a bad name", put(600, [entry(row("f2", filename="a/b"), V1)], [data()]), "SYNC-6", "bad-name"),
        ("a parent with a bad name", put(600, [folder(name=".."), entry(row("f2", "d1"), V1)], [data()]), "SYNC-6", "bad-name"),
        ("a file without content", put(600, [entry(row("f2"))], [data()]), "SYNC-14", "bad-field"),
        ("a file without data", put(600, plain_entry, []), "SYNC-14", "bad-field"),
        ("a file with a photo alone", put(600, plain_entry, [data(role="photo-4")]), "SYNC-14", "bad-field"),
        ("a folder with content", put(600, [{**folder(), "content": V1}], []), "SYNC-14", "bad-field"),
        ("a folder with data", put(600, [folder()], [data()]), "SYNC-14", "bad-field"),
        ("another size than the row's", put(600, plain_entry, [data(4)]), "SYNC-14", "bad-field"),
        ("a role twice", put(600, plain_entry, [data(), data()]), "SYNC-14", "bad-field"),
        ("above 16 TiB", sized(2**44 + 1), "FILE-3", "bad-field"),
        ("2 chunks without digests", sized(2 * mib, root=root2), "FILE-15", "bad-field"),
        ("1 chunk with digests", put(600, plain_entry, [data(digests=ABC)]), "FILE-15", "bad-field"),
        ("33 chunks with digests", sized(33 * mib, root=root33, digests=join(leaves)), "FILE-15", "bad-field"),
        ("a digest too many", sized(2 * mib, root=root2, digests=join(leaves[:3])), "FILE-15", "bad-field"),
        ("a cut digest", sized(2 * mib, root=root2, digests=join(leaves[:2])[:-1]), "FILE-15", "bad-field"),
        ("1 chunk with a cut digest", put(600, plain_entry, [data(digests=ABC[:-1])]), "FILE-15", "bad-field"),
        ("digests of another root", sized(2 * mib, root=root33, digests=join(leaves[:2])), "FILE-16", "bad-content"),
        ("an empty file with another root", sized(0, root=ABC), "FILE-16", "bad-content"),
    ]
    out = []
    for n, (name, operation, requirement, code) in enumerate(cases, 300):
        good = [file_put(501), file_put(502)]
        body = header("clone-sync", "site-a", "site-b", n) | {"operations": [good[0], operation, good[1]]}
        out.append({
            "name": name, "requirement": requirement, "signer": "site-a", "receiver": SITES["site-b"], "now": NOW,
            "channel": ALICE, "envelope": seal("site-a", body).hex(), **(refused(code) if code else {"code": None}),
        })
    return {"operations": out}
