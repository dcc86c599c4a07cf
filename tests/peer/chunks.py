"""Chunks, their digests, the Merkle tree and its pages (files.md)."""

import hashlib

from refusals import need

PAGE = 4096


def chunk_size(size):
    """FILE-1."""
    chunk = 1 << 20
    while chunk < 1 << 24 and size > 16384 * chunk:
        chunk *= 2
    return chunk


def chunk_count(size):
    return -(-size // chunk_size(size))


def chunk_length(size, number):
    return min(chunk_size(size), size - number * chunk_size(size))


def leaf(data):
    return hashlib.sha256(b"\0" + data).digest()


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def split(digests):
    return [digests[i : i + 32] for i in range(0, len(digests), 32)]


def tree_hash(level):
    """FILE-8, level by level: a node without a right sibling moves up unchanged."""
    if not level:
        return hashlib.sha256().digest()
    while len(level) > 1:
        pairs = [node(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = pairs + level[len(level) - len(level) % 2 :]
    return level[0]


def check_page(size, root, number, digests, path):
    """FILE-12."""
    chunks = chunk_count(size)
    last = -(-chunks // PAGE) - 1
    need(number <= last, "no such page", "bad-content")
    need(len(digests) == min(PAGE, chunks - PAGE * number), "number of digests", "bad-content")
    path, found = list(path), tree_hash(digests)
    while last > 0:
        if number % 2 == 1 or number < last:
            need(path, "path too short", "bad-content")
            found = node(path.pop(0), found) if number % 2 == 1 else node(found, path.pop(0))
        number, last = number // 2, last // 2
    need(not path, "path too long", "bad-content")
    need(found == root, "another root", "bad-content")


def page_path(digests, number):
    """The path of a page, from the bottom up (FILE-11); `digests` are all of the content."""
    level = [tree_hash(digests[i : i + PAGE]) for i in range(0, len(digests), PAGE)]
    path = []
    while len(level) > 1:
        sibling = number ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        pairs = [node(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level, number = pairs + level[len(level) - len(level) % 2 :], number // 2
    return path
