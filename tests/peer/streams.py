"""Streams: what is asked, and which answers are one (streaming.md)."""

import re

STREAM_TYPE = "application/x-zot-file"
CLOSED = {404, 405, 406, 411, 413}


def path_of(resource, role, root):
    return f"/zot/file/{resource}/{role}/{root.hex()}"


def verdict(head, first, last, size):
    """Whether an answer is the `stream` (STREAM-5), is `not-ours` and makes streaming unavailable (STREAM-9), or brought `nothing`."""
    status, kind = head["status"], (head.get("type") or "").split(";")[0].strip().lower()
    encoding, span = head.get("encoding"), head.get("range")
    plain = kind == STREAM_TYPE and (encoding is None or encoding.strip().lower() in ("", "identity"))
    part = status == 206 and span_of(span) == (first, last, size)
    whole = status == 200 and span is None and (first, last) == (0, size - 1)
    if plain and (part or whole):
        return "stream"
    if status in CLOSED or 500 <= status <= 599 or status in (200, 206):
        return "not-ours"
    return "nothing"


def span_of(header):
    """First byte, last byte and size of a `Content-Range`."""
    found = re.fullmatch(r"bytes ([0-9]+)-([0-9]+)/([0-9]+)", (header or "").strip(), re.ASCII | re.IGNORECASE)
    return tuple(map(int, found.groups())) if found else None


def range_of(header, size):
    """Which bytes a `Range` asks of a content: (first, last), None for all of it, or `outside` (STREAM-6)."""
    found = re.fullmatch(r"bytes=([0-9]*)-([0-9]*)", (header or "").strip(), re.ASCII)
    if not found or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if first == "":
        return (max(size - int(last), 0), size - 1) if int(last) and size else "outside"
    if last != "" and int(last) < int(first):
        return None
    if int(first) >= size:
        return "outside"
    return int(first), min(int(last), size - 1) if last else size - 1
