"""The worked exchange of exchange.md: one file goes from hub A to hub B."""

import textwrap

from . import tree
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
