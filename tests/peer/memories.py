"""Runs the vectors about packets that come again: this peer's memory, under a clock that is set."""

import pathlib
import tempfile
from types import SimpleNamespace

import msgpack

from receive import Receiver
from refusals import Refused
from shapes import unpack_map
from store import Store


def memory_is(case):
    """SIGN-6, SIGN-8, SIGN-9, SIGN-12."""
    with tempfile.TemporaryDirectory() as folder:
        path, time = pathlib.Path(folder) / "clone.sqlite", SimpleNamespace(now=0)

        def started():
            return Receiver(SimpleNamespace(clock=lambda: time.now, store=Store(path), hubs=None))

        receiver = started()
        for step in case["steps"]:
            time.now = step.get("now", time.now)
            if step["do"] == "packet" and said(receiver, step) != step["said"]:
                return False
            if step["do"] == "forget":
                receiver.forget()
            if step["do"] == "restart":
                receiver.store.base.close()
                receiver = started()
        receiver.store.base.close()
    return True


def said(receiver, step):
    party = {"hub": "s" * 86, "channel": "p" * 86}
    sender = party | {"hub": step.get("hub", party["hub"])}
    body = {"type": "locations", "id": bytes.fromhex(step["id"]), "from": sender, "to": party, "records": []}
    body = unpack_map(msgpack.packb(body | {"at": step["at"], "expires": step["expires"]}))
    try:
        if receiver.check(body) is not None:
            return "again"
    except Refused as refusal:
        return refusal.word
    receiver.remember(body, b"what it was answered")
    return "taken"
