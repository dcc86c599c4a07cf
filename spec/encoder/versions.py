"""Versions of registers. sync.md, SYNC-20 to SYNC-26."""


def version(vector, hlc, replica):
    return {"vector": dict(sorted(vector.items())), "hlc": hlc, "replica": replica}


def edit(previous, replica, now):
    """SYNC-22, SYNC-23."""
    vector = dict(previous["vector"]) if previous else {}
    vector[replica] = vector.get(replica, 0) + 1
    last = previous["hlc"] if previous else 0
    return version(vector, max(now << 16, last + 1), replica)


def stamp(v):
    return v["hlc"], v["replica"]


def included(a, b):
    """Whether b has seen all of a and is not earlier."""
    return stamp(a) <= stamp(b) and all(n <= b["vector"].get(r, 0) for r, n in a["vector"].items())


def relation(a, b):
    """SYNC-24."""
    return {
        (True, True): "equal",
        (True, False): "older",
        (False, True): "newer",
        (False, False): "concurrent",
    }[included(a, b), included(b, a)]


def precedence(v):
    return (*stamp(v), sum(v["vector"].values()), sorted(v["vector"].items()))


def winner(a, b):
    """SYNC-25."""
    return a if precedence(a) >= precedence(b) else b


def join(a, b):
    both = {r: max(a["vector"].get(r, 0), b["vector"].get(r, 0)) for r in {*a["vector"], *b["vector"]}}
    best = winner(a, b)
    return version(both, best["hlc"], best["replica"])


def has_seen(a, b):
    """SYNC-26: whether a has seen the edit that made b's value."""
    return a["vector"].get(b["replica"], 0) >= b["vector"][b["replica"]]
