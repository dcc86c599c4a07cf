"""What a hub must not take, or not give: packets that are wrong in one way each, sent by a clone that it knows."""

import tempfile

import msgpack

from calls import Lost, Unsigned
from checks import check
from chunks import chunk_count, chunk_size
from clone import Clone, init, load_key
from download import FRAMES_TYPE
from edits import view
from frames import Frames
from identity import b64
from packets import LIFETIME, MAX_PACKET, new_id
from refusals import CODES, WORDS, Refused
from streams import path_of


def outcome(function, *arguments, **named):
    """What an exchange ended with: ("signed", word), ("hint", status, type, number and word), or the type of the answer."""
    try:
        return function(*arguments, **named)["type"]
    except Refused as refusal:
        return ("signed" if refusal.signed else "own check", refusal.word)
    except Unsigned as answer:
        status, kind, data = answer.args
        return ("hint", status, (kind or "").split(";")[0], data.decode(errors="replace").split(":")[0])
    except Lost as lost:
        return ("lost", str(lost))


def hinted(word):
    """REF-3."""
    code, status = CODES[word]
    return ("hint", status, "text/plain", f"{code} {word}")


class Probes:
    def __init__(self, folder, guid):
        self.clone, self.guid, self.key = Clone(folder), guid, load_key(f"{folder}/channel.pem")
        self.calls, self.site = self.clone.calls, self.clone.hubs.all_listed()[0]["site"]
        rows = self.clone.store.all("SELECT * FROM contents WHERE state = 'held' ORDER BY size")
        self.rows = rows
        self.some = next(row for row in rows if chunk_count(row["size"]) > 1)
        self.name = {name: self.some[name] for name in ("resource", "role", "root")}
        self.item = {**self.name, "ranges": [{"first": 0, "count": 1}]}

    def run(self, streams):
        self.envelopes()
        self.ranges()
        self.headers()
        self.strangers()
        self.repeats()
        if streams:
            self.stream()
        self.clone.store.close()

    def exchange(self, data, request_id):
        return outcome(self.calls.exchange, self.site, data, request_id)

    def ask(self, kind, **fields):
        return outcome(self.calls.ask, self.site, kind, **fields)

    def envelopes(self):
        request = {"items": [self.item]}
        request_id, data = self.calls.packet(self.site, "chunk-request", **request)
        envelope = msgpack.unpackb(data)
        tampered = bytes([envelope["sig"][0] ^ 1]) + envelope["sig"][1:]
        broken = msgpack.packb({**envelope, "sig": tampered})
        check("a tampered signature", self.exchange(broken, request_id), hinted("bad-signature"))
        altered = msgpack.packb({**envelope, "body": envelope["body"].replace(b"chunk-request", b"drunk-request")})
        check("an altered body", self.exchange(altered, request_id), hinted("bad-signature"))
        check("no packet at all", self.exchange(b"hello", request_id), hinted("malformed"))
        large = self.exchange(bytes(MAX_PACKET + 1), request_id)
        check("a packet of more than 1 MiB", large[:2], ("hint", 413), must=large[0] != "lost")
        old = self.clone.clock() - LIFETIME - 1000
        request_id, data = self.calls.packet(self.site, "chunk-request", at=old, **request)
        try:
            self.calls.exchange(self.site, data, request_id)
        except Refused as refusal:
            check("an expired packet", (refusal.signed, refusal.word), (True, "stale"))
            check("its refusal carries the clock", abs(refusal.clock - self.clone.clock()) < 60_000, True)
        elsewhere = {"hub": self.clone.site_id, "channel": self.clone.channel}
        request_id, data = self.calls.packet(self.site, "chunk-request", to=elsewhere, **request)
        check("a packet to another hub", self.exchange(data, request_id), hinted("not-for-me"))
        check("a type of a later version", self.ask("shred-request"), ("signed", "unknown-type"))

    def ranges(self):
        beyond = {**self.item, "ranges": [{"first": chunk_count(self.some["size"]), "count": 1}]}
        check("a chunk beyond the end", self.ask("chunk-request", items=[beyond]), ("signed", "bad-range"))
        check("no chunk at all", self.ask("chunk-request", items=[]), ("signed", "bad-range"))
        unknown = {**self.item, "resource": "no-such-resource"}
        check("an unknown resource", self.frames([unknown]), [("refused", 0, "unknown-resource"), ("end", "done")])
        small = next(row for row in self.rows if 0 < row["size"] <= 1000)
        known = {**{name: small[name] for name in self.name}, "ranges": self.item["ranges"]}
        among = self.frames([known, unknown, known])
        kinds = [(event[0], event[1]) for event in among]
        wanted = [("header", 0), ("refused", 1), ("header", 2), ("end", "done")]
        check("an unknown one among others", [one for i, one in enumerate(kinds) if one not in kinds[:i]], wanted)
        page = {**self.name, "first": 0, "count": 1}
        check("its pages", self.pages([{**page, "resource": "no-such-resource"}]), [(0, "unknown-resource")])
        check("a page beyond the last", self.pages([{**page, "first": 9}]), [(0, "bad-range")])

    def headers(self):
        for header in ({"Zot-Resume": "1"}, {"Zot-Resume": "+1:0"}, {"Zot-Max-Bytes": "1e3"}):
            refused = self.frames([self.item], header)
            check(f"a header {header}", refused in (("signed", "bad-field"), hinted("bad-field")), True)
        check("behind the last chunk", self.frames([self.item], {"Zot-Resume": "1:0"}), [("end", "done")])
        check("beyond the list", self.frames([self.item], {"Zot-Resume": "2:0"}), ("signed", "bad-range"))
        check("no payload", self.frames([self.item], {"Zot-Max-Bytes": "0"}), [("end", "limit")])

    def frames(self, items, headers=()):
        """The events of one presentation but for payload, or how it was refused."""
        request_id, data = self.calls.packet(self.site, "chunk-request", items=items)
        with self.calls.open(self.site, "POST", "/zot", data, headers) as response:
            data = response.read()
            if response.getheader("Content-Type") != FRAMES_TYPE:
                return outcome(self.calls.read_answer, self.site, response, data, request_id)
        events = [event for event in Frames().feed(data) if event[0] != "data"]
        return [("refused", event[1], WORDS[event[2]]) if event[0] == "refused" else event for event in events]

    def pages(self, items):
        answer = self.calls.ask(self.site, "manifest-request", items=items)
        return [(one["item"], WORDS[one["code"]]) for one in answer["refused"]] if not answer["pages"] else answer["pages"]

    def strangers(self):
        """A hub that is not known, and one that is introduced but does not answer."""
        with tempfile.TemporaryDirectory() as folder:
            init(folder, "http://127.0.0.1:9", self.key, self.guid)
            stranger = Clone(folder)
            row = self.clone.hubs.get(self.site)
            stranger.store.run("INSERT INTO hubs (site, url, pem, state, deleted) VALUES (?, ?, ?, 'met', 0)", *row[:3])

            def ask(kind, **fields):
                return outcome(stranger.calls.ask, self.site, kind, **fields)

            check("a hub that is not known", ask("chunk-request", items=[self.item]), hinted("unknown-location"))
            refused = ask("chunk-request", introduce=True, items=[self.item])
            check("one only introduced", refused in (("signed", "not-a-clone"), ("signed", "challenge-failed")), True)
            check("its challenge", ask("challenge", introduce=True, nonce=bytes(32)), "challenge")
            stranger.store.close()

    def repeats(self):
        """A folder of ours, announced; the same packet again (SIGN-9), and the same operation in another packet."""
        self.clone.edits.make_folder("from the peer")
        resource = view(self.clone.catalog)["from the peer"].resource
        (operation,) = self.clone.catalog.operations(resource, "put", new_id())
        request_id, data = self.calls.packet(
            self.site, "clone-sync", operations=[operation, {"id": new_id(), "op": "shred"}]
        )  # fmt: skip
        first = self.calls.exchange(self.site, data, request_id)
        again = self.calls.exchange(self.site, data, request_id)
        check("a repeat gets the same report", statuses(again), statuses(first))
        check("an operation of a later version", statuses(first)[1], "unsupported-operation")
        answer = self.calls.ask(self.site, "clone-sync", operations=[operation])
        check("the same operation again", statuses(answer), ["duplicate"])

    def stream(self):
        """A range of a content as plain HTTP (STREAM-1 to STREAM-6)."""
        row = max(self.rows, key=lambda row: row["size"])
        name = {key: row[key] for key in ("resource", "role", "root")}
        _, data = self.calls.packet(self.site, "stream-request", **name)
        path, authorization = path_of(**name), {"Authorization": "Zot " + b64(data)}
        first, last = chunk_size(row["size"]), row["size"] - 1

        def get(path, **headers):
            return self.calls.open(self.site, "GET", path, None, authorization | headers)

        with get(path, Range=f"bytes={first}-{last}") as response:
            head = (response.status, response.getheader("Content-Type"), response.getheader("Content-Range"))
            check("a stream", head, (206, "application/x-zot-file", f"bytes {first}-{last}/{row['size']}"))
            check("its tag", response.getheader("ETag"), f'"{row["root"].hex()}"')
            check("its bytes", response.read() == self.clone.blobs.path(row["root"]).read_bytes()[first:], True)
        with get(path + "00") as response:
            check("another path than the packet's", response.status // 100, 4)
        with get(path, Range=f"bytes={last + 1}-") as response:
            check("a range outside the content", response.status, 416)


def statuses(report):
    return [WORDS[one["code"]] if one["status"] == "refused" else one["status"] for one in report["operations"]]
