"""Cases for files.md: chunking.json, merkle.json."""

from . import tree
from .tree import MAX_FILE, MIB, PAGE

GIB = 1 << 30


def chunking():
    sizes = [0, 1, MIB - 1, MIB, MIB + 1, 5 * MIB + 1, 32 * MIB, 33 * MIB, 4096 * MIB, 4096 * MIB + 1]
    for step in (16, 32, 64, 128, 256):
        sizes += [step * GIB - 1, step * GIB, step * GIB + 1]
    sizes += [MAX_FILE - 1, MAX_FILE]
    return {"cut": [cut(size) for size in sizes], "too_large": [
        {"name": f"{size} bytes", "requirement": "FILE-3", "size": size} for size in (MAX_FILE + 1, 2**64 - 1)
    ]}


def cut(size):
    count = tree.chunks(size)
    shown = sorted({n for n in (0, 1, count // 2, count - 2, count - 1) if 0 <= n < count})
    pages = tree.pages(size)
    shown_pages = sorted({p for p in (0, 1, pages - 1) if 0 <= p < pages})
    return {
        "name": f"{size} bytes",
        "requirement": "FILE-2",
        "size": size,
        "chunk_size": tree.chunk_size(size),
        "chunks": count,
        "spans": [{"chunk": n, "offset": tree.span(size, n)[0], "len": tree.span(size, n)[1]} for n in shown],
        "pages": pages,
        "page_chunks": [
            {"page": p, "first": p * PAGE, "count": min(PAGE, count - p * PAGE)} for p in shown_pages
        ],
    }


# The test tree of RFC 6962's reference implementation: inputs, and the roots over the first 1 to 8 of them.
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def merkle():
    return {
        "published": published(),
        "patterns": [pattern(size) for size in (0, 1, MIB - 1, MIB, MIB + 1, 5 * MIB + 1)],
        "pages": [pages(count) for count in (2, 4096, 4097, 8192, 8193, 12_293, 16_384, 20_000, 1_048_576)],
        "bad_pages": bad_pages(),
    }


def published():
    leaves = [tree.leaf(bytes.fromhex(x)) for x in INPUTS]
    out = []
    for count, expected in enumerate(ROOTS, 1):
        assert tree.root(leaves[:count]).hex() == expected
        case = {"name": f"the first {count}", "requirement": "FILE-8", "inputs": INPUTS[:count], "root": expected}
        out.append(case)
    return out


def pattern(size):
    leaves = tree.leaves_of(tree.pattern(size))
    return {
        "name": f"{size} bytes, byte i is i modulo 251",
        "requirement": "FILE-8",
        "size": size,
        "leaves": [leaf.hex() for leaf in leaves],
        "root": tree.root(leaves).hex(),
    }


def size_of(count):
    """A content with so many chunks."""
    size = count * MIB if count <= 16_384 else count * 16 * MIB
    assert tree.chunks(size) == count
    return size


def pages(count):
    leaves = [tree.synthetic(n) for n in range(count)]
    tops = [tree.root(tree.page_leaves(leaves, p)) for p in range(-(-count // PAGE))]
    top = tree.root(tops)
    shown = range(len(tops)) if len(tops) < 8 else (0, 1, 2, 127, 128, 255)
    out = []
    for page in (p for p in shown if p < len(tops)):
        path = path_over(tops, page)
        assert tree.proves(top, count, page, tree.page_leaves(leaves, page), path)
        out.append({"page": page, "path": [h.hex() for h in path]})
    return {
        "name": f"{count} synthetic digests, number n is SHA-256 of n in 4 bytes",
        "requirement": "FILE-11",
        "size": size_of(count),
        "root": top.hex(),
        "page_roots": [h.hex() for h in tops] if len(tops) < 8 else [],
        "pages": out,
    }


def path_over(tops, page):
    if len(tops) == 1:
        return []
    k = 1 << ((len(tops) - 1).bit_length() - 1)
    if page < k:
        return [*path_over(tops[:k], page), tree.root(tops[k:])]
    return [*path_over(tops[k:], page - k), tree.root(tops[:k])]


def bad_pages():
    count = 12_293
    leaves = [tree.synthetic(n) for n in range(count)]
    top = tree.root(leaves)
    path = [tree.page_path(leaves, p) for p in range(4)]

    def case(name, error, page, first, number, nodes, root=top):
        digests = leaves[first : first + number]
        assert not tree.proves(root, count, page, digests, nodes)
        return {
            "name": name, "requirement": "FILE-12", "error": error, "size": size_of(count), "root": root.hex(),
            "page": page, "digests": {"first": first, "count": number}, "path": [h.hex() for h in nodes],
        }

    return [
        case("a page beyond the last", "no-such-page", 4, 0, 4096, path[0]),
        case("a digest too few", "digest-count", 1, 4096, 4095, path[1]),
        case("a digest too many", "digest-count", 3, 12_287, 6, path[3]),
        case("no digests", "digest-count", 0, 0, 0, path[0]),
        case("a path that is too short", "path-length", 0, 0, 4096, path[0][:-1]),
        case("a path that is too long", "path-length", 0, 0, 4096, [*path[0], top]),
        case("the path of another page", "wrong-root", 0, 0, 4096, path[1]),
        case("the digests of another page", "wrong-root", 1, 0, 4096, path[1]),
        case("the order of the path reversed", "wrong-root", 0, 0, 4096, path[0][::-1]),
        case("another content", "wrong-root", 0, 0, 4096, path[0], tree.leaf(b"")),
    ]
