"""Runs the published vectors against this peer's own reading of the specification.

python3 vectors.py [DIRECTORY OF THE VECTORS]. It fails for a kind that it does not know.
"""

import json
import pathlib
import sys

import wire

HERE = pathlib.Path(__file__).parent
VECTORS = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent.parent / "spec" / "vectors"
KEYS = {}


def raw(text, case=None):
    return bytes.fromhex(text) + bytes((case or {}).get("then_zeros", 0))


def known(pem):
    """`key_for` of a receiver that knows the hubs of the vectors, or takes the introduction of a channel's clone."""

    def key_for(site_id, location):
        if site_id in KEYS:
            return wire.public_key(KEYS[site_id])
        wire.need(location is not None and pem is not None, "no introduction", "unknown-location")
        record, key, found = wire.open_location(wire.unpack_map(location), *pem)
        wire.need(found == site_id, "of another hub", "unknown-location")
        return key

    return key_for


def receive(case, pem=None):
    """What a receiver says to a packet: the word of the refusal and whether it is signed, or the body."""
    try:
        body = wire.open_packet(raw(case["envelope"], case), known(pem))
        wire.need(body["to"]["hub"] == case.get("receiver", body["to"]["hub"]), "to", "not-for-me")
        wire.check_dates(body, case["now"])
        wire.check_fields(body)
    except wire.Refused as refusal:
        return refusal.word, refusal.signed
    return body


def refusal_of(function, *arguments):
    try:
        function(*arguments)
    except wire.Refused as refusal:
        return refusal.word
    return None


def version_of(case):
    vector = {raw(replica): counter for replica, counter in case["vector"].items()}
    return {"vector": vector, "hlc": case["hlc"], "replica": raw(case["replica"])}


def location(case):
    signed = wire.Map((name, raw(value)) for name, value in case["signed"].items())
    return wire.open_location(signed, case["channel"], wire.public_key(case["channel_key"]))


def introduction_is(case):
    said = receive(case, (case["channel"], wire.public_key(case["channel_key"])))
    return case["code"] == (said[0] if isinstance(said, tuple) else None)


def operation_is(case):
    body = receive(case)
    words = [refusal_of(wire.check_operation, op) for op in body["operations"]]
    return words == [None, case["code"], None]


def answer_is(case):
    try:
        body = wire.open_packet(raw(case["envelope"]), known(None))
        good = body["from"]["hub"] == case["asked"] and body.get("answers") == raw(case["request"])
        good = good and body["to"]["hub"] == case.get("receiver", body["to"]["hub"])
    except wire.Refused:
        good = False
    return good == (case["verdict"] == "believed")


def pair_is(case):
    a, b = version_of(case["a"]), version_of(case["b"])
    relation = (wire.includes(a, b), wire.includes(b, a))
    names = {(True, True): "equal", (True, False): "newer", (False, True): "older", (False, False): "concurrent"}
    joined, taken = wire.merge(a, b)
    winner = "b" if taken else "a"
    return names[relation] == case["relation"] and joined == version_of(case["join"]) and winner == case["winner"]


def removal_is(case):
    """Which contents a removal covers (SYNC-34)."""
    removed = version_of(case["result"])
    return [wire.has_seen(removed, version_of(content)) for content in case["contents"]] == case["covers"]


def cut_is(case):
    size = case["size"]
    spans = all(wire.chunk_length(size, span["chunk"]) == span["len"] for span in case["spans"])
    return spans and (wire.chunk_size(size), wire.chunk_count(size)) == (case["chunk_size"], case["chunks"])


def leaves(size):
    data = (bytes(range(251)) * (size // 251 + 1))[:size]
    chunk = wire.chunk_size(size)
    return [wire.leaf(data[i : i + chunk]) for i in range(0, size, chunk)]


def synthetic(first, count):
    return [wire.hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(first, first + count)]


def pages_are(case):
    root, size = raw(case["root"]), case["size"]
    for page in case["pages"]:
        first = page["page"] * wire.PAGE
        digests = synthetic(first, min(wire.PAGE, wire.chunk_count(size) - first))
        wire.check_page(size, root, page["page"], digests, [raw(part) for part in page["path"]])
    return True


def bad_page(case):
    digests = synthetic(case["digests"]["first"], case["digests"]["count"])
    path = [raw(part) for part in case["path"]]
    return refusal_of(wire.check_page, case["size"], raw(case["root"]), case["page"], digests, path) == "bad-content"


def frames_of(data, piece):
    reader, events = wire.Frames(), []
    for start in range(0, len(data), piece):
        for event in reader.feed(data[start : start + piece]):
            if event[0] == "data" and events and events[-1][0] == "data":
                event = ("data", events.pop()[1] + event[1])
            events.append(event)
    return events


def frames_are(case):
    wanted = []
    for event in case["events"]:
        ((kind, value),) = event.items()
        value = [raw(value)] if kind == "data" else value if isinstance(value, list) else [value]
        wanted.append((kind, *value))
    return all(frames_of(raw(case["bytes"]), piece) == wanted for piece in (1, 7, 1 << 20))


def bad_frame(case):
    try:
        frames_of(raw(case["bytes"]), 1)
    except wire.BadFrame as error:
        return bool(error.args)
    return False


def step_is(case):
    if "bytes" in case:  # the frames, of the one chunk that was asked for
        return frames_of(raw(case["bytes"]), 5)[-1] == ("end", "done")
    return isinstance(receive(case), dict)


def packet_is(case):
    body = receive({**case, "now": case["header"]["at"]})
    return isinstance(body, dict) and body["type"] == case["header"]["type"]


def photos_are(case):
    photos = [wire.photo_of(raw(row)) for row in case["rows"]]
    entry = {"hash": "f1", "is_dir": int(case["folder"])}
    return (refusal_of(wire.check_photos, photos, entry) is None) == case["good"]


CHECKS = {
    ("exchange", "content"): lambda c: wire.leaf(raw(c["bytes"])) == raw(c["root"]),
    ("exchange", "steps"): step_is,
    ("packets", "packets"): packet_is,
    ("envelopes", "hubs"): lambda c: wire.id_of(c["url"], c["pem"]) == c["site_id"],
    ("envelopes", "refused"): lambda c: receive(c) == (c["code"], c["signed"]),
    ("envelopes", "accepted"): lambda c: isinstance(receive(c), dict),
    ("envelopes", "answers"): answer_is,
    ("operations", "operations"): operation_is,
    ("ids", "portable_ids"): lambda c: wire.id_of(c["guid"], c["pem"]) == c["id"],
    ("ids", "site_ids"): lambda c: wire.id_of(c["url"], c["pem"]) == c["id"],
    ("ids", "keys"): lambda c: wire.public_key(c["pem"]).key_size == c["bits"],
    ("ids", "keys_bad"): lambda c: refusal_of(wire.public_key, c["pem"]) == c["code"],
    ("locations", "good"): lambda c: location(c)[2] == c["site_id"],
    ("locations", "bad"): lambda c: refusal_of(location, c) == c["code"],
    ("locations", "introductions"): introduction_is,
    ("chunking", "cut"): cut_is,
    ("merkle", "published"): lambda c: wire.tree_hash([wire.leaf(raw(i)) for i in c["inputs"]]) == raw(c["root"]),
    ("merkle", "patterns"): lambda c: wire.tree_hash(leaves(c["size"])) == raw(c["root"]),
    ("merkle", "pages"): pages_are,
    ("merkle", "bad_pages"): bad_page,
    ("attach", "rows"): lambda c: refusal_of(wire.row_of, raw(c["row"])) is None,
    ("attach", "rows_bad"): lambda c: refusal_of(wire.row_of, raw(c["row"], c)) == "bad-field",
    ("photos", "rows"): lambda c: refusal_of(wire.photo_of, raw(c["row"])) is None,
    ("photos", "rows_bad"): lambda c: refusal_of(wire.photo_of, raw(c["row"], c)) == "bad-field",
    ("photos", "lists"): photos_are,
    ("versions", "encoded"): lambda c: wire.unpack_map(raw(c["bytes"])) == version_of(c["version"]),
    ("versions", "bad"): lambda c: refusal_of(wire.version, wire.unpack_map(raw(c["bytes"]))) == "bad-field",
    ("versions", "pairs"): pair_is,
    ("versions", "removals"): removal_is,
    ("frames", "responses"): frames_are,
    ("frames", "bad"): bad_frame,
    ("audit", "keys"): lambda c: wire.leaf_key(c["kind"], c["id"]) == raw(c["key"]),
    ("audit", "ranges"): lambda c: wire.sum_of([raw(leaf) for leaf in c["leaves"]]) == raw(c["digest"]),
    ("refusals", "table"): lambda c: wire.CODES[c["name"]] == (c["code"], c["http"]),
}  # fmt: skip

# What a receiver that neither streams, nor serves chunks, nor makes names and edits, and that knows its one
# origin from a person, has no use for.
NOT_APPLICABLE = {
    ("ids", "urls"), ("ids", "urls_bad"), ("locations", "order"), ("chunking", "too_large"), ("attach", "names"),
    ("attach", "names_bad"), ("attach", "rows_local"), ("versions", "edits"), ("frames", "resume"),
    ("frames", "resume_bad"), ("frames", "plans"), ("refusals", "unknown"), ("streams", "heads"),
    ("rotations", "good"), ("rotations", "bad"), ("rotations", "chains"), ("rotations", "rivals"),
    ("rotations", "records"), ("rotations", "introductions"), ("notices", "good"), ("notices", "bad"),
    ("notices", "order"), ("items", "texts"), ("items", "json_texts"), ("items", "rows"), ("items", "signed"),
    ("items", "merged"), ("versions", "copies"), ("versions", "cycles"), ("photos", "rows_local"),
    ("photos", "sizes"), ("photos", "current"), ("audit", "attach"), ("audit", "items"),
    ("backup", "rows"), ("backup", "metadata"), ("backup", "metadata_bad"), ("backup", "heads"),
    ("backup", "heads_bad"), ("backup", "lines"), ("restores", "good"), ("restores", "bad"),
}  # fmt: skip


def main():
    failed = passed = 0
    for path in sorted(VECTORS.glob("*.json")):
        for kind, cases in json.loads(path.read_text()).items():
            name = (path.stem, kind)
            if name == ("envelopes", "hubs"):
                KEYS.update({case["site_id"]: case["pem"] for case in cases})
            if name in NOT_APPLICABLE:
                continue
            for case in cases:
                try:
                    good = CHECKS[name](case)
                except Exception as error:  # a check that breaks has failed
                    good = False
                    print(f"{path.stem}.{kind}: {case['name']}: {error!r}")
                passed += good
                if not good:
                    failed += 1
                    print(f"{path.stem}.{kind}: {case['name']} ({case['requirement']}) FAILED")
    print(f"{passed} vectors hold, {failed} do not")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
