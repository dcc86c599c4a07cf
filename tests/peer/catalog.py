"""The catalog: merges operations into entries, keeps what loses as conflict copies, and makes operations of entries.

Owns entries, contents and items, and who is still to be told. Not here: bytes, sockets, who may speak.
"""

import msgpack

from chunks import split
from entries import Entry, decide, fields_of, meta_value, place_value
from operations import check_operation
from packets import new_id
from refusals import Refused, need
from store import pack, unpack
from trie import Leaves, item_digest, leaf_key
from versions import copy_id, copy_name, has_seen, includes, join, merge

ROOM = 800_000


class Catalog:
    def __init__(self, store, blobs, clock, quota=None):
        self.store, self.blobs, self.clock, self.quota = store, blobs, clock, quota

    # Reading

    def entry(self, resource):
        row = self.store.one("SELECT * FROM entries WHERE resource = ?", resource)
        return Entry.load(row) if row else None

    def entries(self):
        return [Entry.load(row) for row in self.store.all("SELECT * FROM entries ORDER BY resource")]

    def content(self, resource, role, root):
        return self.store.one("SELECT * FROM contents WHERE resource=? AND role=? AND root=?", resource, role, root)

    def leaves(self):
        rows = self.store.all("SELECT key, digest FROM entries UNION ALL SELECT key, digest FROM items")
        return Leaves({row["key"]: row["digest"] for row in rows})

    def resource_of(self, key):
        """The entry that a key of a leaf leads to (AUDIT-9, AUDIT-10)."""
        query = "SELECT resource FROM entries WHERE key = ? UNION SELECT resource FROM items WHERE key = ?"
        row = self.store.one(query, key, key)
        return row["resource"] if row else None

    # Merging

    def apply(self, op, site):
        """What becomes of one operation that `site` sent: an element of a sync-report (SYNC-8, SYNC-15, SYNC-16)."""
        try:
            rows = check_operation(op)
            for row in rows:
                held = self.entry(row["hash"])
                need(held is None or held.is_dir == bool(row["is_dir"]), "a folder and a file")
            self.check_room(op, rows[-1])
        except Refused as refusal:
            return {"id": op["id"], "status": "refused", "code": refusal.code}
        changed = lost = False
        with self.store.change():
            for row, part in zip(rows, op["attach"]):
                own = op if part is op["attach"][-1] else {}
                new, behind = self.merge(row, part, own)
                changed, lost = changed or new, lost or behind
            changed |= self.take_items(op.get("item") or [], rows[-1]["hash"])
            for data in op.get("data") or []:
                if site is not None and data["source"] == "fetch":
                    self.note_holder(site, rows[-1]["hash"], data["role"], data["root"])
        return {"id": op["id"], "status": "superseded" if lost else "stored" if changed else "duplicate"}

    def check_room(self, op, row):
        """SYNC-12, SYNC-13: when it is announced, not when its bytes come."""
        wanted = sum(
            data["size"] for data in op.get("data") or []
            if not self.content(row["hash"], data["role"], data["root"]) and not self.blobs.has(data["root"])
        )  # fmt: skip
        if not wanted:
            return
        query = "SELECT coalesce(sum(size), 0) AS n FROM contents WHERE current AND state "
        held, promised = (self.store.one(query + part)["n"] for part in ("= 'held'", "= 'wanted'"))
        if self.quota is not None:
            need(held + promised + wanted <= self.quota, "the quota", "quota-exceeded")
        need(promised + wanted <= self.blobs.free(), "disk space", "no-space")

    def merge(self, row, part, op):
        """One row of an operation: whether it changed anything, and whether its content is older or lost (SYNC-9)."""
        fields, resource = fields_of(part["row"]), row["hash"]
        held = self.entry(resource)
        entry = held or Entry(resource, row["is_dir"])
        before = pack([entry.fields, entry.part() if held else None, entry.photos, entry.root])
        if held is None:
            entry.fields = fields
        old = dict(entry.fields)
        entry.removed = join(entry.removed, part.get("removed"))
        place = (fields, part.get("was"))
        value = place_value(entry.fields, entry.was)
        entry.place, taken = decide(entry.place, part["place"], value, place_value(*place))
        if taken:
            entry.take_fields("place", fields)
            entry.was = part.get("was")
        photos = op.get("photo") or []
        value = meta_value(entry.of_register("meta"), entry.photos)
        entry.meta, taken = decide(
            entry.meta, part["meta"], value, meta_value(entry.of_register("meta", fields), photos)
        )  # fmt: skip
        if taken:
            entry.take_fields("meta", fields)
            if op:
                entry.photos = photos
        data = {one["role"]: one for one in op.get("data") or []}
        if taken and op:
            self.take_photo_contents(resource, data)
        lost = self.merge_content(entry, part.get("content"), old, fields, data.get("file")) if not entry.is_dir else False
        entry.save(self.store)
        self.settle(entry)
        after = pack([entry.fields, entry.part(), entry.photos, entry.root])
        return before != after, lost

    def merge_content(self, entry, version, old, fields, data):
        """The content register; what loses is kept as a copy (SYNC-25, SYNC-37). Whether what came is older or lost."""
        held, root = entry.content, data and data["root"]
        if held is None:
            entry.content = version
            self.take_content(entry, fields, data)
            return False
        if includes(held, version):
            if includes(version, held) and entry.root is None and root:
                self.take_content(entry, fields, data)
            return not includes(version, held)
        merged, taken = merge(held, version)
        concurrent = not includes(version, held)
        loser, winner = (held, version) if taken else (version, held)
        known = has_seen(winner, loser) or bool(entry.removed) and has_seen(entry.removed, loser)
        losing_root = entry.root if taken else root
        if concurrent and not known and losing_root and losing_root != (root if taken else entry.root):
            self.keep_copy(entry, loser, old if taken else fields, losing_root, None if taken else data)
        entry.content = merged
        if taken:
            self.take_content(entry, fields, data)
        return not taken

    def take_content(self, entry, fields, data):
        entry.take_fields("content", fields)
        entry.root = data["root"] if data else None
        if data:
            self.note_content(entry.resource, data)

    def note_content(self, resource, data):
        self.store.run(
            "INSERT OR IGNORE INTO contents VALUES (?,?,?,?,?,?,?,1,'wanted',?)",
            resource, data["role"], data["root"], data["size"], data.get("digests"), data["mime"], data["source"],
            self.clock(),
        )  # fmt: skip

    def take_photo_contents(self, resource, data):
        """PHOTO-7: those of the winning meta version and no others."""
        self.store.run("UPDATE contents SET current = 0 WHERE resource = ? AND role != 'file'", resource)
        for role in ("photo-4", "photo-7"):
            if role in data:
                self.note_content(resource, data[role])
                self.store.run(
                    "UPDATE contents SET current = 1 WHERE resource = ? AND role = ? AND root = ?",
                    resource, role, data[role]["root"],
                )  # fmt: skip

    def keep_copy(self, entry, loser, fields, root, data):
        """The conflict copy, announced to everybody (SYNC-37, SYNC-38, SYNC-45)."""
        copy = Entry(copy_id(entry.resource, loser), False)
        copy.fields = dict(fields)
        copy.fields["hash"] = msgpack.packb(copy.resource)
        copy.fields["filename"] = msgpack.packb(copy_name(msgpack.unpackb(fields["filename"]), loser))
        copy.place = copy.meta = copy.content = loser
        if data is None:
            row = self.content(entry.resource, "file", root)
            data = {name: row[name] for name in ("role", "root", "size", "digests", "mime", "source")}
        holders = self.store.all("SELECT site FROM has WHERE resource=? AND root=?", entry.resource, root)
        held = self.entry(copy.resource)
        if held is None:
            copy.root = root
            self.note_content(copy.resource, data)
            copy.save(self.store)
            self.settle(copy)
            self.announce(copy.resource, "put")
        for row in holders:
            self.note_holder(row["site"], copy.resource, "file", root)

    def settle(self, entry):
        """What is wanted, held or superseded of an entry's contents, after its registers changed."""
        rows = self.store.all("SELECT * FROM contents WHERE resource = ?", entry.resource)
        for row in rows:
            current = row["root"] == entry.root if row["role"] == "file" else row["current"]
            wanted = bool(current) and not entry.gone
            if row["size"] == 0:
                self.blobs.make_empty()
            state = ("held" if self.blobs.has(row["root"]) else "wanted") if wanted else "old"
            since = row["since"] if state == row["state"] else self.clock()
            key = (entry.resource, row["role"], row["root"])
            self.store.run(
                "UPDATE contents SET current=?, state=?, since=? WHERE resource=? AND role=? AND root=?",
                int(wanted), state, since, *key,
            )  # fmt: skip
            if state == "held" and row["state"] == "wanted":
                self.report(*key)

    def arrived(self, root):
        """A content is complete and durable: it is held under every name that wants it, and reported (SYNC-10, SYNC-31)."""
        with self.store.change():
            for row in self.store.all("SELECT * FROM contents WHERE root = ? AND state = 'wanted'", root):
                key = (row["resource"], row["role"], root)
                self.store.run("UPDATE contents SET state='held' WHERE resource=? AND role=? AND root=?", *key)
                self.report(*key)
            self.store.run("DELETE FROM partials WHERE root = ?", root)

    def take_items(self, items, resource):
        """ITEM-6. Rows stay as they came, under the home that came with them; nothing here shows them (ITEM-12)."""
        changed = False
        for item in items:
            held = self.store.one("SELECT * FROM items WHERE mid = ?", item["mid"])
            version, taken = item["version"], True
            if held:
                version, taken = merge(unpack(held["version"]), item["version"])
            changed |= taken or version != unpack(held["version"])
            new = item if taken else dict(held)
            self.store.run(
                "INSERT OR REPLACE INTO items VALUES (?,?,?,?,?,?,?,?,?)",
                item["mid"], resource, new.get("row"), pack(version), new["url"], new["nick"], new.get("uid"),
                leaf_key("item", item["mid"]), item_digest(item["mid"], version),
            )  # fmt: skip
        return changed

    # Telling

    def listed(self):
        return [row["site"] for row in self.store.all("SELECT site FROM hubs WHERE state = 'listed' AND NOT deleted")]

    def announce(self, resource, op, sites=None):
        """An edit waits once for each clone, as it is now (SYNC-30); its id stays on every delivery (PKT-21)."""
        number = new_id()
        for site in self.listed() if sites is None else sites:
            self.store.run("DELETE FROM operations WHERE site = ? AND resource = ?", site, resource)
            self.store.run(
                "INSERT INTO operations (site, id, op, resource) VALUES (?, ?, ?, ?)", site, number, op, resource
            )  # fmt: skip

    def report(self, resource, role, root, sites=None):
        for site in self.listed() if sites is None else sites:
            self.store.run(
                "INSERT OR IGNORE INTO reports (site, resource, role, root) VALUES (?, ?, ?, ?)",
                site, resource, role, root,
            )  # fmt: skip

    def note_holder(self, site, resource, role, root):
        self.store.run("INSERT OR IGNORE INTO has VALUES (?, ?, ?, ?)", site, resource, role, root)

    def operations(self, resource, op, number):
        """The entry as it is now: one operation, or more if its items do not fit (SYNC-5, SYNC-14, ITEM-8)."""
        entry = self.entry(resource)
        above, seen, name = [], {resource}, entry.folder
        while name and name not in seen:
            parent = self.entry(name)
            above.insert(0, parent)
            seen.add(name)
            name = parent.folder
        operation = {"id": number, "op": op, "attach": [one.part() for one in [*above, entry]]}
        if not entry.is_dir and not entry.gone:
            rows = self.store.all("SELECT * FROM contents WHERE resource = ? AND current ORDER BY role", resource)
            operation["data"] = [data_of(row) for row in rows]
        if entry.photos:
            operation["photo"] = entry.photos
        items = [item_of(row) for row in self.store.all("SELECT * FROM items WHERE resource = ?", resource)]
        return [operation | ({"item": part} if part else {}) for part in in_parts(items, operation)]


def data_of(row):
    names = ("role", "size", "root", "digests", "mime", "source")
    data = {name: row[name] for name in names if row[name] is not None}
    if "digests" in data and not 2 <= len(split(data["digests"])) <= 32:
        del data["digests"]
    return data


def item_of(row):
    item = {name: row[name] for name in ("mid", "row", "url", "nick", "uid") if row[name] is not None}
    return item | {"version": unpack(row["version"])}


def in_parts(items, operation):
    room = ROOM - len(msgpack.packb(operation))
    parts, size = [[]], 0
    for item in items:
        one = len(msgpack.packb(item))
        if parts[-1] and size + one > room:
            parts.append([])
            size = 0
        parts[-1].append(item)
        size += one
    return parts
