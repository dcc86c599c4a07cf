"""Packets: their types and fields (packets.md), the envelope, and the checks that come before their meaning (SIGN-14)."""

import secrets
import time

import msgpack

from identity import PORTABLE_ID, SIGNED_LOCATION, SIGNED_NOTICE, SIGNED_ROTATION, SITE_ID, holds, sign
from operations import OPERATIONS, RESOURCE, row_of
from refusals import Refused, need
from shapes import binary, boolean, digests_up_to, fields, list_of, pattern, text, uint, unpack_map
from versions import version

MAX_PACKET = 1 << 20
LIFETIME = 600_000
PAGE = 4096


def now_ms():
    return time.time_ns() // 1_000_000


def new_id():
    """A UUIDv7."""
    raw = now_ms() << 80 | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62)
    return raw.to_bytes(16, "big")


ROLE = pattern(r"file|photo-4|photo-7")
PARTY = fields(hub=SITE_ID, channel=PORTABLE_ID)
U32 = uint(2**32 - 1)
SIGNED_INTRODUCTION = fields(
    record=binary(), channel_sig=binary(), site_sig=binary(), rotations_=list_of(SIGNED_ROTATION, 32)
)
CONTENT = {"resource": RESOURCE, "role": ROLE, "root": binary(32)}
ENVELOPE = fields(key=SITE_ID, body=binary(), sig=binary(), location_=binary())
HEADER = fields(type=text(64), id=binary(16), at=uint(), expires=uint(), answers_=binary(16), to=PARTY, **{"from": PARTY})
PUT = fields(
    attach=list_of(fields(row=row_of, place=version, meta=version, content_=version, removed_=version, was_=RESOURCE), 128),
    data_=list_of(
        fields(role=ROLE, size=uint(), root=binary(32), digests_=binary(), mime=text(255), source=pattern("fetch|backup")),
        3,
    ),
    photo_=list_of(binary(), 16),
    item_=list_of(fields(mid=text(255), row_=binary(), version=version, url=text(255), nick=text(64), uid_=uint()), 4096),
)


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


ANSWERS = {"manifest-page", "audit-page", "refusal"}


def check_fields(body, answer=False):
    """What follows the header: PKT-6, PKT-7, FETCH-8. The sender is certain by now."""
    try:
        known = body["type"] in PACKETS and (answer or body["type"] not in ANSWERS)
        need(known, body["type"], "unknown-type")
        PACKETS[body["type"]](body)
        if body["type"] == "chunk-request":
            counts = [part["count"] for item in body["items"] for part in item["ranges"]]
            need(counts and min(counts) > 0 and sum(counts) <= 1024, "chunks", "bad-range")
    except Refused as refusal:
        refusal.signed = True
        raise


def packet_text(key, body):
    return b"zot-file-packet\n1\nrsa-sha256\n" + key.encode() + b"\n" + body


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
