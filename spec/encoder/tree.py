"""Chunks, the Merkle tree, pages. files.md."""

import hashlib

MIB = 1 << 20
PAGE = 4096
MAX_FILE = 1 << 44


def chunk_size(size):
    """FILE-1."""
    assert size <= MAX_FILE
    chunk = MIB
    while -(-size // chunk) > 16_384 and chunk < 16 * MIB:
        chunk *= 2
    return chunk


def chunks(size):
    return -(-size // chunk_size(size))


def span(size, n):
    """FILE-2: offset and length of a chunk."""
    chunk = chunk_size(size)
    return n * chunk, min(chunk, size - n * chunk)


def pages(size):
    return -(-chunks(size) // PAGE)


def leaf(data):
    return hashlib.sha256(b"\0" + data).digest()


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def root(leaves):
    """FILE-8, as RFC 9162 writes it."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1 << ((len(leaves) - 1).bit_length() - 1)
    return node(root(leaves[:k]), root(leaves[k:]))


def leaves_of(data):
    size = len(data)
    return [leaf(data[at : at + length]) for at, length in (span(size, n) for n in range(chunks(size)))]


def page_leaves(leaves, page):
    return leaves[page * PAGE : (page + 1) * PAGE]


def page_path(leaves, page):
    """FILE-11: the audit path of an aligned subtree, by RFC 9162's recursion over page roots."""
    tops = [root(page_leaves(leaves, p)) for p in range(-(-len(leaves) // PAGE))]

    def path(m, tops):
        if len(tops) == 1:
            return []
        k = 1 << ((len(tops) - 1).bit_length() - 1)
        if m < k:
            return [*path(m, tops[:k]), root(tops[k:])]
        return [*path(m - k, tops[k:]), root(tops[:k])]

    return path(page, tops)


def proves(top, count, page, digests, path):
    """FILE-12: the receiver's walk, as the text describes it."""
    last = -(-count // PAGE) - 1
    if page > last or len(digests) != min(PAGE, count - page * PAGE):
        return False
    h, rest = root(digests), list(path)
    while last > 0:
        if page % 2 or page < last:
            if not rest:
                return False
            sibling = rest.pop(0)
            h = node(sibling, h) if page % 2 else node(h, sibling)
        page, last = page // 2, last // 2
    return not rest and h == top


def synthetic(n):
    """Leaf digest number n of a content that nobody has: SHA-256 of n in 4 bytes, big-endian."""
    return hashlib.sha256(n.to_bytes(4, "big")).digest()


def pattern(size):
    """The bytes of a described file: byte i is i modulo 251."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]
