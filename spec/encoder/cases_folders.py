"""Cases for backup.md: whole backups as folders, and what is wrong with others. Part of backup.json."""

import hashlib

from . import cases_keys, tree
from .cases_backup import b64, brought, data_json, entry_json, head, item_json, signed, text
from .cases_packets import V1, V2, data, entry, folder, item, put
from .cases_photos import row as photo_row
from .cases_sync import row
from .keys import portable_id
from .wire import ALICE, CHANNEL, KEYS, OTHER_CHANNEL, pack, plain

ABC, TWO = b"abc", tree.pattern(tree.MIB + 1)


def sha(raw):
    return hashlib.sha256(raw).hexdigest()


def shelf(name, digest, ending=""):
    """BACKUP-2: a path is made of a digest."""
    return f"{name}/{digest[:2]}/{digest}{ending}"


class Saved:
    """A backup on its way: entries in the order in which they are added, files by their paths."""

    def __init__(self):
        self.files, self.lines, self.listed, self.entries = {}, [], [], []

    def add(self, id_, kind, metadata, path=None, contents=(), missing=()):
        """BACKUP-13, BACKUP-15: an entry with its metadata files, its data files and what is missing of it."""
        texts = [text(json_) + "\n" for json_ in metadata]
        line = {"id": id_, "kind": kind} | ({"path": path} if path is not None else {})
        line["meta"] = [sha(one.encode()) for one in texts]
        for digest, one in zip(line["meta"], texts, strict=True):
            self.files[shelf("meta", digest, ".json")] = one.encode()
        roots = [(tree.root(tree.leaves_of(raw)).hex(), raw) for raw in contents]
        self.files |= {shelf("data", root): raw for root, raw in roots}
        line |= {"data": [{"root": root, "size": len(raw)} for root, raw in roots]} if roots else {}
        line |= {"missing": [{"root": root.hex(), "size": size} for root, size in missing]} if missing else {}
        self.lines.append(line)
        if kind == "folder" or kind == "file" and roots:
            self.listed.append(f"{'folder' if kind == 'folder' else shelf('data', roots[0][0])}\t{path}\n")
        self.entries.append({"line": text(line), "contents": [root for root, _ in roots]})
        return self

    def folder(self, lines=None, named=None):
        """The files of the whole folder, its index made of other lines, or named for another text, where they are given."""
        index = "".join(text(line) + "\n" for line in (self.lines if lines is None else lines)).encode()
        digest = sha(index) if named is None else sha(named)
        sizes = [one["size"] for line in self.lines for one in line.get("data", [])]
        kinds = [line["kind"] for line in self.lines]
        first = signed(head(
            index=digest, entries=len(kinds), files=kinds.count("file"), bytes=sum(sizes),
            missing=sum(len(line.get("missing", [])) for line in self.lines)))
        whole = {"backup.jsonl": first.encode(), f"index/{digest}.jsonl": index, "files.tsv": "".join(self.listed).encode()}
        return dict(sorted((self.files | whole).items()))


def shown(files):
    """Text as it is, other bytes as hexadecimal, the pattern of merkle.json by its length, and where its last bit is another."""
    return {path: written(raw) for path, raw in files.items()}


def written(raw):
    if len(raw) == len(TWO):
        return {"pattern": len(raw)} | ({} if raw == TWO else {"last_bit": "other"})
    return {"text": raw.decode()}


def other_last_bit(raw):
    return raw[:-1] + bytes([raw[-1] ^ 1])


def file_json(id_="f1", name="a.txt", content=ABC, parents=(), **more):
    leaves = tree.leaves_of(content)
    named = data(len(content), tree.root(leaves), b"".join(leaves) if len(leaves) > 1 else None)
    fields = row(id_, "d1" if parents else "", name, filesize=len(content))
    operation = put(500, [*(folder() for _ in parents), entry(fields, V1)], brought([named]))
    return entry_json(operation, [*parents, fields], [data_json(named)], **more)


ABOVE = row("d1", "", "Photos", filetype="multipart/mixed", filesize=0, is_dir=1)


def small():
    return Saved().add("f1", "file", [file_json()], "a.txt", [ABC]).add("f2", "file", [file_json("f2", "b.bin", TWO)], "b.bin", [TWO])


def everything():
    """Ids compared as bytes: digits, capitals, small letters; what begins like another one follows it."""
    saved = Saved().add("10", "file", [file_json("10", "ten")], "ten", [ABC])
    saved.add("9", "file", [file_json("9", "nine", b"")], "nine", [b""])
    gone = put(506, [entry(row("B", filename="gone"), V1, removed=V2)], [], op="remove")
    saved.add("B", "removed", [entry_json(gone, [row("B", filename="gone")], [])])
    saved.add("d1", "folder", [entry_json(put(501, [folder()], []), [ABOVE], [])], "Photos")
    size = 40 * tree.MIB
    away = brought([data(size, tree.leaf(b"far away"))])
    fields = row("f", filename="away", filesize=size)
    lacking = put(508, [entry(fields, V1)], away)
    saved.add("f", "file", [entry_json(lacking, [fields], [data_json(away[0], missing=True)])], "away", [], [(away[0]["root"], size)])
    saved.add("f0", "file", [file_json("f0", "below", TWO, [ABOVE])], "Photos/below", [TWO])
    fields, scales = row("f1", filename="me.jpg", is_photo=1), [photo_row(4)]
    two = brought([data(), data(2, tree.leaf(b"ab"), role="photo-4")])
    mine = put(503, [entry(fields, V1)], two, photo=[pack(one) for one in scales])
    return saved.add("f1", "file", [entry_json(mine, [fields], [data_json(two[0]), data_json(two[1], b"ab")], scales)], "me.jpg", [ABC])


def items():
    """BACKUP-9: three metadata files; bytes of a photo in the first one alone."""
    fields, scales = row("f1", filename="me.jpg", is_photo=1), [photo_row(4)]
    two = brought([data(), data(2, tree.leaf(b"ab"), role="photo-4")])
    rows = [{"message_id": f"m{n}", "uuid": f"u{n}", "body": "b"} for n in range(7)]
    parts = []
    for n, some in enumerate((rows[:3], rows[3:6], rows[6:])):
        sent = [item(one["message_id"], one) for one in some]
        operation = put(503, [entry(fields, V1)], two, photo=[pack(one) for one in scales], item=sent)
        named = [data_json(two[0]), data_json(two[1], None if n else b"ab")]
        parts.append(entry_json(operation, [fields], named, scales, [item_json(i, r) for i, r in zip(sent, some, strict=True)]))
    return Saved().add("f1", "file", parts, "me.jpg", [ABC])


def folders():
    made = [
        ("two files", "BACKUP-2", small()), ("an entry of each kind", "BACKUP-13", everything()),
        ("an entry with items in three metadata files", "BACKUP-9", items()), ("nothing", "BACKUP-13", Saved()),
    ]
    return [
        {"name": n, "requirement": r, "files": shown(saved.folder()), "entries": saved.entries} for n, r, saved in made
    ]


def folders_bad():
    """Of the backup of two files: what is put in the place of some of its files; which files are found to be bad."""
    good, lines = small().folder(), small().lines
    index, (first, second) = next(path for path in good if path.startswith("index/")), [shelf("meta", line["meta"][0], ".json") for line in lines]
    abc, two = [shelf("data", line["data"][0]["root"]) for line in lines]
    third = lines[0] | {"id": "f3"}
    cases = [
        ("a data file whose first byte is another", "BACKUP-18", {abc: b"Abc"}, [abc]),
        ("a data file that is too short", "BACKUP-18", {abc: b"ab"}, [abc]),
        ("a data file that is too long", "BACKUP-18", {abc: b"abcd"}, [abc]),
        ("a data file whose last byte is another", "BACKUP-18", {two: other_last_bit(TWO)}, [two]),
        ("a data file that is missing", "BACKUP-18", {abc: None}, [abc]),
        ("data files that were exchanged", "BACKUP-18", {abc: TWO, two: ABC}, [abc, two]),
        ("a metadata file with a space more", "BACKUP-18", {first: good[first] + b" "}, [first]),
        ("another entry's metadata file", "BACKUP-18", {first: good[second]}, [first]),
        ("a metadata file that is missing", "BACKUP-18", {first: None}, [first]),
        ("a link for a data file", "BACKUP-2", {abc: "link"}, [abc]),
        ("a link for a metadata file", "BACKUP-2", {first: "link"}, [first]),
        ("a link for the folder of a data file", "BACKUP-2", {abc.rpartition("/")[0]: "link"}, [abc]),
        ("a link for the folder of all data files", "BACKUP-2", {"data": "link"}, [abc, two]),
        ("an index whose last byte is another", "BACKUP-14", {index: good[index][:-1] + b" "}, [index]),
        ("an index with a line more", "BACKUP-14", {index: good[index] + (text(third) + "\n").encode()}, [index]),
        ("an index with a line less", "BACKUP-14", {index: (text(lines[0]) + "\n").encode()}, [index]),
        ("an empty index", "BACKUP-14", {index: b""}, [index]),
        ("an index that is missing", "BACKUP-14", {index: None}, [index]),
        ("a link for the index", "BACKUP-2", {index: "link"}, "refused"),
        ("a link for the head", "BACKUP-2", {"backup.jsonl": "link"}, "refused"),
        ("ids that fall", "BACKUP-14", changed(good, small().folder(lines[::-1])), "refused"),
        ("an id that stands twice", "BACKUP-14", changed(good, small().folder([*lines, lines[1]])), "refused"),
        ("an id that falls at the end", "BACKUP-14", changed(good, small().folder([*lines, third, lines[0] | {"id": "f0"}])), "refused"),
        ("a line without metadata files", "BACKUP-14", changed(good, small().folder([lines[0] | {"meta": []}, lines[1]])), "refused"),
        ("a line that is no object", "BACKUP-14", changed(good, small().folder([lines[0], []])), "refused"),
    ]
    return [
        {"name": n, "requirement": r, "of": "two files", "instead": instead(c), "found": found} for n, r, c, found in cases
    ]


def changed(good, other):
    """What has to be written to make one folder of another."""
    new = {path: raw for path, raw in other.items() if good.get(path) != raw}
    return {path: None for path in good if path not in other} | new


def instead(changes):
    """None where nothing is any more, `link` where a link leads to what was there."""
    return {path: raw if raw in (None, "link") else shown({path: raw})[path] for path, raw in changes.items()}


def heads_there():
    """A head, and the channel that lives on the hub to which it is brought."""
    turned = dict(list(head(key=OTHER_CHANNEL.pem).items())[:6]) | {"rotations": [b64(pack(cases_keys.turn()))]}
    turned |= dict(list(head().items())[6:])
    old, new = signed(head()), signed(turned, OTHER_CHANNEL)
    elsewhere = portable_id("another guid", CHANNEL.pem)
    cases = [
        ("the channel, with its first key", old, ALICE, [], True),
        ("the channel, which has a newer key since", old, ALICE, [cases_keys.turn()], True),
        ("signed by the newer key, which both know", new, ALICE, [cases_keys.turn()], True),
        ("signed by a key that the hub does not know yet", new, ALICE, [], False),
        ("another channel of the same key", old, elsewhere, [], False),
    ]
    return [
        {"name": n, "requirement": "BACKUP-24", "head": h, "channel": c, "first_key": KEYS[cases_keys.FIRST].pem, "rotations": plain(r), "taken": t}
        for n, h, c, r, t in cases
    ]


def cases():
    return {"folders": folders(), "folders_bad": folders_bad(), "heads_there": heads_there()}
