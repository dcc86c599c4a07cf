"""What is derived from the registers of all entries: where they are shown, under which names, which folders live
(SYNC-35, SYNC-40, SYNC-41). Nothing of it is stored or travels."""

from versions import split_name


def displaced(folders):
    """Where folders in a cycle are shown instead (SYNC-40). `folders` maps a hash to (folder, was, place version)."""
    shown = {}

    def parent(name):
        return shown.get(name, folders[name][0])

    def cycle_of(start):
        path, name = [], start
        while name in folders:
            if name in path:
                return path[path.index(name) :]
            path.append(name)
            name = parent(name)
        return None

    while True:
        cycles = {frozenset(cycle) for cycle in map(cycle_of, sorted(folders)) if cycle}
        if not cycles:
            return shown
        for cycle in cycles:
            first = min(cycle, key=lambda name: (folders[name][2]["hlc"], folders[name][2]["replica"], name))
            shown[first] = "" if first in shown else folders[first][1] or ""


def living_folders(folders, removed, files):
    """The folders that live (SYNC-35): `folders` maps a hash to its parent as shown, `removed` are those that have
    `removed`, `files` the parents of living files."""
    living = set()
    for name in [name for name in folders if name not in removed] + list(files):
        while name in folders and name not in living:
            living.add(name)
            name = folders[name]
    return living


def shown_names(entries):
    """What entries of one folder are called (SYNC-41); `entries` are pairs of id and name."""
    first = {}
    for resource, name in sorted(entries):
        first.setdefault(name, resource)
    out = {}
    for resource, name in entries:
        stem, extension = split_name(name)
        out[resource] = name if first[name] == resource else f"{stem} ({resource[:4]}){extension}"
    return out
