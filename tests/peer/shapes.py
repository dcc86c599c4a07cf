"""MessagePack without surprises (PKT-2, PKT-3), and shapes: functions that refuse a value with `bad-field` (PKT-7)."""

import re

import msgpack

from refusals import Refused, need


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


def split_map(data):
    """The fields of a map as pairs of key and the bytes of the value, for rows that are passed on as they came."""
    unpacker = msgpack.Unpacker(ext_hook=_no_extension, max_buffer_size=1 << 20, **MESSAGEPACK)
    unpacker.feed(data)
    pairs = []
    for _ in range(unpacker.read_map_header()):
        key, begin = unpacker.unpack(), unpacker.tell()
        unpacker.skip()
        pairs.append((key, data[begin : unpacker.tell()]))
    return pairs


def join_map(pairs):
    """The map that `split_map` took apart."""
    packer = msgpack.Packer()
    return packer.pack_map_header(len(pairs)) + b"".join(packer.pack(key) + value for key, value in pairs)
