"""What a clone knows, in one SQLite file: it survives a kill at any moment (QUEUE-7).

Owns the tables and the one lock. Not here: what the rows mean.
"""

import contextlib
import sqlite3
import threading

import msgpack

from shapes import MESSAGEPACK

TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value BLOB);
CREATE TABLE IF NOT EXISTS hubs (
    site TEXT PRIMARY KEY, url TEXT, pem TEXT, signed BLOB, serial BLOB, replica BLOB, is_primary INT, deleted INT,
    state TEXT, failed INT DEFAULT 0, offset INT DEFAULT 0, no_streams INT DEFAULT 0, audited INT DEFAULT 0);
CREATE TABLE IF NOT EXISTS notices (site TEXT PRIMARY KEY, signed BLOB);
CREATE TABLE IF NOT EXISTS rotations (number INTEGER PRIMARY KEY, signed BLOB);
CREATE TABLE IF NOT EXISTS packets (hub TEXT, id BLOB, expires INT, answer BLOB, PRIMARY KEY (hub, id));
CREATE TABLE IF NOT EXISTS entries (
    resource TEXT PRIMARY KEY, is_dir INT, fields BLOB, place BLOB, meta BLOB, content BLOB, removed BLOB, was TEXT,
    photos BLOB, root BLOB, key BLOB UNIQUE, digest BLOB);
CREATE TABLE IF NOT EXISTS contents (
    resource TEXT, role TEXT, root BLOB, size INT, digests BLOB, mime TEXT, source TEXT, current INT, state TEXT,
    since INT, PRIMARY KEY (resource, role, root));
CREATE TABLE IF NOT EXISTS items (
    mid TEXT PRIMARY KEY, resource TEXT, row BLOB, version BLOB, url TEXT, nick TEXT, uid INT, key BLOB, digest BLOB);
CREATE TABLE IF NOT EXISTS partials (root BLOB PRIMARY KEY, held BLOB);
CREATE TABLE IF NOT EXISTS has (
    site TEXT, resource TEXT, role TEXT, root BLOB, PRIMARY KEY (site, resource, role, root));
CREATE TABLE IF NOT EXISTS operations (
    number INTEGER PRIMARY KEY, site TEXT, id BLOB, op TEXT, resource TEXT, UNIQUE (site, resource));
CREATE TABLE IF NOT EXISTS reports (
    number INTEGER PRIMARY KEY, site TEXT, resource TEXT, role TEXT, root BLOB, UNIQUE (site, resource, role, root));
CREATE TABLE IF NOT EXISTS said (number INTEGER PRIMARY KEY, site TEXT, resource TEXT, status TEXT, code INT);
"""


def pack(value):
    return None if value is None else msgpack.packb(value)


def unpack(data):
    return None if data is None else msgpack.unpackb(data, **MESSAGEPACK)


class Store:
    def __init__(self, path):
        self.lock = threading.RLock()
        self.depth = 0
        self.base = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self.base.row_factory = sqlite3.Row
        self.base.execute("PRAGMA journal_mode = WAL")
        self.base.execute("PRAGMA synchronous = FULL")
        self.base.executescript(TABLES)

    @contextlib.contextmanager
    def change(self):
        """A transaction; inside another one, a part of it."""
        with self.lock:
            if self.depth == 0:
                self.base.execute("BEGIN IMMEDIATE")
            self.depth += 1
            try:
                yield self
            except BaseException:
                self.depth -= 1
                if self.depth == 0:
                    self.base.execute("ROLLBACK")
                raise
            self.depth -= 1
            if self.depth == 0:
                self.base.execute("COMMIT")

    def run(self, statement, *values):
        with self.lock:
            return self.base.execute(statement, values).rowcount

    def all(self, query, *values):
        with self.lock:
            return self.base.execute(query, values).fetchall()

    def one(self, query, *values):
        rows = self.all(query, *values)
        return rows[0] if rows else None

    def fact(self, name, default=None):
        row = self.one("SELECT value FROM facts WHERE name = ?", name)
        return default if row is None else row["value"]

    def set_fact(self, name, value):
        self.run("INSERT OR REPLACE INTO facts VALUES (?, ?)", name, value)

    def close(self):
        with self.lock:
            self.base.close()
