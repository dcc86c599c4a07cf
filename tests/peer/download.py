"""Fetching by chunk-requests: manifest pages, frames, cuts, limits, and what counts as received."""

import http.client
import os

import wire
from wire import BadFrame, need

FRAMES_TYPE = "application/x-zot-chunks"


class Content:
    """A content that is wanted, the file that it goes into, and the digests of its chunks."""

    def __init__(self, resource, data, path):
        self.resource, self.role, self.root, self.size = resource, data["role"], data["root"], data["size"]
        self.chunks = wire.chunk_count(self.size)
        self.digests = wire.split(data["digests"]) if data.get("digests") else [self.root][: self.chunks]
        self.path, self.partial = path, path.with_name(path.name + ".partial")
        self.held, self.refused = {}, None
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = open(self.partial, "w+b")

    def name(self):
        return {"resource": self.resource, "role": self.role, "root": self.root}

    def write(self, number, data):
        """FETCH-3: a chunk counts when its digest is the one that the root proves."""
        digest = wire.leaf(data)
        need(digest == self.digests[number], f"chunk {number} of {self.path.name}", "bad-content")
        self.file.seek(number * wire.chunk_size(self.size))
        self.file.write(data)
        self.held[number] = digest

    def finish(self):
        """FETCH-37: visible only when all of it is verified and durable."""
        need(len(self.held) == self.chunks, f"{self.path.name} is not whole", "bad-content")
        root = wire.tree_hash([self.held[number] for number in range(self.chunks)])
        need(root == self.root, f"the root of {self.path.name}", "bad-content")
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        os.replace(self.partial, self.path)


def fetch_digests(peer, content):
    """Asks for all pages of a content of more than 32 chunks, and again for those that did not come (FETCH-53)."""
    pages = -(-content.chunks // wire.PAGE)
    content.digests = []
    while len(content.digests) < content.chunks:
        first = len(content.digests) // wire.PAGE
        item = {**content.name(), "first": first, "count": min(256, pages - first)}
        answer = peer.ask("manifest-request", items=[item])
        need(answer["type"] == "manifest-page" and not answer.get("refused") and answer["pages"], "no page")
        for number, page in enumerate(answer["pages"], first):
            need((page["item"], page["page"]) == (0, number), "the pages' order")
            digests, path = wire.split(page["digests"]), wire.split(page["path"])
            wire.check_page(content.size, content.root, number, digests, path)
            content.digests += digests
    return pages


class Download:
    """One capability for whole contents, presented until its list is done."""

    def __init__(self, peer, contents):
        self.peer, self.contents = peer, contents
        items = [{**c.name(), "ranges": [{"first": 0, "count": c.chunks}]} for c in contents]
        self.request_id, self.capability = peer.packet("chunk-request", items=items)
        self.flat = [
            (item, chunk, wire.chunk_length(content.size, chunk))
            for item, content in enumerate(contents)
            for chunk in range(content.chunks)
        ]
        self.done, self.part = 0, b""
        self.presented = self.cuts = self.limits = 0

    def run(self, cuts=(), cap=None):
        """Presents until `done`. `cuts` are the payloads after which the first connections are cut by us."""
        cuts, idle = list(cuts), 0
        while True:
            before = (self.done, len(self.part))
            end = self.present(cuts.pop(0) if cuts else None, cap)
            if end == "done":
                need(self.done == len(self.flat), "done before the end")
                return
            self.cuts += end is None
            self.limits += end == "limit"
            idle = idle + 1 if (self.done, len(self.part)) == before else 0
            need(idle < 3, "three presentations brought nothing", "unavailable")

    def present(self, cut, cap):
        """One presentation: how it ended, or None if it was cut."""
        self.presented += 1
        headers = {"Zot-Resume": f"{self.done}:{len(self.part)}"}
        if cap is not None:
            headers["Zot-Max-Bytes"] = str(cap)
        with self.peer.open("POST", "/zot", self.capability, headers) as response:
            if response.status != 200:
                self.peer.read_answer(response, response.read(), self.request_id)
            need(response.getheader("Content-Type") == FRAMES_TYPE, "the content type")
            need(response.getheader("Content-Encoding") is None, "a content encoding")
            reader, payload = wire.Frames(), 0
            try:
                while data := response.read1(8192):
                    for event in reader.feed(data):
                        self.take(*event)
                        payload += len(event[1]) if event[0] == "data" else 0
                        need(cap is None or payload <= cap, "more than Zot-Max-Bytes allows")
                    if cut is not None and payload >= cut:
                        return None
            except (BadFrame, OSError, http.client.HTTPException) as error:
                print(f"  a response ended early: {error!r}")
                return None
            return reader.ended

    def take(self, kind, *values):
        """One event; a frame that is not the next one ends the response (FETCH-19)."""
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
                self.contents[item].write(chunk, self.part)
                self.done, self.part = self.done + 1, b""
        elif kind == "refused":
            if values[0] != item:
                raise BadFrame("a refusal of another item")
            self.contents[item].refused, self.part = values[1], b""
            while self.done < len(self.flat) and self.flat[self.done][0] == item:
                self.done += 1
