"""Acts as a clone of a channel: introduces itself to a running hub, takes what it announces, fetches every file by
chunk-requests, reports it, and checks a few refusals on the way.

Needs msgpack and cryptography. `run.sh` sets everything up.
"""

import argparse
import json
import pathlib
import secrets
import sys
import time

import msgpack
from cryptography.hazmat.primitives import serialization

import wire
from download import FRAMES_TYPE, Content, Download, fetch_digests
from peer import WORDS, Peer, Unsigned
from wire import Refused, need

SMALL = 1 << 20
failures = []


def check(name, outcome, wanted, must=True):
    """Where the specification says SHOULD, another outcome is noted and no failure."""
    good = outcome == wanted
    word = "ok  " if good else "FAIL" if must else "note"
    print(f"{word}  {name}" + ("" if good else f": {outcome!r} instead of {wanted!r}"), flush=True)
    if must and not good:
        failures.append(name)


def outcome(function, *arguments, **named):
    """What an exchange ended with: ("signed", word), ("hint", status, number and word), or the type of the answer."""
    try:
        return function(*arguments, **named)["type"]
    except Refused as refusal:
        return ("signed" if refusal.signed else "own check", refusal.word)
    except Unsigned as answer:
        status, kind, data = answer.args
        return ("hint", status, kind.split(";")[0], data.decode(errors="replace").split(":")[0])


def hinted(word):
    """REF-3."""
    code, status = wire.CODES[word]
    return ("hint", status, "text/plain", f"{code} {word}")


def come_in(peer, timeout):
    """Introduces the peer, and waits until the hub has listed it: until it is given something."""
    print("the hub knows the channel at", ", ".join(peer.introduce()))
    deadline = time.monotonic() + timeout
    while True:
        try:
            peer.ask("sync-report", present=[])
            return
        except Refused as refusal:
            need(refusal.word == "not-a-clone" and time.monotonic() < deadline, str(refusal), refusal.word)
        time.sleep(0.2)
        peer.ask("locations", introduce=True, records=[])


def wait_for_files(peer, count, timeout):
    with peer.news:
        came = peer.news.wait_for(lambda: len(peer.announced) >= count, timeout)
    need(came, f"only {len(peer.announced)} of {count} files were announced in {timeout} s", "unavailable")


def stranger_to_the_channel(into):
    """A content that no hub has."""
    data = {"role": "file", "root": secrets.token_bytes(32), "size": 5}
    return Content("no-such-resource", data, into / "no-such-resource")


def fetch_everything(peer, into):
    """Files of one chunk go together in one request, with an unknown one among them; each large one has its own."""
    contents = [
        Content(resource, data, into / path)
        for resource, (path, parts) in peer.announced.items()
        for data in parts
        if data["role"] == "file" and data["source"] == "fetch"
    ]
    small = [content for content in contents if 0 < content.size <= SMALL]
    unknown = stranger_to_the_channel(into)
    together = Download(peer, small[:1] + [unknown] + small[1:])
    together.run(cuts=[100_003], cap=777_777)
    unknown.partial.unlink()
    check("an unknown one among them is refused alone", unknown.refused, wire.CODES["unknown-resource"][0])
    report(together, f"{len(small)} small files")
    for content in contents:
        if content.size > SMALL:
            if not content.digests or len(content.digests) < content.chunks:
                print(f"  {fetch_digests(peer, content)} page of digests for {content.path.name}")
            download = Download(peer, [content])
            download.run(cuts=[1, 1_500_001, 1 << 20], cap=content.size // 7)
            report(download, content.path.name)
    for content in contents:
        content.finish()
    check("every file has its root", len(contents), len(peer.announced))
    return contents


def report(download, name):
    print(f"  {name}: {download.presented} presentations, {download.cuts} cut, {download.limits} limited")


def check_refusals(peer, contents):
    """What the hub must not take, or not give."""
    some = next(content for content in contents if content.chunks > 1)
    item = {**some.name(), "ranges": [{"first": 0, "count": 1}]}
    request = {"items": [item]}

    request_id, data = peer.packet("chunk-request", **request)
    envelope = msgpack.unpackb(data)
    tampered = bytes([envelope["sig"][0] ^ 1]) + envelope["sig"][1:]
    broken = msgpack.packb({**envelope, "sig": tampered})
    check("a tampered signature", outcome(peer.exchange, broken, request_id), hinted("bad-signature"))
    altered = msgpack.packb({**envelope, "body": envelope["body"].replace(b"chunk-request", b"drunk-request")})
    check("an altered body", outcome(peer.exchange, altered, request_id), hinted("bad-signature"))
    check("no packet at all", outcome(peer.exchange, b"hello", request_id), hinted("malformed"))
    large = outcome(peer.exchange, bytes(wire.MAX_PACKET + 1), request_id)
    check("a packet of more than 1 MiB", large[:2], ("hint", 413))
    check("and its hint", large, hinted("too-large"), must=False)

    old = wire.now_ms() - wire.LIFETIME - 1000
    request_id, data = peer.packet("chunk-request", at=old, **request)
    check("an expired packet", outcome(peer.exchange, data, request_id), ("signed", "stale"))
    try:
        peer.exchange(data, request_id)
    except Refused as refusal:
        check("its refusal carries the clock", abs(refusal.clock - wire.now_ms()) < 10_000, True)
    elsewhere = {"hub": peer.site_id, "channel": peer.channel}
    request_id, data = peer.packet("chunk-request", to=elsewhere, **request)
    check("a packet to another hub", outcome(peer.exchange, data, request_id), hinted("not-for-me"))
    check("a type of a later version", outcome(peer.ask, "shred-request"), ("signed", "unknown-type"))

    beyond = {**item, "ranges": [{"first": some.chunks, "count": 1}]}
    check("a chunk beyond the end", outcome(peer.ask, "chunk-request", items=[beyond]), ("signed", "bad-range"))
    check("no chunk at all", outcome(peer.ask, "chunk-request", items=[]), ("signed", "bad-range"))
    unknown = {**item, "resource": "no-such-resource"}
    page = {key: unknown[key] for key in ("resource", "role", "root")} | {"first": 0, "count": 1}
    check("an unknown resource", frames_of(peer, [unknown]), [("refused", 0, "unknown-resource"), ("end", "done")])
    check("its pages", refused_pages(peer, [page]), [(0, "unknown-resource")])
    known = {**some.name(), "first": 0, "count": 1}
    check("a page beyond the last", refused_pages(peer, [{**known, "first": 9}]), [(0, "bad-range")])

    for header in ({"Zot-Resume": "1"}, {"Zot-Resume": "+1:0"}, {"Zot-Max-Bytes": "1e3"}):
        refused = frames_of(peer, [item], header)
        check(f"a header {header}", refused in (("signed", "bad-field"), hinted("bad-field")), True)
    check("behind the last chunk", frames_of(peer, [item], {"Zot-Resume": "1:0"}), [("end", "done")])
    check("beyond the list", frames_of(peer, [item], {"Zot-Resume": "2:0"}), ("signed", "bad-range"))
    check("no payload", frames_of(peer, [item], {"Zot-Max-Bytes": "0"}), [("end", "limit")])


def frames_of(peer, items, headers=()):
    """The events of one presentation but for payload, or how it was refused."""
    request_id, data = peer.packet("chunk-request", items=items)
    with peer.open("POST", "/zot", data, headers) as response:
        data = response.read()
        if response.getheader("Content-Type") != FRAMES_TYPE:
            return outcome(peer.read_answer, response, data, request_id)
    events = [event for event in wire.Frames().feed(data) if event[0] != "data"]
    return [("refused", event[1], WORDS[event[2]]) if event[0] == "refused" else event for event in events]


def refused_pages(peer, items):
    answer = peer.ask("manifest-request", items=items)
    need(not answer["pages"], "pages of what was refused")
    return [(refusal["item"], WORDS[refusal["code"]]) for refusal in answer["refused"]]


def check_strangers(peer, arguments, key, item):
    """A hub that is not known, and one that is introduced but does not answer."""
    stranger = Peer(key, arguments.guid, peer.hub_url, "http://127.0.0.1:9")
    stranger.hub_id, stranger.known = peer.hub_id, peer.known
    check("a hub that is not known", outcome(stranger.ask, "chunk-request", items=[item]), hinted("unknown-location"))
    wanted = ("signed", "not-a-clone")
    check("one only introduced", outcome(stranger.ask, "chunk-request", introduce=True, items=[item]), wanted)
    check("its challenge", outcome(stranger.ask, "challenge", introduce=True, nonce=bytes(32)), "challenge")


def check_report(peer, contents):
    """The final report."""
    answer = peer.ask("sync-report", present=[content.name() for content in contents])
    empty = not answer.get("operations") and not answer.get("present")
    check("the report of what is present", (answer["type"], empty), ("sync-report", True))


def check_repeats(peer):
    """A folder of ours, announced; the same packet again (SIGN-9), and the same operation in another packet."""
    version = {"vector": {peer.replica: 1}, "hlc": wire.now_ms() << 16, "replica": peer.replica}
    texts = ("creator", "folder", "allow_cid", "allow_gid", "deny_cid", "deny_gid")
    row = dict.fromkeys(texts, "") | dict.fromkeys(("filesize", "revision", "flags", "is_photo"), 0)
    row |= {"hash": secrets.token_hex(16), "filename": "from the peer", "filetype": "multipart/mixed", "is_dir": 1}
    row["created"] = row["edited"] = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    part = {"row": msgpack.packb(row), "place": version, "meta": version}
    operation = {"id": wire.new_id(), "op": "put", "attach": [part]}
    later = {**operation, "id": wire.new_id(), "op": "shred"}
    request_id, data = peer.packet("clone-sync", operations=[operation, later])
    for name in ("an operation of ours, and one of a later version", "the same packet again"):
        answer = peer.exchange(data, request_id)
        check(name, statuses(answer), ["stored", "unsupported-operation"])
    answer = peer.ask("clone-sync", operations=[operation])
    check("the same operation again", statuses(answer), ["duplicate"])
    # Nobody knows today which fields a later operation will have (SYNC-4).
    request_id, data = peer.packet("clone-sync", operations=[operation, {"id": wire.new_id(), "op": "shred"}])
    try:
        answer = statuses(peer.exchange(data, request_id))
    except Refused as refusal:
        answer = str(refusal)
    check("an operation of a later version with fields of its own", answer, ["duplicate", "unsupported-operation"])


def statuses(report):
    return [WORDS[one["code"]] if one["status"] == "refused" else one["status"] for one in report["operations"]]


def check_stream(peer, content):
    """A range of a content as plain HTTP, where the hub streams (STREAM-1 to STREAM-6)."""
    _, data = peer.packet("stream-request", **content.name())
    path = f"/zot/file/{content.resource}/{content.role}/{content.root.hex()}"
    headers = {"Authorization": "Zot " + wire.b64(data)}
    first, last = wire.chunk_size(content.size), content.size - 1
    with peer.open("GET", path, headers={**headers, "Range": f"bytes={first}-{last}"}) as response:
        head = (response.status, response.getheader("Content-Type"), response.getheader("Content-Range"))
        check("a stream", head, (206, "application/x-zot-file", f"bytes {first}-{last}/{content.size}"))
        check("its tag", response.getheader("ETag"), f'"{content.root.hex()}"')
        check("its bytes", response.read() == content.path.read_bytes()[first:], True)
    with peer.open("GET", path + "00", headers=headers) as response:
        check("another path than the packet's", response.status // 100, 4)
    with peer.open("GET", path, headers={**headers, "Range": f"bytes={last + 1}-"}) as response:
        check("a range outside the content", response.status, 416)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--key", required=True, type=pathlib.Path, help="the channel's private key, PEM")
    parser.add_argument("--guid", required=True, help="the channel's guid")
    parser.add_argument("--hub", required=True, help="the hub's base URL")
    parser.add_argument("--listen", required=True, help="own address, HOST:PORT")
    parser.add_argument("--into", required=True, type=pathlib.Path, help="where the files go")
    parser.add_argument("--files", required=True, type=int, help="how many files will be announced")
    parser.add_argument("--timeout", type=int, default=60, help="seconds to wait for them")
    arguments = parser.parse_args()

    key = serialization.load_pem_private_key(arguments.key.read_bytes(), None)
    host, port = arguments.listen.rsplit(":", 1)
    peer = Peer(key, arguments.guid, arguments.hub, f"http://{arguments.listen}")
    server = peer.serve((host, int(port)))
    with peer.open("GET", "/.well-known/zot-file") as response:
        document = json.loads(response.read())
        peer.meet(document)
    come_in(peer, arguments.timeout)
    wait_for_files(peer, arguments.files, arguments.timeout)
    contents = fetch_everything(peer, arguments.into)
    check_refusals(peer, contents)
    some = next(content for content in contents if content.chunks)
    check_strangers(peer, arguments, key, {**some.name(), "ranges": [{"first": 0, "count": 1}]})
    if document["streams"]:
        check_stream(peer, max(contents, key=lambda content: content.size))
    check_repeats(peer)
    check_report(peer, contents)
    server.shutdown()
    print(f"{len(failures)} checks failed" if failures else "all checks hold")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
