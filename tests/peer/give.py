"""What this clone gives: frames, pages of digests, streams and entries.

Invariant: a chunk is hashed before it is given (AUDIT-17).
"""

import msgpack

from chunks import PAGE, chunk_count, chunk_length, chunk_size, leaf, page_path, split
from download import FRAMES_TYPE
from frames import budget_of, pack_frame, plan, refusal_frame, resume_of
from packets import new_id
from refusals import Refused, need
from streams import STREAM_TYPE, path_of, range_of

ROOM = 900_000
MOST = 8 << 20  # payload of one answer; FETCH-16


class Give:
    def __init__(self, clone):
        self.catalog, self.blobs, self.clone = clone.catalog, clone.blobs, clone

    def find(self, name):
        """A content by resource, role and root (FETCH-28 to FETCH-30)."""
        row = self.catalog.content(name["resource"], name["role"], name["root"])
        need(row is not None, "", "unknown-resource")
        if not self.blobs.has(row["root"]):
            raise Refused("not-here" if row["state"] == "wanted" else "gone")
        return row

    def chunk(self, row, number):
        data = self.blobs.read(row["root"], row["size"], number)
        digests = split(row["digests"]) if row["digests"] else [row["root"]]
        if leaf(data) == digests[number]:
            return data
        self.blobs.set_aside(row["root"])
        self.catalog.store.run("UPDATE contents SET state = 'wanted' WHERE root = ? AND state = 'held'", row["root"])
        raise Refused("not-here", "it is damaged here")

    def frames(self, body, headers):
        """FETCH-8, FETCH-20 to FETCH-24."""
        done, part = resume_of(headers.get("Zot-Resume", "0:0"))
        budget = min(budget_of(headers.get("Zot-Max-Bytes", str(MOST))), MOST)
        rows, refused, wanted = {}, {}, []
        for number, item in enumerate(body["items"]):
            try:
                rows[number] = self.find(item)
            except Refused as refusal:
                refused[number] = refusal
            for part_of in item["ranges"]:
                for chunk in range(part_of["first"], part_of["first"] + part_of["count"]):
                    row = rows.get(number)
                    need(row is None or chunk < chunk_count(row["size"]), "beyond the end", "bad-range")
                    wanted.append((number, chunk, row and chunk_length(row["size"], chunk)))
        return 200, FRAMES_TYPE, self.written(rows, refused, plan(wanted, done, part, budget))

    def written(self, rows, refused, steps):
        """The frames' bytes; an item that turns out to be damaged is refused at its place (FETCH-17)."""
        lost, last, data = set(), None, b""
        for kind, value in steps:
            if kind == "end":
                yield pack_frame(None, value)
            elif kind == "refuse":
                yield refusal_frame(value, refused[value].code, refused[value].text)
            elif value[0] not in lost:
                item, chunk, offset, length = value
                if last != (item, chunk):
                    try:
                        last, data = (item, chunk), self.chunk(rows[item], chunk)
                    except Refused as refusal:
                        lost.add(item)
                        yield refusal_frame(item, refusal.code, refusal.text)
                        continue
                yield pack_frame(item, chunk, offset, data[offset : offset + length])

    def pages(self, items):
        """FETCH-50 to FETCH-52."""
        pages, refused, used = [], [], 0
        for number, item in enumerate(items):
            try:
                row = self.find(item)
                count = -(-chunk_count(row["size"]) // PAGE)
                digests = split(row["digests"]) if row["digests"] else [row["root"]]
                for page in range(item["first"], item["first"] + item["count"]):
                    need(page < count, "beyond the last page", "bad-range")
                    part = digests[PAGE * page : PAGE * page + PAGE]
                    found = {
                        "item": number, "page": page, "digests": b"".join(part),
                        "path": b"".join(page_path(digests, page)),
                    }  # fmt: skip
                    used += len(msgpack.packb(found))
                    if used > ROOM:
                        return {"pages": pages, "refused": refused}
                    pages.append(found)
            except Refused as refusal:
                refused.append({"item": number, "code": refusal.code})
        return {"pages": pages, "refused": refused}

    def entries(self, keys):
        """AUDIT-10."""
        operations, used, seen = [], 0, set()
        for key in keys:
            resource = self.catalog.resource_of(key)
            if resource is None or resource in seen:
                continue
            seen.add(resource)
            entry = self.catalog.entry(resource)
            name = "remove" if entry.removed and (entry.gone or entry.is_dir) else "put"
            for operation in self.catalog.operations(resource, name, new_id()):
                used += len(msgpack.packb(operation))
                if used > ROOM and operations:
                    return operations
                operations.append(operation)
        need(operations, "", "unknown-resource")
        return operations

    def stream(self, body, path, headers):
        """STREAM-2, STREAM-4, STREAM-6: status, content type, body, and the headers that go with it."""
        need(path == path_of(body["resource"], body["role"], body["root"]), "another content than the path")
        row = self.find(body)
        tag, size = f'"{row["root"].hex()}"', row["size"]
        asked = range_of(headers.get("Range"), size) if headers.get("Range") else None
        if headers.get("If-Range", tag) != tag:
            asked = None
        if asked == "outside":
            return 416, "text/plain", b"outside the content\n", {"Content-Range": f"bytes */{size}"}
        first, last = asked or (0, size - 1)
        more = {"ETag": tag, "Content-Length": str(last - first + 1)}
        if asked:
            more["Content-Range"] = f"bytes {first}-{last}/{size}"
        return (206 if asked else 200), STREAM_TYPE, self.span(row, first, last), more

    def span(self, row, first, last):
        step = chunk_size(row["size"])
        for number in range(first // step, last // step + 1 if last >= first else first // step):
            data = self.chunk(row, number)
            yield data[max(first - number * step, 0) : last + 1 - number * step]
