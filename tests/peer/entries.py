"""An entry of the catalog: its row taken apart into registers, each under its version, and put together again.

Owns which field of a row belongs to which register (SYNC-7), and which of two values counts (SYNC-24 to 27, SYNC-42).
"""

import msgpack

from operations import CONTENT, LOCAL, OF_A_FOLDERS_META, PLACE
from shapes import join_map, split_map
from store import pack, unpack
from trie import attach_digest, leaf_key
from versions import has_seen, includes, merge

COMPARED = ("creator", "allow_cid", "allow_gid", "deny_cid", "deny_gid", "title")
FIXED = {"hash", "is_dir"}


def register_of(name, is_dir):
    if name in PLACE:
        return "place"
    if name in CONTENT and not (is_dir and name in OF_A_FOLDERS_META):
        return "content"
    return "meta"


class Entry:
    """`fields` maps a name to the bytes of its value, as they came."""

    def __init__(self, resource, is_dir):
        self.resource, self.is_dir, self.fields = resource, bool(is_dir), {}
        self.place = self.meta = self.content = self.removed = self.was = self.root = None
        self.photos = []

    @classmethod
    def load(cls, row):
        entry = cls(row["resource"], row["is_dir"])
        entry.fields = unpack(row["fields"])
        for name in ("place", "meta", "content", "removed"):
            setattr(entry, name, unpack(row[name]))
        entry.was, entry.root, entry.photos = row["was"], row["root"], unpack(row["photos"])
        return entry

    def save(self, store):
        store.run(
            "INSERT OR REPLACE INTO entries VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
            self.resource, int(self.is_dir), pack(self.fields), pack(self.place), pack(self.meta), pack(self.content),
            pack(self.removed), self.was, pack(self.photos), self.root, leaf_key("attach", self.resource), self.digest(),
        )  # fmt: skip

    def value(self, name):
        return msgpack.unpackb(self.fields[name]) if name in self.fields else None

    @property
    def folder(self):
        return self.value("folder")

    @property
    def filename(self):
        return self.value("filename")

    @property
    def gone(self):
        """Whether a file counts as removed (SYNC-34); a folder's life depends on what is inside (SYNC-35)."""
        return not self.is_dir and bool(self.removed) and has_seen(self.removed, self.content)

    def digest(self):
        versions = (self.place, self.meta, self.content, self.removed)
        root = None if self.gone else self.root
        return attach_digest(self.resource, *versions, self.folder, self.filename, root)

    def row(self):
        return join_map(list(self.fields.items()))

    def part(self):
        """The element of `attach` for this entry."""
        part = {"row": self.row(), "place": self.place, "meta": self.meta}
        for name in ("content", "removed", "was"):
            if getattr(self, name) is not None:
                part[name] = getattr(self, name)
        return part

    def take_fields(self, register, fields):
        """Replaces the values of one register."""
        kept = {n: v for n, v in self.fields.items() if n in FIXED or register_of(n, self.is_dir) != register}
        self.fields = kept | {n: v for n, v in fields.items() if register_of(n, self.is_dir) == register or n in FIXED}

    def of_register(self, register, fields=None):
        fields = self.fields if fields is None else fields
        return {n: v for n, v in fields.items() if n not in FIXED and register_of(n, self.is_dir) == register}


def fields_of(row):
    """The fields of a row that came, without those of one hub (SYNC-19)."""
    return {name: value for name, value in split_map(row) if name not in LOCAL}


def decide(held, new, held_value, new_value):
    """The version of a register, and whether the new value is taken; of equal versions the larger value counts (SYNC-42)."""
    if held is None:
        return new, True
    if includes(held, new) and includes(new, held):
        return held, new_value > held_value
    return merge(held, new)


def place_value(fields, was):
    texts = [msgpack.unpackb(fields[name]).encode() for name in ("folder", "filename")]
    return (*texts, (was is not None, (was or "").encode()))


def meta_value(fields, photos):
    """In the order of SYNC-42; nil stands before any text."""
    known = [msgpack.unpackb(fields[name]) if name in fields else None for name in COMPARED]
    texts = [(text is not None, (text or "").encode()) for text in known]
    others = sorted((name.encode(), value) for name, value in fields.items() if name not in COMPARED)
    return (texts, others, photos)
