"""Keys, ids, URLs, and what is stated under the channel's key: locations, rotations, notices (identity.md)."""

import base64
import ipaddress
import re
import urllib.parse

import msgpack
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from refusals import Refused, need
from shapes import binary, boolean, fields, list_of, pattern, text, uint, unpack_map
from whirlpool import whirlpool


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


SITE_ID = PORTABLE_ID = pattern(r"[A-Za-z0-9_-]{86}")
LOCATION = fields(
    channel=PORTABLE_ID, url=text(255), site_key=text(2048), replica=binary(8), primary=boolean, deleted=boolean,
    serial=uint(),
)  # fmt: skip
SIGNED_LOCATION = fields(record=binary(), channel_sig=binary(), site_sig=binary())
SIGNED_ROTATION = fields(record=binary(), old_sig=binary(), new_sig=binary(), site_sig=binary())
SIGNED_NOTICE = fields(record=binary(), channel_sig=binary())
ROTATION = fields(
    channel=PORTABLE_ID, number=uint(2**32 - 1), old_key=text(2048), new_key=text(2048), keep=list_of(SITE_ID, 64),
    url=text(255), site_key=text(2048), at=uint(),
)  # fmt: skip
NOTICE = fields(channel=PORTABLE_ID, site=SITE_ID, removed=boolean, primary=boolean, serial=uint())
KEPT = 32


def same_statement(context, record):
    return b"zot-file-" + context + b"\n" + record


def own_url(url):
    """Whether a base URL is normalised (ID-4, ID-19)."""
    try:
        return normal_url(url) == url
    except ValueError:
        return False


def normal_url(typed):
    """ID-4; a ValueError for what is no base URL."""
    parts = urllib.parse.urlsplit(typed)
    scheme, host, port = parts.scheme.lower(), parts.hostname or "", parts.port
    rest = parts.path.rstrip("/") or parts.query or parts.fragment or "@" in parts.netloc or "?" in typed or "#" in typed
    if scheme not in ("http", "https") or not host or rest or host.endswith("."):
        raise ValueError(typed)
    if ":" in host:
        host = f"[{ipaddress.IPv6Address(host).compressed}]"
    elif not host.isascii():
        host = host.encode("idna").decode()
    if not re.fullmatch(r"\[[0-9a-f:.]+\]|[a-z0-9_-]+(\.[a-z0-9_-]+)*", host):
        raise ValueError(typed)
    default = {"http": 80, "https": 443}[scheme]
    url = f"{scheme}://{host}" + ("" if port in (None, default) else f":{port}")
    if len(url) > 255:
        raise ValueError(typed)
    return url


class Location:
    """What a location record says, and the map that was signed."""

    def __init__(self, signed, record, site_key):
        self.signed, self.fields = signed, record
        self.url, self.replica, self.serial = record["url"], record["replica"], record["serial"]
        self.primary, self.deleted = record["primary"], record["deleted"]
        self.pem, self.key = record["site_key"], site_key
        self.site_id = id_of(record["url"], record["site_key"])

    def replaces(self, other):
        """ID-10."""
        return other is None or (self.serial, self.replica) > (other.serial, other.replica)


class Rotation:
    """One change of the channel's key (ID-24, ID-25, but for its place in the chain)."""

    def __init__(self, signed, channel):
        SIGNED_ROTATION(signed)
        record = unpack_map(signed["record"])
        ROTATION(record)
        need(own_url(record["url"]), "the URL")
        need(record["channel"] == channel, "another channel", "bad-statement")
        keys = [public_key(record[name]) for name in ("old_key", "new_key", "site_key")]
        statement = same_statement(b"rotation", signed["record"])
        for name, key in zip(("old_sig", "new_sig", "site_sig"), keys):
            need(holds(key, signed[name], statement), name, "bad-statement")
        self.signed, self.record, self.keep = signed, signed["record"], record["keep"]
        self.number, self.old, self.new, self.at = record["number"], record["old_key"], record["new_key"], record["at"]
        self.site_id = id_of(record["url"], record["site_key"])
        need(self.site_id in self.keep, "its own site is not kept", "bad-statement")


class Chain:
    """The keys of a channel, from the first to the one that counts (ID-26)."""

    def __init__(self, channel, first_pem, rotations=()):
        self.channel, self.pems, self.rotations = channel, [first_pem], []
        for rotation in rotations:
            place = rotation.number == len(self.pems) and rotation.old == self.pems[-1]
            need(place and rotation.new not in self.pems and len(self.rotations) < KEPT, "the chain", "bad-statement")
            self.pems.append(rotation.new)
            self.rotations.append(rotation)
        self.keys = [public_key(pem) for pem in self.pems]

    def open_location(self, signed):
        """ID-8, ID-9, ID-27; keys are tried from the newest on."""
        SIGNED_LOCATION(signed)
        statement = same_statement(b"location", signed["record"])
        signers = [number for number, key in enumerate(self.keys) if holds(key, signed["channel_sig"], statement)]
        need(signers, "the channel's signature", "bad-location")
        record = unpack_map(signed["record"])
        LOCATION(record)
        need(own_url(record["url"]), "the URL")
        need(record["channel"] == self.channel, "another channel", "bad-location")
        site_key = public_key(record["site_key"])
        need(holds(site_key, signed["site_sig"], statement), "the site's signature", "bad-location")
        found = Location(signed, record, site_key)
        kept = all(found.site_id in rotation.keep for rotation in self.rotations[signers[-1] :])
        need(kept, "put out by a rotation", "bad-location")
        return found

    def open_notice(self, signed):
        """The fields of a notice (ID-36)."""
        SIGNED_NOTICE(signed)
        statement = same_statement(b"notice", signed["record"])
        need(holds(self.keys[-1], signed["channel_sig"], statement), "the channel's signature", "bad-statement")
        record = unpack_map(signed["record"])
        NOTICE(record)
        need(record["channel"] == self.channel, "another channel", "bad-statement")
        need(not (record["removed"] and record["primary"]), "removed and primary", "bad-statement")
        return record

    def standing(self, other):
        """What another chain is to this one (ID-29): `same`, `shorter`, `longer`, `counts`, or `rival` if this one does."""
        for mine, new in zip(self.rotations, other.rotations):
            if mine.record == new.record:
                continue
            keeps_new, keeps_mine = new.site_id in mine.keep, mine.site_id in new.keep
            if keeps_new != keeps_mine:
                return "counts" if keeps_new else "rival"
            if not keeps_new:
                return "rival"
            return "counts" if (new.at, new.new.encode()) > (mine.at, mine.new.encode()) else "rival"
        difference = len(other.rotations) - len(self.rotations)
        return "longer" if difference > 0 else "shorter" if difference else "same"


def notice_replaces(new, known):
    """ID-37."""

    def weight(notice):
        return notice["serial"], notice["removed"], notice["primary"]

    return known is None or weight(new) > weight(known)


def make_location(channel_key, channel, site_key, url, replica, **more):
    """A signed statement of where the channel lives (ID-7)."""
    record = {
        "channel": channel, "url": url, "site_key": pem_of(site_key), "replica": replica, "primary": False,
        "deleted": False, "serial": 0,
    } | more  # fmt: skip
    record = msgpack.packb(record)
    statement = same_statement(b"location", record)
    return {"record": record, "channel_sig": sign(channel_key, statement), "site_sig": sign(site_key, statement)}
