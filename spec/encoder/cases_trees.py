"""Cases for sync.md and audit.md: trees.json, what lives of a tree, how a folder goes, and what is made of answers."""

from . import tree
from .cases_packets import data, entry, folder, put
from .cases_sync import R1, R2, copy_id, row
from .versions import edit, has_seen, join
from .wire import NOW, pack

FIRST = edit(None, R1, NOW)
"""Of everything."""
LATER = edit(FIRST, R1, NOW + 2)
"""Of a content, at the same clone."""
BURIED = edit(FIRST, R2, NOW + 1)
"""Of a removal, by another clone that saw the first content alone."""
EMPTY = edit(None, R2, NOW + 1)
"""Of the removal of a folder, which has no content."""


class Tree:
    """Folders and files by their ids, and the operations that tell of them."""

    def __init__(self):
        self.above, self.removed, self.content = {}, {}, {}

    def folder(self, name, inside="", removed=None):
        self.above[name], self.removed[name] = inside, removed
        return self

    def file(self, name, inside="", content=FIRST, removed=None):
        self.content[name] = content
        return self.folder(name, inside, removed)

    def way(self, name):
        return [*self.way(self.above[name]), name] if name else []

    def operations(self):
        """A put of each entry by a clone that knows of no removal, and each removal by another one."""
        made = []
        for name in self.above:
            parents = [folder(one, self.above[one], one) for one in self.way(name)[:-1]]
            own, contents = folder(name, self.above[name], name), []
            if name in self.content:
                own, contents = entry(row(name, self.above[name], name), self.content[name]), [data()]
            made.append(put(len(made) + 1, [*parents, own], contents))
            if self.removed[name]:
                gone = name not in self.content or has_seen(self.removed[name], self.content[name])
                removal = put(len(made) + 1, [*parents, {**own, "removed": self.removed[name]}], [] if gone else contents, "remove")
                made.append(removal)
        return [pack(one).hex() for one in made]

    def lives(self, name):
        """SYNC-34, SYNC-35."""
        removed = self.removed[name]
        if name in self.content:
            return not (removed and has_seen(removed, self.content[name]))
        return not removed or any(self.lives(one) for one, above in self.above.items() if above == name)

    def inside(self, name):
        below = [one for one, above in self.above.items() if above == name]
        return [*below, *(deep for one in below for deep in self.inside(one))]


def living():
    cases = [
        ("a folder and a file", Tree().folder("d").file("f", "d")),
        ("an empty folder", Tree().folder("d")),
        ("an empty folder that was removed", Tree().folder("d", removed=EMPTY)),
        ("a removed folder with its removed file", Tree().folder("d", removed=EMPTY).file("f", "d", removed=BURIED)),
        ("a file that was put into a removed folder", Tree().folder("d", removed=EMPTY).file("f", "d", removed=BURIED).file("g", "d")),
        ("a file with content that its removal had not seen",
            Tree().folder("d", removed=EMPTY).file("f", "d", LATER, BURIED)),
        ("a file whose removal had seen a join", Tree().file("f", "", FIRST, edit(join(FIRST, EMPTY), R2, NOW + 3))),
        ("an empty folder that was made in a removed one", Tree().folder("d", removed=EMPTY).folder("e", "d")),
        ("three folders, all removed, and a file in the last", Tree().folder("d", removed=EMPTY).folder("e", "d", EMPTY)
            .folder("g", "e", EMPTY).file("f", "g")),
        ("a removed branch beside a living one", Tree().folder("d", removed=EMPTY).folder("e", "d", EMPTY)
            .file("f", "e", removed=BURIED).folder("g", "d", EMPTY).file("h", "g")),
        ("a living file beside a removed folder", Tree().folder("d").folder("e", "d", EMPTY).file("f", "d")),
        ("only removed ones inside one that was not", Tree().folder("d").folder("e", "d", EMPTY).file("f", "d", removed=BURIED)),
    ]
    return [
        {
            "name": name, "requirement": "SYNC-35", "operations": tree.operations(),
            "living": sorted(one for one in tree.above if tree.lives(one)),
            "removed": sorted(one for one in tree.above if not tree.lives(one)),
        }
        for name, tree in cases
    ]


def removals():
    deep = Tree().folder("a").folder("b", "a").folder("c", "b").file("f", "c").file("g", "a").folder("x").file("y", "x")
    wide = Tree().folder("a")
    for n in range(12):
        wide.folder(f"d{n}", "a").file(f"f{n}", f"d{n}").file(f"g{n}", "a")
    before = Tree().folder("a").folder("b", "a", EMPTY).file("f", "b", removed=BURIED).file("g", "a", LATER, BURIED)
    back = Tree().folder("a", removed=EMPTY).folder("b", "a", EMPTY).file("f", "b")
    cases = [
        ("a file", deep, "g"), ("an empty folder", Tree().folder("a").folder("b"), "b"), ("a folder of folders", deep, "a"),
        ("one in the middle", deep, "b"), ("many", wide, "a"),
        ("what is removed already stays as it is", before, "a"), ("folders that live for what is in them", back, "a"),
    ]
    return [removal(*case) for case in cases]


def removal(name, tree, top):
    seen = [one for one in [*tree.inside(top), top] if tree.lives(one)]
    return {
        "name": name, "requirement": "SYNC-43", "operations": tree.operations(), "remove": top, "removed": sorted(seen),
        "after": {one: sorted(below for below in tree.inside(one) if below in seen) for one in sorted(seen)},
    }


def answers():
    """Operations that another clone gave for keys that it was asked for: what becomes of each, and what is announced then."""
    def file(content, raw=b"abc", **more):
        return put(1, [entry(row(filesize=len(raw)), content, **more)], [] if more else [data(len(raw), tree.leaf(raw))])

    other = edit(None, R2, NOW + 5)
    three = put(2, [folder()], []), put(3, [folder(), entry(row("f2", "d1"), FIRST)], [data()]), put(4, [entry(row("f3"), FIRST, removed=BURIED)], [], "remove")
    cases = [
        ("a folder, a file in it, a tombstone", three, ["stored"] * 3, []),
        ("all of them twice", [*three, *three], ["stored"] * 3 + ["duplicate"] * 3, []),
        ("a later content", [file(FIRST), file(LATER, b"later")], ["stored", "stored"], []),
        ("an earlier content", [file(LATER, b"later"), file(FIRST)], ["stored", "superseded"], []),
        ("a removal that has seen it", [file(FIRST), file(FIRST, removed=BURIED)], ["stored", "stored"], []),
        ("a content that wins", [file(FIRST), file(other, b"other")], ["stored", "stored"], [copy_id("f1", FIRST)]),
        ("a content that loses", [file(other, b"other"), file(FIRST)], ["stored", "superseded"], [copy_id("f1", FIRST)]),
    ]
    return [
        {"name": n, "requirement": "AUDIT-11", "operations": [pack(o).hex() for o in ops], "status": status, "announced": announced}
        for n, ops, status, announced in cases
    ]


def cases():
    return {"living": living(), "removals": removals(), "answers": answers()}
