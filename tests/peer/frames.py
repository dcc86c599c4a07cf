"""Frames: the answer to a chunk-request, read and written (FETCH-10 to FETCH-24)."""

import re

import msgpack

from refusals import Refused, need
from shapes import MESSAGEPACK, fields, text, uint

MAX_FRAME = 262_144
U32 = uint(2**32 - 1)


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


def pack_frame(*values):
    return msgpack.packb(list(values))


def refusal_frame(item, code, sentence):
    """FETCH-13."""
    return pack_frame(item, None, {"code": code, "text": sentence[:256]})


def resume_of(header):
    """Chunks and bytes of a `Zot-Resume` (FETCH-20)."""
    numbers = re.fullmatch(r"([0-9]+):([0-9]+)", header, re.ASCII)
    need(numbers and all(int(number) < 1 << 32 for number in numbers.groups()), "Zot-Resume")
    return int(numbers[1]), int(numbers[2])


def budget_of(header):
    """Bytes of a `Zot-Max-Bytes` (FETCH-22)."""
    need(re.fullmatch(r"[0-9]+", header, re.ASCII) and int(header) < 1 << 64, "Zot-Max-Bytes")
    return int(header)


def plan(wanted, done, part, budget):
    """What one answer holds (FETCH-11 to FETCH-21): ("frame", (item, chunk, offset, length)), ("refuse", item), ("end", word).

    `wanted` is the flattened list as (item, chunk, length); the length is None for an item that cannot be given.
    """
    need(done < len(wanted) or (done == len(wanted) and part == 0), "beyond the list", "bad-range")
    length = wanted[done][2] if done < len(wanted) else None
    need(length is None or part < length, "beyond the chunk", "bad-range")
    steps, part = [], 0 if length is None else part
    while done < len(wanted):
        item, chunk, length = wanted[done]
        if length is None:
            steps.append(("refuse", item))
            while done < len(wanted) and wanted[done][0] == item:
                done += 1
            continue
        taken = min(MAX_FRAME, length - part, budget)
        if taken == 0:
            return steps + [("end", "limit")]
        steps.append(("frame", (item, chunk, part, taken)))
        part, budget = part + taken, budget - taken
        if part == length:
            done, part = done + 1, 0
    return steps + [("end", "done")]
