"""The bytes of the Zot file protocol, version 1: ids, signatures, shapes, Merkle trees and frames.

Written from `spec/` alone. Nothing here knows a socket or a disk. Ids such as PKT-7 are those of the specification.
"""

import base64
import hashlib
import re
import secrets
import time

import msgpack
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from whirlpool import whirlpool

# The table of refusals.md: number and HTTP status of each word.
CODES = {
    "malformed": (10, 400), "too-large": (11, 413), "unsupported-version": (12, 400), "unknown-type": (13, 400),
    "bad-field": (14, 400), "unknown-location": (20, 401), "bad-signature": (21, 401), "stale": (22, 401),
    "not-for-me": (23, 403), "bad-key": (24, 401), "challenge-failed": (25, 403), "bad-location": (26, 400),
    "bad-statement": (27, 400),
    "not-a-clone": (30, 403), "unknown-channel": (31, 404), "quota-exceeded": (32, 403), "no-space": (33, 503),
    "unknown-resource": (40, 404), "gone": (41, 410), "superseded": (42, 409), "not-here": (43, 404),
    "bad-content": (44, 422), "bad-range": (45, 400), "bad-name": (50, 400), "unsupported-operation": (51, 400),
    "bad-place": (52, 400), "too-many": (60, 429), "unavailable": (61, 503),
}  # fmt: skip
MAX_PACKET = 1 << 20
MAX_FRAME = 262_144
PAGE = 4096
LIFETIME = 600_000


class Refused(Exception):
    """One of the table's refusals; `signed` says whether the sender is certain (SIGN-14)."""

    def __init__(self, word, text="", signed=False):
        super().__init__(f"{word}: {text}")
        self.word, self.text, self.signed = word, text, signed
        self.code, self.http = CODES[word]


def now_ms():
    return time.time_ns() // 1_000_000


def new_id():
    """A UUIDv7."""
    raw = now_ms() << 80 | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62)
    return raw.to_bytes(16, "big")


# Keys and identity


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def pem_of(key):
    """The SPKI PEM of a private key's public half (ID-2)."""
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, spki).decode()


def id_of(name, pem):
    """A portable id out of guid and key (ID-1), or a site id out of URL and key (ID-3)."""
    return b64(whirlpool((name + pem).encode()))


def public_key(pem):
    """The key in a PEM that is in the one form that is allowed (ID-2, ID-5)."""
    try:
        key = serialization.load_pem_public_key(pem.encode())
        numbers = key.public_numbers()
        spki = serialization.PublicFormat.SubjectPublicKeyInfo
        good = isinstance(key, rsa.RSAPublicKey) and key.public_bytes(serialization.Encoding.PEM, spki).decode() == pem
        good = good and 2048 <= key.key_size <= 8192 and numbers.e % 2 == 1 and 65537 <= numbers.e < 1 << 33
    except Exception as error:
        raise Refused("bad-key", str(error)) from None
    if not good:
        raise Refused("bad-key")
    return key


def sign(key, data):
    return key.sign(data, padding.PKCS1v15(), hashes.SHA256())


def holds(key, signature, data):
    try:
        key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


# MessagePack


class Map(dict):
    """A map that remembers which keys stood twice. A key that is neither text nor bytes becomes None."""

    def __init__(self, pairs):
        self.twice = set()
        for key, value in pairs:
            key = key if isinstance(key, (str, bytes)) else None
            if key in self:
                self.twice.add(key)
            self[key] = value


# Text that is not UTF-8 is well-formed; it fails where a field is looked at.
MESSAGEPACK = {"strict_map_key": False, "object_pairs_hook": Map, "unicode_errors": "surrogateescape"}


def _no_extension(code, data):
    raise ValueError(f"extension type {code}")


def _depth(value):
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


def unpack_map(data):
    """The one map that `data` is (PKT-2, PKT-3)."""
    try:
        value = msgpack.unpackb(data, ext_hook=_no_extension, **MESSAGEPACK)
    except Exception as error:
        raise Refused("malformed", str(error)) from None
    if not isinstance(value, dict):
        raise Refused("malformed", "no map")
    if _depth(value) > 16:
        raise Refused("too-large", "nested too deeply")
    return value


# Shapes: a shape is a function that refuses a value with `bad-field`


def need(good, text="", word="bad-field"):
    if not good:
        raise Refused(word, text)


def uint(limit=2**64 - 1, least=0):
    return lambda value: need(type(value) is int and least <= value <= limit, "a number")


def text(limit):
    def check(value):
        need(isinstance(value, str), "a text")
        raw = value.encode(errors="surrogateescape")
        need(len(raw) <= limit and raw.decode(errors="replace") == value, "a text in UTF-8")

    return check


def binary(*sizes):
    return lambda value: need(isinstance(value, bytes) and (not sizes or len(value) in sizes), "bytes")


def pattern(expression):
    return lambda value: need(isinstance(value, str) and re.fullmatch(expression, value, re.ASCII), "a text")


def list_of(shape, most, least=0):
    def check(value):
        need(isinstance(value, list) and least <= len(value) <= most, "a list")
        for element in value:
            shape(element)

    return check


def fields(**shapes):
    """A map; a field whose name here ends in `_` may be left out. Others in it are ignored (PKT-8)."""

    def check(value):
        need(isinstance(value, Map) and all(isinstance(key, str) for key in value), "a map with text for keys")
        need(not value.twice & {name.rstrip("_") for name in shapes}, "a field twice")
        for name, shape in shapes.items():
            found = value.get(name.rstrip("_"))
            if not (found is None and name.endswith("_")):
                shape(found)

    return check


def digests_up_to(count):
    return lambda value: need(isinstance(value, bytes) and len(value) % 32 == 0 and len(value) <= 32 * count, "digests")


def boolean(value):
    need(isinstance(value, bool), "a bool")


def version(value):
    """SYNC-21."""
    top = 2**63 - 1
    fields(hlc=uint(top), replica=binary(8))(value)
    vector = value.get("vector")
    need(isinstance(vector, Map) and not vector.twice and 1 <= len(vector) <= 256, "a vector")
    for replica, counter in vector.items():
        binary(8)(replica)
        uint(top, 1)(counter)
    need(value["replica"] in vector, "a writer outside the vector")


def row_of(data):
    """The fields of an attach row (SYNC-6, SYNC-18)."""
    need(isinstance(data, bytes) and len(data) <= 65536, "a row")
    try:
        row = unpack_map(data)
    except Refused as refusal:
        raise Refused("bad-field", refusal.text) from None
    need(len(row) <= 64 and not row.twice, "a row")
    ROW(row)
    return row


def photo_of(data):
    """The fields of a photo row (PHOTO-1)."""
    need(isinstance(data, bytes) and len(data) <= 16384, "a photo row")
    try:
        row = unpack_map(data)
    except Refused as refusal:
        raise Refused("bad-field", refusal.text) from None
    need(len(row) <= 64 and not row.twice, "a photo row")
    PHOTO(row)
    return row


def crop(value):
    """x, y, width and height of a rectangle with an area."""
    need(isinstance(value, list) and len(value) == 4, "a rectangle")
    for number in value:
        U32(number)
    x, y, width, height = value
    need(width and height and x + width < 1 << 32 and y + height < 1 << 32, "an area")


def check_photos(photos, row):
    """PHOTO-2."""
    scales = {photo["imgscale"] for photo in photos}
    own = all(photo["resource_id"] == row["hash"] for photo in photos)
    need(own and len(scales) == len(photos) and not (photos and row["is_dir"]), "photo rows")


SITE_ID = PORTABLE_ID = pattern(r"[A-Za-z0-9_-]{86}")
RESOURCE = pattern(r"[A-Za-z0-9_-]{1,64}")
ROLE = pattern(r"file|photo-4|photo-7")
PARTY = fields(hub=SITE_ID, channel=PORTABLE_ID)
U32, ANY_TEXT = uint(2**32 - 1), text(65536)
CONTENT = {"resource": RESOURCE, "role": ROLE, "root": binary(32)}
ENVELOPE = fields(key=SITE_ID, body=binary(), sig=binary(), location_=binary())
HEADER = fields(
    type=text(64), id=binary(16), at=uint(), expires=uint(), answers_=binary(16), to=PARTY, **{"from": PARTY}
)
ROW = fields(
    hash=RESOURCE, creator=ANY_TEXT, filename=ANY_TEXT, filetype=ANY_TEXT, filesize=uint(), revision=U32,
    folder=pattern(r"[A-Za-z0-9_-]{0,64}"), flags=U32, is_dir=uint(255), is_photo=uint(255), created=ANY_TEXT,
    edited=ANY_TEXT, allow_cid=ANY_TEXT, allow_gid=ANY_TEXT, deny_cid=ANY_TEXT, deny_gid=ANY_TEXT,
    mtime_=uint(), executable_=boolean,
)  # fmt: skip
PHOTO = fields(
    resource_id=RESOURCE, imgscale=uint(9), width=U32, height=U32, mimetype=ANY_TEXT, filesize=uint(),
    photo_usage=uint(65535), profile=uint(255), title=ANY_TEXT, description=ANY_TEXT, album=ANY_TEXT, crop_=crop,
    chosen_=uint(2**63 - 1),
)  # fmt: skip
LOCATION = fields(
    channel=PORTABLE_ID, url=text(255), site_key=text(2048), replica=binary(8), primary=boolean, deleted=boolean,
    serial=uint(),
)  # fmt: skip
SIGNED_LOCATION = fields(record=binary(), channel_sig=binary(), site_sig=binary())
SIGNED_ROTATION = fields(record=binary(), old_sig=binary(), new_sig=binary(), site_sig=binary())
SIGNED_NOTICE = fields(record=binary(), channel_sig=binary())
PUT = fields(
    attach=list_of(
        fields(row=row_of, place=version, meta=version, content_=version, removed_=version, was_=RESOURCE), 128
    ),
    data_=list_of(
        fields(
            role=ROLE, size=uint(), root=binary(32), digests_=binary(), mime=text(255), source=pattern("fetch|backup")
        ),
        3,
    ),
    photo_=list_of(binary(), 16),
    item_=list_of(
        fields(mid=text(255), row_=binary(), version=version, url=text(255), nick=text(64), uid_=uint()), 4096
    ),
)
OPERATIONS = ("put", "place", "meta", "remove")


def operation(value):
    fields(id=binary(16), op=text(32))(value)
    if value["op"] in OPERATIONS:
        PUT(value)


def prefix(value):
    need(isinstance(value, bytes) and len(value) <= 4, "a prefix")


def page_of(value):
    """AUDIT-6, AUDIT-8: equal, divided or listed."""
    list_of(AUDIT_RANGE, 256)(value)
    numbers = [part["range"] for part in value]
    need(numbers == sorted(set(numbers)), "ranges out of order")
    for part in value:
        divided, counts = part.get("digests"), part.get("counts") or []
        listed, more = part.get("leaves"), part.get("more") or False
        need(divided is None or listed is None, "divided and listed")
        need(len(divided or b"") == 32 * len(counts) and len(counts) in (0, 256), "divided by 256")
        need(len(listed or b"") % 64 == 0 and (listed or not more), "whole leaves")


def ranges(value):
    list_of(fields(first=U32, count=U32), 1024)(value)


AUDIT_RANGE = fields(
    range=U32, digest=binary(32), count=uint(), digests_=binary(), counts_=list_of(uint(), 256), leaves_=binary(),
    more_=boolean,
)  # fmt: skip
PACKETS = {
    "clone-sync": fields(operations=list_of(operation, 256, 1)),
    "sync-report": fields(
        operations_=list_of(
            fields(id=binary(16), status=pattern("stored|duplicate|superseded|refused"), code_=uint(65535)), 256
        ),
        present_=list_of(fields(**CONTENT), 4096),
    ),
    "manifest-request": fields(items=list_of(fields(**CONTENT, first=U32, count=uint(256, 1)), 256, 1)),
    "manifest-page": fields(
        pages=list_of(fields(item=U32, page=U32, digests=digests_up_to(PAGE), path=digests_up_to(32)), 1024),
        refused_=list_of(fields(item=U32, code=uint(65535)), 256),
    ),
    "chunk-request": fields(items=list_of(fields(**CONTENT, ranges=ranges), 256)),
    "stream-request": fields(**CONTENT),
    "locations": fields(
        records=list_of(SIGNED_LOCATION, 64), rotations_=list_of(SIGNED_ROTATION, 32), notices_=list_of(SIGNED_NOTICE, 64)
    ),
    "challenge": fields(nonce=binary(32)),
    "audit-request": fields(
        ranges=list_of(fields(prefix=prefix, digest=binary(32), list=boolean, after_=binary(32)), 256, 1)
    ),
    "audit-page": fields(ranges=page_of),
    "entry-request": fields(keys=list_of(binary(32), 256, 1)),
    "refusal": fields(code=uint(65535), text=text(1024), retry_after_=U32, clock=uint()),
}


def check_fields(body):
    """What follows the header: PKT-6, PKT-7, FETCH-8. The sender is certain by now."""
    try:
        need(body["type"] in PACKETS, body["type"], "unknown-type")
        PACKETS[body["type"]](body)
        if body["type"] == "chunk-request":
            counts = [part["count"] for item in body["items"] for part in item["ranges"]]
            need(counts and min(counts) > 0 and sum(counts) <= 1024, "chunks", "bad-range")
    except Refused as refusal:
        refusal.signed = True
        raise


# Packets


def packet_text(key, body):
    return b"zot-file-packet\n1\nrsa-sha256\n" + key.encode() + b"\n" + body


def location_text(record):
    return b"zot-file-location\n" + record


def seal(site_key, site_id, body, location=None):
    """An envelope around a body that is already packed."""
    envelope = {"v": 1, "alg": "rsa-sha256", "key": site_id, "body": body}
    envelope["sig"] = sign(site_key, packet_text(site_id, body))
    if location is not None:
        envelope["location"] = msgpack.packb(location)
    return msgpack.packb(envelope)


def open_packet(data, key_for):
    """The body of an envelope, after every check up to `from.hub`; `key_for(site id, location)` finds the key."""
    need(len(data) <= MAX_PACKET, "", "too-large")
    envelope = unpack_map(data)
    need(type(envelope.get("v")) is int and not envelope.twice & {"v", "alg"}, "v")
    need(envelope["v"] == 1 and envelope.get("alg") == "rsa-sha256", "", "unsupported-version")
    ENVELOPE(envelope)
    key = key_for(envelope["key"], envelope.get("location"))
    need(holds(key, envelope["sig"], packet_text(envelope["key"], envelope["body"])), "", "bad-signature")
    body = unpack_map(envelope["body"])
    HEADER(body)
    need(body["from"]["hub"] == envelope["key"], "from", "bad-signature")
    return body


def check_dates(body, now):
    """SIGN-6."""
    at, expires = body["at"], body["expires"]
    if not (at <= now + 300_000 and expires >= now and 0 <= expires - at <= LIFETIME):
        raise Refused("stale", signed=True)


def open_location(signed, channel, channel_key):
    """The fields of a signed location record, the site's key and id (ID-8, ID-9)."""
    SIGNED_LOCATION(signed)
    statement = location_text(signed["record"])
    need(holds(channel_key, signed["channel_sig"], statement), "the channel's signature", "bad-location")
    record = unpack_map(signed["record"])
    LOCATION(record)
    need(re.fullmatch(r"https?://[a-z0-9.:\[\]-]+", record["url"]), "the URL")  # not all of ID-4
    need(record["channel"] == channel, "another channel", "bad-location")
    site_key = public_key(record["site_key"])
    need(holds(site_key, signed["site_sig"], statement), "the site's signature", "bad-location")
    return record, site_key, id_of(record["url"], record["site_key"])


# Operations


def check_operation(op):
    """What the fields of one operation say together; returns its rows (SYNC-4 to 6, SYNC-14, SYNC-33, 34, 36, FILE-3, 15, 16)."""
    need(op["op"] in OPERATIONS, op["op"], "unsupported-operation")
    rows, data = [row_of(part["row"]) for part in op["attach"]], op.get("data") or []
    need(rows, "no row", "bad-place")
    parent = rows[0]["folder"]
    cycle = {row["hash"] for row in rows if row["is_dir"]}
    need(parent == "" or parent in cycle, "the top", "bad-place")
    for number, row in enumerate(rows):
        name = row["filename"]
        need(name not in ("", ".", "..") and len(name.encode()) <= 255 and not set("/\0") & set(name), name, "bad-name")
        need(row["folder"] == parent and (row["is_dir"] or number == len(rows) - 1), "parents", "bad-place")
        parent = row["hash"]
    roles = [content["role"] for content in data]
    entry = op["attach"][-1]
    content, removed = entry.get("content"), entry.get("removed")
    need(removed or op["op"] != "remove", "a removal of nothing")
    if rows[-1]["is_dir"]:
        need(content is None and not data, "a folder with content")
    else:
        gone = content and removed and has_seen(removed, content)
        need(content and ("file" in roles or gone) and len(set(roles)) == len(roles), "contents")
    check_photos([photo_of(row) for row in op.get("photo") or []], rows[-1])
    check_items(op.get("item") or [])
    for content in data:
        size, digests = content["size"], content.get("digests")
        need(size <= 1 << 44, "size")
        need(content["role"] != "file" or size == rows[-1]["filesize"], "size")
        chunks = chunk_count(size)
        need((digests is not None) == (2 <= chunks <= 32), "digests")
        if digests is not None:
            need(len(digests) == 32 * chunks, "digests")
            need(tree_hash(split(digests)) == content["root"], "root", "bad-content")
        need(size or content["root"] == tree_hash([]), "root", "bad-content")
    return rows


def has_seen(a, b):
    """Whether version `a` has seen the edit that wrote what `b` stands for (SYNC-26)."""
    return a["vector"].get(b["replica"], 0) >= b["vector"][b["replica"]]


def is_map(data):
    try:
        return unpack_map(data) is not None
    except Refused:
        return False


def check_items(items):
    """ITEM-1 to ITEM-4."""
    need(len({item["mid"] for item in items}) == len(items), "an item twice")
    for item in items:
        need(all(name and "\0" not in name for name in (item["mid"], item["nick"])), "no name")
        need((item.get("uid") or 0) < 1 << 63, "a number")
        if item.get("row") is None:
            continue
        need(len(item["row"]) <= 524_288 and is_map(item["row"]), "an item's row")
        row = unpack_map(item["row"])
        need(len(row) <= 256 and not row.twice and json_holds(row), "an item's row")
        need(not {"id", "aid", "uid", "parent"} & set(row), "a hub's own numbers")
        need(all(isinstance(row.get(name), str) for name in ("message_id", "uuid", "body")), "an item's row")
        need(1 <= len(row["uuid"].encode()) <= 255 and "\0" not in row["uuid"], "an item's uuid")
        need(row["message_id"] == item["mid"], "an item's name")


def json_holds(value):
    if isinstance(value, dict):
        return all(isinstance(key, str) and json_holds(element) for key, element in value.items())
    if isinstance(value, list):
        return all(map(json_holds, value))
    if isinstance(value, str):
        return value.isprintable() or not re.search("[\ud800-\udfff]", value)
    return not isinstance(value, bytes) and value not in (float("inf"), float("-inf")) and value == value


def includes(a, b):
    """Whether version `a` is newer than `b` or equal to it (SYNC-24)."""
    seen = all(a["vector"].get(replica, 0) >= counter for replica, counter in b["vector"].items())
    return seen and (b["hlc"], b["replica"]) <= (a["hlc"], a["replica"])


def weight(a):
    """Of concurrent versions the one that weighs more wins (SYNC-25)."""
    return a["hlc"], a["replica"], sum(a["vector"].values()), sorted(a["vector"].items())


def merge(held, new):
    """What a register's version is after `new` came, and whether the value of `new` is taken (SYNC-24 to 27)."""
    if includes(held, new):
        return held, False
    if includes(new, held):
        return new, True
    winner = max(held, new, key=weight)
    vector = {r: max(held["vector"].get(r, 0), new["vector"].get(r, 0)) for r in held["vector"] | new["vector"]}
    return {**winner, "vector": vector}, winner is new


# Chunks and digests


def chunk_size(size):
    """FILE-1."""
    chunk = 1 << 20
    while chunk < 1 << 24 and size > 16384 * chunk:
        chunk *= 2
    return chunk


def chunk_count(size):
    return -(-size // chunk_size(size))


def chunk_length(size, number):
    return min(chunk_size(size), size - number * chunk_size(size))


def leaf(data):
    return hashlib.sha256(b"\0" + data).digest()


def leaf_key(kind, name):
    """AUDIT-1."""
    return hashlib.sha256(kind.encode() + b"\0" + name.encode()).digest()


def sum_of(leaves):
    """AUDIT-4."""
    total = 0
    for digest in leaves:
        total ^= int.from_bytes(digest, "big")
    return total.to_bytes(32, "big")


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def split(digests):
    return [digests[i : i + 32] for i in range(0, len(digests), 32)]


def tree_hash(level):
    """FILE-8, level by level: a node without a right sibling moves up unchanged."""
    if not level:
        return hashlib.sha256().digest()
    while len(level) > 1:
        pairs = [node(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = pairs + level[len(level) - len(level) % 2 :]
    return level[0]


def check_page(size, root, number, digests, path):
    """FILE-12."""
    chunks = chunk_count(size)
    last = -(-chunks // PAGE) - 1
    need(number <= last, "no such page", "bad-content")
    need(len(digests) == min(PAGE, chunks - PAGE * number), "number of digests", "bad-content")
    path, found = list(path), tree_hash(digests)
    while last > 0:
        if number % 2 == 1 or number < last:
            need(path, "path too short", "bad-content")
            found = node(path.pop(0), found) if number % 2 == 1 else node(found, path.pop(0))
        number, last = number // 2, last // 2
    need(not path, "path too long", "bad-content")
    need(found == root, "another root", "bad-content")


# Frames


class BadFrame(Exception):
    """What came is no frame; the rest of the response does not count (FETCH-19)."""


class Frames:
    """Reads a response in whatever pieces it comes. Events are ("header", item, chunk, offset, length),
    ("data", bytes), ("refused", item, code, text) and ("end", word)."""

    def __init__(self):
        self.buffer, self.payload, self.ended = b"", 0, None

    def feed(self, data):
        self.buffer += data
        while self.buffer:
            if self.ended:
                raise BadFrame("after-end")
            if self.payload:
                taken, self.buffer = self.buffer[: self.payload], self.buffer[self.payload :]
                self.payload -= len(taken)
                yield "data", taken
                continue
            try:
                event, self.at = self._frame(), self.at
            except IndexError:  # more is to come
                return
            self.buffer = self.buffer[self.at :]
            yield event

    def _take(self, count=1):
        if len(self.buffer) < self.at + count:
            raise IndexError
        self.at += count
        return int.from_bytes(self.buffer[self.at - count : self.at], "big")

    def _number(self):
        byte = self._take()
        if byte < 0x80:
            return byte
        if byte in (0xCC, 0xCD, 0xCE, 0xCF, 0xD0, 0xD1, 0xD2, 0xD3):
            bits = 8 << (byte & 3)
            value = self._take(bits // 8)
            if (byte < 0xD0 or value < 1 << bits - 1) and value < 1 << 32:
                return value
        raise BadFrame("malformed")

    def _frame(self):
        self.at = 0
        byte = self._take()
        if byte & 0xF0 == 0x90:
            count = byte & 15
        elif byte in (0xDC, 0xDD):
            count = self._take(2 if byte == 0xDC else 4)
        else:
            raise BadFrame("malformed")
        if count == 4:
            return self._data_header()
        if count in (2, 3):
            return self._short_frame(count)
        raise BadFrame("malformed")

    def _data_header(self):
        item, chunk, offset, kind = self._number(), self._number(), self._number(), self._take()
        if kind not in (0xC4, 0xC5, 0xC6):
            raise BadFrame("malformed")
        length = self._take(1 << kind - 0xC4)
        if length == 0:
            raise BadFrame("empty")
        if length > MAX_FRAME:
            raise BadFrame("too-large")
        if offset + length > 1 << 24:
            raise BadFrame("beyond-chunk")
        self.payload = length
        return "header", item, chunk, offset, length

    def _short_frame(self, count):
        unpacker = msgpack.Unpacker(**MESSAGEPACK)
        unpacker.feed(self.buffer[:1025])
        try:
            frame = unpacker.unpack()
            self.at = unpacker.tell()
        except msgpack.OutOfData:
            if len(self.buffer) > 1024:
                raise BadFrame("malformed") from None
            raise IndexError from None
        except Exception:
            raise BadFrame("malformed") from None
        if self.at > 1024:
            raise BadFrame("malformed")
        if count == 2 and frame in ([None, "done"], [None, "limit"]):
            self.ended = frame[1]
            return "end", frame[1]
        try:
            item, empty, refusal = frame
            need(empty is None)
            U32(item)
            fields(code=uint(65535), text=text(512))(refusal)
        except (Refused, ValueError):
            raise BadFrame("malformed") from None
        return "refused", item, refusal["code"], refusal["text"]
