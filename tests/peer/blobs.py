"""Bytes on disk: contents by their roots, and what has arrived of the others.

Owns files and syncs. Invariant: a file in `whole/` has the content that its name says, verified and durable (FETCH-37).
"""

import os
import pathlib
import shutil
import threading

from chunks import chunk_count, chunk_length, chunk_size, leaf, tree_hash

EMPTY = tree_hash([])


def sync_folder(path):
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Blobs:
    def __init__(self, folder):
        self.whole, self.parts = pathlib.Path(folder) / "whole", pathlib.Path(folder) / "parts"
        for path in (self.whole, self.parts):
            path.mkdir(parents=True, exist_ok=True)
        self.lock = threading.Lock()

    def path(self, root):
        return self.whole / root.hex()

    def part(self, root):
        return self.parts / root.hex()

    def has(self, root):
        return self.path(root).exists()

    def free(self):
        return shutil.disk_usage(self.whole).free

    def make_empty(self):
        if not self.has(EMPTY):
            self.path(EMPTY).touch()
            sync_folder(self.whole)

    def add(self, source):
        """Takes a file in: its size, root and digests (FILE-5: of the bytes that are kept)."""
        kept = self.parts / f"new-{os.getpid()}-{threading.get_ident()}"
        shutil.copyfile(source, kept)
        size = kept.stat().st_size
        with open(kept, "rb") as file:
            digests = [leaf(file.read(chunk_size(size))) for _ in range(chunk_count(size))]
            os.fsync(file.fileno())
        root = tree_hash(digests)
        os.replace(kept, self.path(root))
        sync_folder(self.whole)
        return size, root, digests

    def write(self, root, size, number, data):
        """Writes a verified chunk at its place; it does not count before `sync` (FETCH-31)."""
        path = self.part(root)
        with self.lock:
            if not path.exists():
                path.touch()
                sync_folder(self.parts)
        with open(path, "r+b") as file:
            file.seek(number * chunk_size(size))
            file.write(data)

    def sync(self, root):
        with open(self.part(root), "rb") as file:
            os.fsync(file.fileno())

    def finish(self, root):
        os.replace(self.part(root), self.path(root))
        sync_folder(self.whole)

    def read_part(self, root, size, number):
        try:
            with open(self.part(root), "rb") as file:
                file.seek(number * chunk_size(size))
                return file.read(chunk_length(size, number))
        except FileNotFoundError:
            return b""

    def read(self, root, size, number):
        """A chunk of a whole content; it is for the caller to hash it (AUDIT-17)."""
        with open(self.path(root), "rb") as file:
            file.seek(number * chunk_size(size))
            return file.read(chunk_length(size, number))

    def set_aside(self, root):
        """Damaged content is kept no longer (AUDIT-17)."""
        self.path(root).unlink(missing_ok=True)
