"""Cases for sync.md: trees.json, what lives of a tree and how a folder goes."""

from .cases_packets import data, entry, folder, put
from .cases_sync import R1, R2, row
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


def cases():
    return {"living": living(), "removals": removals()}
