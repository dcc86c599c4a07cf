"""Envelopes, bodies, location records. packets.md, signing.md, identity.md."""

import msgpack

from .keys import TestKey, portable_id, site_id

NOW = 1_800_000_000_000
LIFE = 600_000
GUID = "zotferry-test-channel"

SITE_A, SITE_B, SITE_C = TestKey("site-a"), TestKey("site-b"), TestKey("site-c")
CHANNEL, OTHER_CHANNEL = TestKey("channel"), TestKey("other-channel")
KEYS = {key.name: key for key in (SITE_A, SITE_B, SITE_C, CHANNEL, OTHER_CHANNEL)}
URLS = {"site-a": "https://a.example", "site-b": "https://b.example", "site-c": "https://c.example:8443"}
SITES = {name: site_id(url, KEYS[name].pem) for name, url in URLS.items()}
ALICE = portable_id(GUID, CHANNEL.pem)
OTHER = portable_id(GUID, OTHER_CHANNEL.pem)


def pack(value):
    """Shortest integers, bin for bytes, maps in the order in which they are written."""
    return msgpack.packb(value, use_bin_type=True)


def uuid7(n, ms=NOW):
    """A fixed UUIDv7: the time, and n where the random bits stand."""
    value = ms << 80 | 7 << 76 | 2 << 62 | n
    return value.to_bytes(16, "big")


def header(kind, sender, receiver, n, at=NOW, life=LIFE, answers=None, channel=None):
    channel = channel or ALICE
    out = {
        "type": kind,
        "id": uuid7(n),
        "from": {"hub": SITES[sender], "channel": channel},
        "to": {"hub": SITES[receiver], "channel": channel},
        "at": at,
        "expires": at + life,
    }
    if answers is not None:
        out["answers"] = answers
    return out


def signed_bytes(key, body):
    """SIGN-1."""
    return b"zot-file-packet\n1\nrsa-sha256\n" + key.encode() + b"\n" + body


def envelope(key, body, sig, location=None, v=1, alg="rsa-sha256"):
    out = {"v": v, "alg": alg, "key": key, "body": body, "sig": sig}
    if location is not None:
        out["location"] = location
    return out


def seal(sender, body, location=None):
    """A packet: body is a map, or bytes that are to be signed as they are."""
    raw = body if isinstance(body, bytes) else pack(body)
    key = SITES[sender]
    return pack(envelope(key, raw, KEYS[sender].sign(signed_bytes(key, raw)), location))


def record(site, replica, channel=None, serial=NOW, primary=False, deleted=False, **changes):
    out = {
        "channel": channel or ALICE,
        "url": URLS[site],
        "site_key": KEYS[site].pem,
        "replica": replica,
        "primary": primary,
        "deleted": deleted,
        "serial": serial,
    }
    out.update(changes)
    return out


def state(location, site, channel="channel", context=b"zot-file-location\n"):
    """ID-7 to ID-9: a record with both signatures."""
    raw = location if isinstance(location, bytes) else pack(location)
    message = context + raw
    return {"record": raw, "channel_sig": KEYS[channel].sign(message), "site_sig": KEYS[site].sign(message)}


def plain(value):
    """A value as JSON can hold it: byte strings as hexadecimal."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {plain(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value
