"""One presentation after another of a chunk-request: frames in, verified chunks out (FETCH-3 to FETCH-25).

Owns the position in the flattened list and the unfinished chunk. Not here: which chunks to ask of whom.
Invariant: `sink` gets whole chunks only; it says whether a chunk is the right one.
"""

import json

from calls import Lost, Unsigned
from chunks import chunk_length
from frames import BadFrame, Frames
from packets import MAX_PACKET
from refusals import need

FRAMES_TYPE = "application/x-zot-chunks"


class Download:
    """`wanted` is a list of (content row, [chunk numbers]); `sink(row, number, data)` says whether the bytes are right."""

    def __init__(self, calls, site, wanted, sink):
        self.calls, self.site, self.wanted, self.sink = calls, site, wanted, sink
        items = [
            {"resource": row["resource"], "role": row["role"], "root": row["root"], "ranges": ranges_of(numbers)}
            for row, numbers in wanted
        ]
        self.request_id, self.capability = calls.packet(site, "chunk-request", items=items)
        self.flat = [
            (item, number, chunk_length(row["size"], number))
            for item, (row, numbers) in enumerate(wanted)
            for number in numbers
        ]
        self.done, self.part = 0, b""
        self.right, self.wrong, self.refused = 0, [], {}

    def present(self, most=None, stop=lambda: False):
        """One presentation: `done`, `limit`, or None if the answer was cut (FETCH-10, FETCH-19)."""
        headers = {"Zot-Resume": f"{self.done}:{len(self.part)}"}
        if most is not None:
            headers["Zot-Max-Bytes"] = str(most)
        with self.calls.open(self.site, "POST", "/zot", self.capability, headers) as response:
            kind, coded = response.getheader("Content-Type"), response.getheader("Content-Encoding")
            if response.status != 200 or kind != FRAMES_TYPE or coded not in (None, "identity"):
                data = response.read(MAX_PACKET + 1)
                self.calls.read_answer(self.site, response, data, self.request_id)
                raise Unsigned(response.status, kind, data[:200])
            reader, taken = Frames(), 0
            try:
                while data := response.read1(65536):
                    for event in reader.feed(data):
                        taken += len(event[1]) if event[0] == "data" else 0
                        if most is not None and taken > most:
                            raise BadFrame("more than Zot-Max-Bytes allows")
                        self.take(*event)
                    if stop():
                        return None
            except (BadFrame, Lost, OSError, ValueError):
                return None
            except Exception as error:
                if type(error).__module__ == "http.client":
                    return None
                raise
            if reader.ended == "done" and self.done < len(self.flat):
                return None
            return reader.ended

    def take(self, kind, *values):
        """One event; a frame that is not the next one ends the response."""
        if kind == "end":
            return
        if self.done == len(self.flat):
            raise BadFrame("more than was asked for")
        item, chunk, length = self.flat[self.done]
        if kind == "header":
            if values[:3] != (item, chunk, len(self.part)) or values[2] + values[3] > length:
                raise BadFrame(f"{values} is not the next frame")
        elif kind == "data":
            self.part += values[0]
            if len(self.part) == length:
                self.whole(item, chunk)
        elif kind == "refused":
            if values[0] != item:
                raise BadFrame("a refusal of another item")
            self.refused[item], self.part = values[1], b""
            while self.done < len(self.flat) and self.flat[self.done][0] == item:
                self.done += 1

    def whole(self, item, chunk):
        if self.sink(self.wanted[item][0], chunk, self.part):
            self.right += 1
        else:
            self.wrong.append((item, chunk))
        self.done, self.part = self.done + 1, b""


def ranges_of(numbers):
    """Runs of chunk numbers, in their order."""
    ranges = []
    for number in numbers:
        if ranges and ranges[-1]["first"] + ranges[-1]["count"] == number:
            ranges[-1]["count"] += 1
        else:
            ranges.append({"first": number, "count": 1})
    need(ranges, "no chunk", "bad-range")
    return ranges


def document_of(calls, site):
    """The capability document of a hub (PKT-14)."""
    with calls.open(site, "GET", "/.well-known/zot-file") as response:
        return json.loads(response.read(65536))
