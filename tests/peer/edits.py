"""Edits of a channel's owner: put, make a folder, move, remove. Each is one transaction and waits for every clone.

Owns new rows and versions (SYNC-20 to SYNC-23, SYNC-33, SYNC-39, SYNC-43, SYNC-44). Paths are those that `view` shows.
"""

import datetime
import mimetypes
import pathlib
import secrets

import msgpack

from entries import Entry
from places import displaced, living_folders, shown_names
from refusals import need
from versions import edit, join

TEXTS = ("creator", "allow_cid", "allow_gid", "deny_cid", "deny_gid")
NUMBERS = ("filesize", "revision", "flags", "is_photo")


def view(catalog):
    """What is shown: entries by path, and which is where (SYNC-35, SYNC-40, SYNC-41)."""
    entries = {entry.resource: entry for entry in catalog.entries()}
    folders = {name: entry for name, entry in entries.items() if entry.is_dir}
    moved = displaced({name: (one.folder, one.was, one.place) for name, one in folders.items()})
    parents = {name: moved.get(name, entry.folder) for name, entry in entries.items()}
    removed = {name for name, entry in folders.items() if entry.removed}
    files = [parents[name] for name, entry in entries.items() if not entry.is_dir and not entry.gone]
    living = living_folders({name: parents[name] for name in folders}, removed, files)
    shown = [n for n, one in entries.items() if (n in living if one.is_dir else not one.gone)]
    inside = {}
    for name in shown:
        inside.setdefault(parents[name], []).append((name, entries[name].filename))
    names = {}
    for group in inside.values():
        names |= shown_names(group)

    def path(name):
        return (path(parents[name]) + "/" if parents[name] in names else "") + names[name]

    return {path(name): entries[name] for name in shown}


class Edits:
    def __init__(self, catalog, replica, clock):
        self.catalog, self.replica, self.clock = catalog, replica, clock

    def next(self, previous):
        return edit(previous, self.replica, self.clock())

    def finish(self, entry, op):
        entry.save(self.catalog.store)
        self.catalog.settle(entry)
        self.catalog.announce(entry.resource, op)

    def folder(self, path, shown):
        """The id of the folder at a path, which is made where it is missing."""
        if path in ("", "."):
            return ""
        if path in shown:
            need(shown[path].is_dir, f"{path} is a file", "bad-place")
            return shown[path].resource
        above = self.folder(str(pathlib.PurePosixPath(path).parent), shown)
        entry = self.new(pathlib.PurePosixPath(path).name, above, True)
        self.finish(entry, "put")
        shown[path] = entry
        return entry.resource

    def new(self, name, folder, is_dir):
        entry = Entry(secrets.token_hex(16), is_dir)
        values = dict.fromkeys(TEXTS, "") | dict.fromkeys(NUMBERS, 0)
        values |= {"hash": entry.resource, "filename": name, "folder": folder, "is_dir": int(is_dir)}
        values |= {"filetype": "multipart/mixed", "created": self.date(), "edited": self.date()}
        entry.fields = {field: msgpack.packb(value) for field, value in values.items()}
        entry.place = entry.meta = self.next(None)
        return entry

    def date(self):
        now = datetime.datetime.fromtimestamp(self.clock() / 1000, datetime.timezone.utc)
        return f"{now:%Y-%m-%d %H:%M:%S}"

    def put(self, source, path):
        """A new file, or new content of one that is there."""
        size, root, digests = self.catalog.blobs.add(source)
        mime = mimetypes.guess_type(path)[0] or "application/octet-stream"
        with self.catalog.store.change():
            shown = view(self.catalog)
            entry = shown.get(path)
            if entry is None:
                target = pathlib.PurePosixPath(path)
                entry = self.new(target.name, self.folder(str(target.parent), shown), False)
            need(not entry.is_dir, f"{path} is a folder", "bad-place")
            revision = entry.value("revision") + (entry.content is not None)
            entry.content = self.next(join(entry.content, entry.removed))
            values = {"filetype": mime, "filesize": size, "revision": revision, "edited": self.date()}
            entry.fields |= {field: msgpack.packb(value) for field, value in values.items()}
            entry.root = root
            data = {"role": "file", "root": root, "size": size, "mime": mime, "source": "fetch"}
            data["digests"] = b"".join(digests) if len(digests) > 1 else None
            self.catalog.note_content(entry.resource, data)
            self.finish(entry, "put")

    def make_folder(self, path):
        with self.catalog.store.change():
            self.folder(path, view(self.catalog))

    def move(self, path, to):
        with self.catalog.store.change():
            shown = view(self.catalog)
            entry, target = shown[path], pathlib.PurePosixPath(to)
            folder = self.folder(str(target.parent), shown)
            if folder != entry.folder:
                entry.was = entry.folder or None
            entry.place = self.next(entry.place)
            entry.fields |= {"folder": msgpack.packb(folder), "filename": msgpack.packb(target.name)}
            self.finish(entry, "place")

    def remove(self, path):
        """With everything inside, those inside first."""
        with self.catalog.store.change():
            shown = view(self.catalog)
            need(path in shown, f"{path} is not there", "bad-place")
            inside = [one for one in shown if one == path or one.startswith(path + "/")]
            for one in sorted(inside, key=len, reverse=True):
                entry = shown[one]
                entry.removed = self.next(join(entry.content, entry.removed))
                self.finish(entry, "remove")
