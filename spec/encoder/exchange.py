"""The worked exchange of exchange.md: one file goes from hub A to hub B."""

import textwrap

from . import refusals, tree
from .cases_audit import attach_leaf, key
from .cases_frames import DONE, data as frame
from .cases_packets import data, entry, put
from .cases_sync import R1, row
from .versions import edit
from .wire import NOW, SITES, header, pack, plain, seal, uuid7

TEXT = b"Hello from hub A!\n"
ROOT = tree.leaf(TEXT)
NAME = {"resource": "hello-1", "role": "file", "root": ROOT}


def steps():
    first = edit(None, R1, NOW)
    fields = row("hello-1", "", "hello.txt", filesize=len(TEXT))
    operation = put(1, [entry(fields, first)], [data(len(TEXT), ROOT)])
    sync = header("clone-sync", "site-a", "site-b", 0xA1) | {"operations": [operation]}
    report = header("sync-report", "site-b", "site-a", 0xB1, NOW + 40, answers=sync["id"])
    report |= {"operations": [{"id": uuid7(1), "status": "stored"}], "present": []}
    ask = header("chunk-request", "site-b", "site-a", 0xB2, NOW + 60)
    ask |= {"items": [{**NAME, "ranges": [{"first": 0, "count": 1}]}]}
    here = header("sync-report", "site-b", "site-a", 0xB3, NOW + 600) | {"operations": [], "present": [NAME]}
    thanks = header("sync-report", "site-a", "site-b", 0xA2, NOW + 640, answers=here["id"])
    thanks |= {"operations": [], "present": []}
    return [
        step("announce", "site-a", "site-b", sync),
        step("stored", "site-b", "site-a", report),
        step("ask", "site-b", "site-a", ask),
        {"name": "frames", "requirement": "FETCH-11", "bytes": (frame(0, 0, 0, TEXT) + DONE).hex()},
        step("present", "site-b", "site-a", here),
        step("noted", "site-a", "site-b", thanks),
        *clocks(),
        *comparing(operation, first),
    ]


def clocks():
    """B's clock is an hour behind: A refuses, B dates anew."""
    hour = 3_600_000
    late = header("stream-request", "site-b", "site-a", 0xB4, NOW - hour) | NAME
    told = header("refusal", "site-a", "site-b", 0xA3, NOW + 900, answers=late["id"])
    code, sentence = next((row[0], row[-1]) for row in refusals.TABLE if row[1] == "stale")
    told |= {"code": code, "text": sentence, "clock": NOW + 900}
    again = header("stream-request", "site-b", "site-a", 0xB5, NOW + 950) | NAME
    return [
        {**step("stale", "site-a", "site-b", told), "requirement": "SIGN-10"},
        {**step("again", "site-b", "site-a", again), "requirement": "SIGN-16"},
    ]


def comparing(operation, first):
    """B has lost its catalog, and finds out what A has."""
    empty = {"prefix": b"", "digest": bytes(32), "list": False}
    compare = header("audit-request", "site-b", "site-a", 0xB6, NOW + 2000) | {"ranges": [empty]}
    leaf = attach_leaf("hello-1", first, first, content=first, filename="hello.txt", root=ROOT)
    found = {"range": 0, "digest": leaf, "count": 1, "leaves": key("attach", "hello-1") + leaf}
    differs = header("audit-page", "site-a", "site-b", 0xA4, NOW + 2010, answers=compare["id"]) | {"ranges": [found]}
    entries = header("entry-request", "site-b", "site-a", 0xB7, NOW + 2020) | {"keys": [key("attach", "hello-1")]}
    told = header("clone-sync", "site-a", "site-b", 0xA5, NOW + 2030, answers=entries["id"])
    told |= {"operations": [operation | {"id": uuid7(2)}]}
    steps = [("compare", "b", "a", compare), ("differs", "a", "b", differs), ("entries", "b", "a", entries), ("told", "a", "b", told)]
    return [
        {**step(name, f"site-{sender}", f"site-{receiver}", body), "requirement": f"AUDIT-{number}"}
        for (name, sender, receiver, body), number in zip(steps, (5, 8, 9, 10))
    ]


def step(name, sender, receiver, body):
    return {
        "name": name, "requirement": "PKT-1", "signer": sender, "receiver": SITES[receiver], "now": body["at"],
        "body": pack(body).hex(), "envelope": seal(sender, body).hex(), "fields": plain(body),
    }


def cases():
    return {
        "content": [{"name": "hello.txt", "requirement": "FILE-10", "text": TEXT.decode(), "bytes": TEXT.hex(), "root": ROOT.hex()}],
        "steps": steps(),
    }


def blocks():
    """The hexadecimal blocks of exchange.md, by name."""
    out = {"content": hexdump(TEXT.hex()), "root": ROOT.hex()}
    for s in steps():
        out[s["name"]] = hexdump(s.get("envelope") or s["bytes"])
        if "body" in s:
            out[f"{s['name']}-body"] = hexdump(s["body"])
    for site, name in (("a", "site-a"), ("b", "site-b")):
        out[f"site-{site}"] = SITES[name]
    return {name: f"```\n{text}\n```" for name, text in out.items()}


def hexdump(digits):
    return "\n".join(textwrap.wrap(digits, 96))
