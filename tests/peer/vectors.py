"""Runs the published vectors against this peer's own reading of the specification.

python3 vectors.py [DIRECTORY OF THE VECTORS]. It fails for a kind that it does not know.
"""

import hashlib
import json
import pathlib
import sys
import tempfile

import addresses
import chunks
import frames
import identity
import memories
import operations
import packets
import places
import refusals
import shapes
import streams
import trees
import trie
import versions
from hubs import Hubs
from store import Store, pack

HERE = pathlib.Path(__file__).parent
VECTORS = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent.parent / "spec" / "vectors"
KEYS = {}


def raw(text, case=None):
    return bytes.fromhex(text) + bytes((case or {}).get("then_zeros", 0))


def chain_of(case, rotations="rotations"):
    """The keys of the channel of a case, with the rotations that it names."""
    first = case.get("first_key") or case["channel_key"]
    opened = [identity.Rotation(signed_of(one), case["channel"]) for one in case.get(rotations) or []]
    return identity.Chain(case["channel"], first, opened)


def signed_of(signed):
    return shapes.Map((name, raw(value)) for name, value in signed.items())


def known(case):
    """`key_for` of a receiver that knows the hubs of the vectors, or takes the introduction of a channel's clone."""

    def key_for(site_id, location):
        if site_id in KEYS:
            return identity.public_key(KEYS[site_id])
        refusals.need(location is not None and case is not None, "no introduction", "unknown-location")
        found = introduction(case, location)
        refusals.need(found.site_id == site_id, "of another hub", "unknown-location")
        return found.key

    return key_for


def receive(case, knowing=None, answer=True):
    """What a receiver says to a packet, or an asker to an answer: the word of the refusal and whether it is signed, or the body."""
    try:
        body = packets.open_packet(raw(case["envelope"], case), known(knowing))
        refusals.need(body["to"]["hub"] == case.get("receiver", body["to"]["hub"]), "to", "not-for-me")
        packets.check_dates(body, case["now"])
        packets.check_fields(body, answer)
    except refusals.Refused as refusal:
        return refusal.word, refusal.signed
    return body


def refusal_of(function, *arguments):
    try:
        function(*arguments)
    except refusals.Refused as refusal:
        return refusal.word
    return None


def version_of(case):
    vector = {raw(replica): counter for replica, counter in case["vector"].items()}
    return {"vector": vector, "hlc": case["hlc"], "replica": raw(case["replica"])}


def location(case, name="signed"):
    return chain_of(case).open_location(signed_of(case[name]))


def introduction(case, location):
    """The location that an envelope brings, under the chain that it brings with it (ID-34)."""
    signed = shapes.unpack_map(location)
    packets.SIGNED_INTRODUCTION(signed)
    rotations = [identity.Rotation(one, case["channel"]) for one in signed.get("rotations") or []]
    first = case.get("first_key") or case["channel_key"]
    return identity.Chain(case["channel"], first, rotations).open_location(signed)


def introduction_is(case):
    said = receive(case, case)
    return case["code"] == (said[0] if isinstance(said, tuple) else None)


def operation_is(case):
    body = receive(case)
    words = [refusal_of(operations.check_operation, op) for op in body["operations"]]
    return words == [None, case["code"], None]


def answer_is(case):
    try:
        body = packets.open_packet(raw(case["envelope"]), known(None))
        good = body["from"]["hub"] == case["asked"] and body.get("answers") == raw(case["request"])
        good = good and body["to"]["hub"] == case.get("receiver", body["to"]["hub"])
    except refusals.Refused:
        good = False
    return good == (case["verdict"] == "believed")


def pair_is(case):
    a, b = version_of(case["a"]), version_of(case["b"])
    relation = (versions.includes(a, b), versions.includes(b, a))
    names = {(True, True): "equal", (True, False): "newer", (False, True): "older", (False, False): "concurrent"}
    joined, taken = versions.merge(a, b)
    winner = "b" if taken else "a"
    return names[relation] == case["relation"] and joined == version_of(case["join"]) and winner == case["winner"]


def removal_is(case):
    """Which contents a removal covers (SYNC-34)."""
    removed = version_of(case["result"])
    return [versions.has_seen(removed, version_of(content)) for content in case["contents"]] == case["covers"]


def revival_is(case):
    """SYNC-44, as `edits.Edits.put` makes it."""
    content, removed = version_of(case["content"]), version_of(case["removed"])
    edit = versions.edit(versions.join(content, removed), raw(case["replica"]), case["now"])
    return edit == version_of(case["result"]) and not versions.has_seen(removed, edit)


def cut_is(case):
    size = case["size"]
    spans = all(chunks.chunk_length(size, span["chunk"]) == span["len"] for span in case["spans"])
    return spans and (chunks.chunk_size(size), chunks.chunk_count(size)) == (case["chunk_size"], case["chunks"])


def leaves(size):
    data = (bytes(range(251)) * (size // 251 + 1))[:size]
    chunk = chunks.chunk_size(size)
    return [chunks.leaf(data[i : i + chunk]) for i in range(0, size, chunk)]


def synthetic(first, count):
    return [hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(first, first + count)]


def pages_are(case):
    root, size = raw(case["root"]), case["size"]
    for page in case["pages"]:
        first = page["page"] * chunks.PAGE
        digests = synthetic(first, min(chunks.PAGE, chunks.chunk_count(size) - first))
        chunks.check_page(size, root, page["page"], digests, [raw(part) for part in page["path"]])
    return True


def bad_page(case):
    digests = synthetic(case["digests"]["first"], case["digests"]["count"])
    path = [raw(part) for part in case["path"]]
    return refusal_of(chunks.check_page, case["size"], raw(case["root"]), case["page"], digests, path) == "bad-content"


def frames_of(data, piece):
    reader, events = frames.Frames(), []
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
    except frames.BadFrame as error:
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
    photos = [operations.photo_of(raw(row)) for row in case["rows"]]
    entry = {"hash": "f1", "is_dir": int(case["folder"])}
    return (refusal_of(operations.check_photos, photos, entry) is None) == case["good"]


def notice_of(case, name="signed"):
    return chain_of(case).open_notice(signed_of(case[name]))


def standing_is(case):
    words = {"same": "known", "shorter": "known", "longer": "newer", "counts": "newer", "rival": "rival"}
    return words[chain_of(case, "known").standing(chain_of(case, "other"))] == case["standing"]


def turn_is(case):
    """ID-28: which locations are lost with a chain that a listed one brings."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"{folder}/clone.sqlite")
        hubs = Hubs(store, case["channel"], case["first_key"], None)
        for number, signed in enumerate(case["known"], 1):
            store.run("INSERT INTO rotations VALUES (?, ?)", number, pack(signed_of(signed)))
        records = [signed_of(signed) for signed in case["records"]]
        sites = [chain_of(case, "known").open_location(signed).site_id for signed in records]
        for signed in records:
            hubs.take(hubs.chain().open_location(signed), "listed")
        lived = all(map(hubs.listed, sites))
        taken = hubs.take_rotations([signed_of(signed) for signed in case["taken"]], sites[0])
        gone = [site for site in sites if hubs.gone(site)]
        store.base.close()
    return lived and taken and gone == case["gone"]


def plan_is(case):
    """The frames of an answer; a chunk without a length is of an item that cannot be given."""
    wanted = [(chunk["item"], chunk["chunk"], chunk["len"]) for chunk in case["wanted"]]
    try:
        found = frames.plan(wanted, *frames.resume_of(case["resume"]), case["budget"])
    except refusals.Refused as refusal:
        return refusal.word == "bad-range" and case["steps"] is None
    return [{kind: list(value) if kind == "frame" else value} for kind, value in found] == case["steps"]


def kept_row(case):
    """What is kept of a row, whatever the order of its fields; an optional field that is nil is one that is left out."""
    pairs = [pair for pair in shapes.split_map(raw(case["row"])) if pair[0] not in operations.LOCAL]
    kept = [pair for pair in shapes.split_map(raw(case["kept"])) if pair[1] != b"\xc0" or pair in pairs]
    return sorted(pairs) == sorted(kept) and shapes.join_map(shapes.split_map(raw(case["row"]))) == raw(case["row"])


def paths_are(case):
    """The paths that this origin makes for its own pages."""
    count = chunks.chunk_count(case["size"])
    return all(
        chunks.page_path(synthetic(0, count), page["page"]) == [raw(part) for part in page["path"]] for page in case["pages"]
    )


def edit_is(case):
    previous = version_of(case["previous"]) if case["previous"] else None
    return versions.edit(previous, raw(case["replica"]), case["now"]) == version_of(case["result"])


def copy_is(case):
    loser = version_of(case["loser"])
    return (versions.copy_id(case["entry"], loser), versions.copy_name(case["filename"], loser)) == (
        case["id"],
        case["copy"],
    )


def cycles_are(case):
    folders = {one["hash"]: (one["folder"], one["was"], version_of(one["version"])) for one in case["folders"]}
    return places.displaced(folders) == case["displaced"]


def attach_digest_is(case):
    found = [version_of(case[name]) if case.get(name) else None for name in ("place", "meta", "content", "removed")]
    root = raw(case["root"]) if case.get("root") else None
    return trie.attach_digest(case["id_"], *found, case["folder"], case["filename"], root) == raw(case["digest"])


def item_merge_is(case):
    comes = version_of(case["comes"])
    version, taken = versions.merge(version_of(case["held"]), comes) if case["held"] else (comes, True)
    return (version, "comes" if taken else "held") == (version_of(case["version"]), case["row"])


def refused_url(typed):
    try:
        return identity.normal_url(typed)
    except ValueError:
        return None


CHECKS = {
    ("exchange", "content"): lambda c: chunks.leaf(raw(c["bytes"])) == raw(c["root"]),
    ("exchange", "steps"): step_is,
    ("packets", "packets"): packet_is,
    ("envelopes", "hubs"): lambda c: identity.id_of(c["url"], c["pem"]) == c["site_id"],
    ("envelopes", "refused"): lambda c: receive(c) == (c["code"], c["signed"]),
    ("envelopes", "accepted"): lambda c: isinstance(receive(c), dict),
    ("envelopes", "answers"): answer_is,
    ("operations", "operations"): operation_is,
    ("ids", "portable_ids"): lambda c: identity.id_of(c["guid"], c["pem"]) == c["id"],
    ("ids", "site_ids"): lambda c: identity.id_of(c["url"], c["pem"]) == c["id"],
    ("ids", "keys"): lambda c: identity.public_key(c["pem"]).key_size == c["bits"],
    ("ids", "keys_bad"): lambda c: refusal_of(identity.public_key, c["pem"]) == c["code"],
    ("ids", "urls"): lambda c: identity.normal_url(c["typed"]) == c["normal"],
    ("ids", "urls_bad"): lambda c: refused_url(c["typed"]) is None,
    ("locations", "good"): lambda c: location(c).site_id == c["site_id"],
    ("locations", "order"): lambda c: location(c, "new").replaces(location(c, "known")) == c["replaces"],
    ("locations", "bad"): lambda c: refusal_of(location, c) == c["code"],
    ("locations", "introductions"): introduction_is,
    ("rotations", "good"): lambda c: identity.Rotation(signed_of(c["signed"]), c["channel"]).site_id == c["site_id"],
    ("rotations", "bad"): lambda c: refusal_of(identity.Rotation, signed_of(c["signed"]), c["channel"]) == c["code"],
    ("rotations", "chains"): lambda c: refusal_of(chain_of, c) == c["code"],
    ("rotations", "rivals"): standing_is,
    ("rotations", "records"): lambda c: refusal_of(location, c) == c["code"],
    ("rotations", "turns"): turn_is,
    ("rotations", "introductions"): introduction_is,
    ("notices", "good"): lambda c: notice_of(c) == c["notice"],
    ("notices", "bad"): lambda c: refusal_of(notice_of, c) == c["code"],
    ("notices", "order"): lambda c: identity.notice_replaces(notice_of(c, "new"), notice_of(c, "known")) == c["replaces"],
    ("chunking", "cut"): cut_is,
    ("chunking", "too_large"): lambda c: c["size"] > operations.MOST,
    ("merkle", "published"): lambda c: chunks.tree_hash([chunks.leaf(raw(i)) for i in c["inputs"]]) == raw(c["root"]),
    ("merkle", "patterns"): lambda c: chunks.tree_hash(leaves(c["size"])) == raw(c["root"]),
    ("merkle", "pages"): pages_are,
    ("merkle", "bad_pages"): bad_page,
    ("attach", "names"): lambda c: operations.good_name(c["filename"]),
    ("attach", "names_bad"): lambda c: not operations.good_name(c["filename"]),
    ("attach", "rows_local"): kept_row,
    ("photos", "rows_local"): kept_row,
    ("attach", "rows"): lambda c: refusal_of(operations.row_of, raw(c["row"])) is None,
    ("attach", "rows_bad"): lambda c: refusal_of(operations.row_of, raw(c["row"], c)) == "bad-field",
    ("photos", "rows"): lambda c: refusal_of(operations.photo_of, raw(c["row"])) is None,
    ("photos", "rows_bad"): lambda c: refusal_of(operations.photo_of, raw(c["row"], c)) == "bad-field",
    ("photos", "lists"): photos_are,
    ("versions", "encoded"): lambda c: shapes.unpack_map(raw(c["bytes"])) == version_of(c["version"]),
    ("versions", "bad"): lambda c: refusal_of(versions.version, shapes.unpack_map(raw(c["bytes"]))) == "bad-field",
    ("versions", "pairs"): pair_is,
    ("versions", "removals"): removal_is,
    ("versions", "revivals"): revival_is,
    ("versions", "edits"): edit_is,
    ("versions", "copies"): copy_is,
    ("versions", "cycles"): cycles_are,
    ("replays", "memories"): memories.memory_is,
    ("addresses", "addresses"): lambda c: addresses.allowed(c["address"], []) == c["public"],
    ("trees", "living"): trees.living_is,
    ("trees", "removals"): trees.removal_is,
    ("trees", "answers"): trees.answers_are,
    ("items", "merged"): item_merge_is,
    ("frames", "responses"): frames_are,
    ("frames", "bad"): bad_frame,
    ("frames", "resume"): lambda c: frames.resume_of(c["header"]) == (c["chunks"], c["bytes"]),
    ("frames", "resume_bad"): lambda c: refusal_of(frames.resume_of, c["header"]) == "bad-field",
    ("frames", "plans"): plan_is,
    ("streams", "heads"): lambda c: streams.verdict(c["head"], *c["asked"]) == c["verdict"],
    ("audit", "attach"): attach_digest_is,
    ("audit", "items"): lambda c: trie.item_digest(c["mid"], version_of(c["version"])) == raw(c["digest"]),
    ("refusals", "unknown"): lambda c: refusals.again(c["code"]) == c["again"],
    ("audit", "keys"): lambda c: trie.leaf_key(c["kind"], c["id"]) == raw(c["key"]),
    ("audit", "ranges"): lambda c: trie.sum_of([raw(leaf) for leaf in c["leaves"]]) == raw(c["digest"]),
    ("refusals", "table"): lambda c: (*refusals.CODES[c["name"]], refusals.again(c["code"])) == (c["code"], c["http"], c["again"]),
}  # fmt: skip

# What a clone that makes no backups, translates no items and makes no scales of images has no use for.
NOT_APPLICABLE = {
    ("items", "texts"), ("items", "json_texts"), ("items", "rows"), ("items", "signed"),
    ("photos", "sizes"), ("photos", "current"), ("images", "images"), ("images", "cut"), ("images", "choices"),
    ("backup", "rows"), ("backup", "metadata"), ("backup", "metadata_bad"), ("backup", "heads"),
    ("backup", "heads_bad"), ("backup", "heads_there"), ("backup", "lines"), ("backup", "folders"), ("backup", "folders_bad"),
    ("restores", "good"), ("restores", "bad"),
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
