"""The tables of Hubzilla that matter here, in both kinds of database, and a channel's rows in them.

The rows are those of captured sync packets (tests/fixtures), under the names of the columns that they came from; beside
them stands what a database may hold that nobody should believe.
"""

import base64
import json
import pathlib
import random

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
ALICE = "W_0bVhfagYVaHYys39KZw4bJihB9EwGObsGpgM32pidp1UGFnZBvGIwB-EpFtU_UNPkaQqEIKDjkLTxwrjwQpw"
BOB = "B" * 86
UID = 2

ACCESS = "allow_cid text, allow_gid text, deny_cid text, deny_gid text"
# Kinds of columns: `key` counts up, `int`, `flag`, `char`, `text`, `blob`, `date`.
TABLES = {
    "channel": "channel_id key, channel_name char, channel_address char, channel_hash char, channel_removed flag",
    "config": "id key, cat char, k char, v text",
    "hubloc": "hubloc_id key, hubloc_hash char, hubloc_url char, hubloc_deleted flag",
    "attach": f"""id key, aid int, uid int, hash char, creator char, filename char, filetype char, filesize int,
        revision int, folder char, flags int, is_dir flag, is_photo flag, os_storage flag, os_path text,
        display_path text, content blob, created date, edited date, {ACCESS}, later_release char""",
    "photo": f"""id key, aid int, uid int, xchan char, resource_id char, created date, edited date, expires date,
        title char, description text, album char, filename char, mimetype char, height int, width int, filesize int,
        content blob, imgscale flag, photo_usage flag, profile flag, is_nsfw flag, os_storage flag, os_path text,
        display_path text, photo_flags int, {ACCESS}""",
    "xchan": """xchan_hash char, xchan_guid char, xchan_guid_sig text, xchan_pubkey text, xchan_photo_mimetype char,
        xchan_photo_l char, xchan_photo_m char, xchan_photo_s char, xchan_addr char, xchan_url char, xchan_connurl char,
        xchan_name char, xchan_network char, xchan_photo_date date, xchan_hidden flag""",
    "term": """tid key, aid int, uid int, oid int, otype flag, ttype flag, term char, url char, imgurl char,
        term_hash char, parent_hash char""",
    "item": f"""id key, uuid char, mid char, aid int, uid int, parent int, parent_mid char, thr_parent char, created date,
        edited date, expires date, commented date, owner_xchan char, author_xchan char, mimetype char, title text,
        summary text, body text, app char, revision int, verb char, obj_type char, obj text, tgt_type char, target text,
        layout_mid char, postopts text, route text, plink text, resource_id char, resource_type char, attach text,
        sig text, location char, coord char, public_policy char, comment_policy char, {ACCESS}, item_origin flag,
        item_unseen flag, item_thread_top flag, item_hidden flag, item_deleted flag, item_type int""",
}
INDEXES = {
    "attach": "uid hash folder is_dir",
    "photo": "uid resource_id",
    "term": "uid oid",
    "item": "uid parent resource_id",
}
KINDS = {
    "mysql": {
        "key": "int(10) unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY",
        "int": "int(10) unsigned NOT NULL DEFAULT 0",
        "flag": "tinyint(3) NOT NULL DEFAULT 0",
        "char": "char(191) NOT NULL DEFAULT ''",
        "text": "mediumtext",
        "blob": "longblob",
        "date": "datetime NOT NULL DEFAULT '0001-01-01 00:00:00'",
    },
    "postgres": {
        "key": "serial NOT NULL PRIMARY KEY",
        "int": "bigint NOT NULL DEFAULT '0'",
        "flag": "smallint NOT NULL DEFAULT '0'",
        "char": "text NOT NULL DEFAULT ''",
        "text": "text",
        "blob": "bytea",
        "date": "timestamp NOT NULL DEFAULT '0001-01-01 00:00:00'",
    },
}


def columns(table):
    return [column.split() for column in TABLES[table].replace("\n", " ").split(",")]


def schema(kind):
    sql = []
    for table in TABLES:
        types = [f"{name} {KINDS[kind][of]}" for name, of in columns(table)]
        sql.append(f"CREATE TABLE {table} ({', '.join(types)});")
        for name in INDEXES.get(table, "").split():
            sql.append(f"CREATE INDEX {table}_{name} ON {table} ({name});")
    if kind == "postgres":
        sql.append("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;")
    else:
        # As Hubzilla asks for: dates like 0000-00-00 stand in the rows of old hubs.
        sql.insert(0, "SET sql_mode = '';")
    return "\n".join(sql) + "\n"


def literal(kind, value):
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        return f"X'{value.hex()}'" if kind == "mysql" else f"'\\x{value.hex()}'::bytea"
    if kind == "mysql":
        return f"_utf8mb4 X'{value.encode().hex()}'" if value else "''"
    return "'" + value.replace("'", "''") + "'"


def insert(kind, table, row):
    """A row; columns that it does not name have their defaults, texts are empty."""
    values = {}
    for name, of in columns(table):
        if name in row:
            values[name] = row[name]
        elif of == "text":
            values[name] = ""
    names = ", ".join(values)
    return f"INSERT INTO {table} ({names}) VALUES ({', '.join(literal(kind, v) for v in values.values())});\n"


def bytes_of(name, size):
    """The same bytes for a name each time."""
    return random.Random(name).randbytes(size)


def packets():
    for path in sorted((ROOT / "tests/fixtures").glob("hubzilla-sync-*.json")):
        text = path.read_text()
        yield from json.loads(text[text.index("\n"):])["data"]["file"]


ITEM_COLUMNS = {
    "message_id": "mid", "message_top": "parent_mid", "message_parent": "thr_parent", "permalink": "plink",
    "object": "obj", "object_type": "obj_type", "target_type": "tgt_type", "signature": "sig", "longlat": "coord",
    "public_scope": "public_policy", "comment_scope": "comment_policy",
}


class Hubzilla:
    """A channel's rows, and the bytes in its store."""

    def __init__(self, store):
        self.store = pathlib.Path(store)
        self.rows = []
        self.next = {"attach": 1000, "item": 1000}
        self.files = {}
        # What stands in its place, by path in the channel: hash, bytes.
        self.good = {}
        # What cannot be adopted: (path, expected, found, scale).
        self.missing = set()
        self.row("channel", channel_id=1, channel_name="System", channel_address="sys", channel_hash="S" * 86)
        self.row("channel", channel_id=UID, channel_name="Alice", channel_address="alice", channel_hash=ALICE)
        self.row("channel", channel_id=3, channel_name="Bob", channel_address="bob", channel_hash=BOB)
        self.row("config", cat="system", k="baseurl", v="https://hub-a.test")
        for url in ("https://hub-a.test", "https://hub-b.test"):
            self.row("hubloc", hubloc_hash=ALICE, hubloc_url=url)

    def row(self, table, **row):
        self.rows.append((table, row))

    def sql(self, kind):
        return "".join(insert(kind, table, row) for table, row in self.rows)

    def number(self, table):
        self.next[table] += 1
        return self.next[table]

    def write(self, path, data):
        place = self.store.parent / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)

    def entry(self, hash, filename, place, *, data=None, folder="", **more):
        """A folder, or (with `data`) a file; `place` is its path in the channel."""
        number = self.number("attach")
        row = {
            "id": number, "aid": 1, "uid": UID, "hash": hash, "creator": ALICE, "filename": filename,
            "filetype": "multipart/mixed" if data is None else "text/plain", "filesize": len(data or b""),
            "folder": folder, "is_dir": int(data is None), "os_storage": 1, "os_path": hash, "display_path": place,
            "content": f"store/alice/{hash}".encode(), "created": "2026-11-22 16:20:01",
            "edited": "2026-11-22 16:20:02", **more,
        }
        self.row("attach", **row)
        return number

    def file(self, hash, filename, place, data, **more):
        number = self.entry(hash, filename, place, data=data, **more)
        if more.get("os_storage", 1) and "content" not in more:
            self.write(f"store/alice/{hash}", data)
        self.good[place] = (hash, data)
        return number

    def captured(self):
        """What the captured packets carried."""
        for file in packets():
            for attach in file["attach"]:
                path = attach.pop("content")
                attach.pop("term")
                if not attach["is_dir"]:
                    data = bytes_of(attach["hash"], attach["filesize"])
                    self.write(path, data)
                    self.good[attach["display_path"]] = (attach["hash"], data)
                self.row("attach", **attach, content=path.encode())
            for photo in file["photo"]:
                path = base64.b64decode(photo.pop("content"))
                if photo["imgscale"]:
                    data = bytes_of(path.decode(), photo["filesize"])
                    self.write(path.decode(), data)
                self.row("photo", **photo, content=path)
            for item in file["item"]:
                row = {ITEM_COLUMNS.get(name, name): value for name, value in item.items()}
                for name in ("obj", "target"):
                    row[name] = json.dumps(row[name])
                row.update(author_xchan=ALICE, owner_xchan=ALICE, expires="0001-01-01 00:00:00", public_policy="")
                self.row("item", **{name: row[name] for name, _ in columns("item") if name in row})

    def said(self, photo):
        """A comment and a like on a photo's post, and a post that has nothing to do with files."""
        top = f"https://hub-a.test/item/{photo['uuid']}"
        for uuid, body, verb in (("c0", "What a heron!", "Create"), ("c1", "", "Like")):
            mid = f"https://hub-b.test/item/{uuid}"
            self.row("item", id=self.number("item"), uid=UID, aid=1, uuid=uuid, mid=mid, parent=photo["id"],
                     parent_mid=top, thr_parent=top, author_xchan=BOB, owner_xchan=ALICE, body=body, verb=verb,
                     created="2026-11-22 17:00:00", edited="2026-11-22 17:00:00", sig="sha256.x")
        self.row("xchan", xchan_hash=BOB, xchan_guid="guid of bob", xchan_guid_sig="sha256.y", xchan_pubkey="no key",
                 xchan_photo_mimetype="image/png", xchan_photo_m="https://hub-b.test/photo/profile/m/3",
                 xchan_addr="bob@hub-b.test", xchan_url="https://hub-b.test/channel/bob", xchan_name="Bob Bülow",
                 xchan_network="zot6")
        lone = self.number("item")
        self.row("item", id=lone, uid=UID, aid=1, uuid="p0", mid="https://hub-a.test/item/p0", parent=lone,
                 parent_mid="https://hub-a.test/item/p0", thr_parent="https://hub-a.test/item/p0", author_xchan=ALICE,
                 owner_xchan=ALICE, body="Good morning", verb="Create", resource_id="nobody-knows-it",
                 created="2026-11-22 17:00:00", edited="2026-11-22 17:00:00")
        self.row("item", id=self.number("item"), uid=UID, aid=1, uuid="p1", mid="https://hub-a.test/item/p1",
                 parent=lone + 1, author_xchan=ALICE, body="A removed post on a photo", item_deleted=1,
                 resource_id=photo["resource_id"])

    def ordinary(self):
        """Folders, sizes, tags, access lists, bytes in the database; a column of a later release."""
        self.entry("d1", "folder1", "folder1", created="2020-01-01 00:00:00", edited="2020-01-02 00:00:00")
        self.entry("d2", "deeper & ümläut", "folder1/deeper & ümläut", folder="d1")
        doc = self.file("f1", "doc1.txt", "folder1/doc1.txt", bytes_of("f1", 15_000), folder="d1", revision=3,
                        created="2021-02-03 04:05:06", edited="2022-03-04 05:06:07", allow_cid=f"<{ALICE}>",
                        deny_gid="<group>", flags=4, later_release="kept as it is")
        self.row("term", uid=UID, aid=1, oid=doc, otype=8, ttype=3, term="herons", url="https://hub-a.test/cloud/alice/?cat=herons")
        self.row("term", uid=UID, aid=1, oid=doc, otype=1, ttype=1, term="a post's, not the file's")
        self.file("f2", "two\nlines\u202e.txt", "folder1/deeper & ümläut/two\nlines\u202e.txt", b"odd", folder="d2")
        self.file("f3", "empty", "empty", b"")
        self.file("f4", "it's \"quoted\" \\ and more", "it's \"quoted\" \\ and more", bytes_of("f4", 70_000))
        self.file("f5", "large.bin", "large.bin", bytes_of("f5", 5 * 1_048_576 + 1))
        inside = bytes_of("f6", 600_001)
        self.file("f6", "in the database.bin", "in the database.bin", inside, os_storage=0, content=inside)
        for number in range(600):
            self.file(f"m{number}", f"{number}.txt", f"folder1/{number}.txt", f"number {number}".encode(), folder="d1")

    def hostile(self, kind):
        """What is not as it should be."""
        self.write("secret", b"not alice's")
        self.file("g1", "gone.txt", "gone.txt", b"was here")
        (self.store / "alice/g1").unlink()
        self.spoil("gone.txt", 8, None)
        self.file("g2", "short.txt", "short.txt", b"0123456789")
        self.write("store/alice/g2", b"01234")
        self.spoil("short.txt", 10, 5)
        self.file("g3", "long.txt", "long.txt", b"0123456789")
        self.write("store/alice/g3", b"0123456789 and more")
        self.spoil("long.txt", 10, 19)
        self.file("g4", "short in the database", "short in the database", b"1234", os_storage=0, content=b"12")
        self.spoil("short in the database", 4, 2)
        size = len(b"not alice's")
        for hash, path in (("h1", "store/../secret"), ("h2", "/etc/passwd"), ("h3", "store/alice/link"),
                           ("h4", "store/alice/up/secret"), ("h5", "")):
            self.entry(hash, f"{hash}.txt", f"{hash}.txt", data=b"x" * size, content=path.encode())
        (self.store / "alice/link").symlink_to("../../secret")
        (self.store / "alice/up").symlink_to("../..")
        # PostgreSQL takes no NUL into a text, so that it is a slash there.
        nul = "nul\0" if kind == "mysql" else "nul/"
        for number, name in enumerate(("../../escape", "..", "", "a/b", nul)):
            self.entry(f"n{number}", name, f"bad name {number}", data=b"bad")
            self.write(f"store/alice/n{number}", b"bad")
        self.entry("f1", "doubled.txt", "doubled.txt", data=b"doubled")
        self.entry("c1", "round", "round", folder="c2")
        self.entry("c2", "and round", "round/and round", folder="c1")
        self.file("l1", "lost.txt", "lost.txt", b"lost", folder="nowhere")
        self.entry("ld", "lost folder", "lost folder", folder="nowhere")
        self.file("l2", "in it.txt", "lost folder/in it.txt", b"in it", folder="ld")
        self.entry("b1", "bob's.txt", "bob's.txt", data=b"bob's", uid=3)
        self.write("store/alice/b1", b"bob's")

    def spoil(self, place, expected, found, scale=None):
        if scale is None:
            del self.good[place]
        self.missing.add((place, expected, found, scale))
