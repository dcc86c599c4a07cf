"""Runs the vectors about trees: operations into a catalog of this peer, and a person's removal."""

import contextlib
import tempfile

import msgpack

from blobs import Blobs
from catalog import Catalog
from edits import Edits, view
from shapes import MESSAGEPACK
from store import Store

CLONE = "another clone"
"""One that is listed, so that it is told."""


@contextlib.contextmanager
def catalog_of(operations, said=None):
    """A catalog that has taken operations, in this order; `said` is told what became of each."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"{folder}/clone.sqlite")
        catalog = Catalog(store, Blobs(folder), lambda: 1_800_000_000_000)
        store.run("INSERT INTO hubs (site, state, deleted) VALUES (?, 'listed', 0)", CLONE)
        for data in operations:
            report = catalog.apply(msgpack.unpackb(bytes.fromhex(data), **MESSAGEPACK), None)
            if report["status"] == "refused":
                raise ValueError(f"an operation is refused: {report['code']}")
            if said is not None:
                said.append(report["status"])
        yield catalog
        store.base.close()


def living_is(case):
    """SYNC-35, in whatever order it became known."""
    for operations in (case["operations"], case["operations"][::-1]):
        with catalog_of(operations) as catalog:
            shown = {entry.resource for entry in view(catalog).values()}
            hidden = {entry.resource for entry in catalog.entries()} - shown
        if (sorted(shown), sorted(hidden)) != (case["living"], case["removed"]):
            return False
    return True


def removal_is(case):
    """SYNC-43: what is announced of a removal, and that nothing goes before what is inside it."""
    with catalog_of(case["operations"]) as catalog:
        (path,) = [path for path, entry in view(catalog).items() if entry.resource == case["remove"]]
        Edits(catalog, b"\7" * 8, catalog.clock).remove(path)
        told = catalog.store.all("SELECT op, resource FROM operations WHERE site = ? ORDER BY number", CLONE)
    gone = [row["resource"] for row in told if row["op"] == "remove"]
    inside_first = all(set(case["after"][name]) <= set(gone[:n]) for n, name in enumerate(gone))
    return len(told) == len(gone) and sorted(gone) == case["removed"] and inside_first


def answers_are(case):
    """AUDIT-11: merged like what is delivered; only conflict copies are announced (SYNC-45)."""
    said = []
    with catalog_of(case["operations"], said) as catalog:
        told = catalog.store.all("SELECT resource FROM operations WHERE site = ? ORDER BY number", CLONE)
    return said == case["status"] and [row["resource"] for row in told] == case["announced"]
