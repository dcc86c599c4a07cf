"""Fetches what the catalog wants: by stream, by chunk-requests, and in bundles (fetching.md, streaming.md).

Owns which chunks are held or asked for, and what was learnt about each path. Not here: frames (download.py).
Invariant: a chunk is asked of one hub at a time (FETCH-2), and counts when it is verified and synced (FETCH-3, FETCH-31).
"""

import threading
import time

from calls import FAILURES, PACKET_TYPE, Lost, Unsigned
from chunks import PAGE, check_page, chunk_count, chunk_length, chunk_size, leaf, split
from download import Download
from entries import Entry
from identity import b64
from packets import MAX_PACKET
from refusals import Refused, again, need
from streams import path_of, verdict

BUNDLE, AT_ONCE = 256, 8 << 20
AN_HOUR = 3_600_000
LONGEST_WAIT = 3600


class Fetcher:
    def __init__(self, clone):
        self.clone, self.store, self.blobs = clone, clone.store, clone.blobs
        self.calls, self.catalog = clone.calls, clone.catalog
        self.lock = threading.RLock()
        self.held, self.fresh, self.asked = {}, {}, set()
        self.waits, self.misses, self.amount = {}, {}, {}  # (site, root): until and count; by site

    def begin(self, clean):
        """FETCH-34, FETCH-35: after an unclean stop what was recorded is read back before it counts."""
        for row in self.store.all("SELECT * FROM partials"):
            content = self.store.one("SELECT * FROM contents WHERE root = ?", row["root"])
            digests = content and digests_of(content)
            bits = row["held"]
            if not digests:
                continue
            found = {n for n in range(len(digests)) if bits[n // 8] >> n % 8 & 1}
            if not clean:
                size = content["size"]
                found = {n for n in found if leaf(self.blobs.read_part(row["root"], size, n)) == digests[n]}
            self.held[row["root"]] = found

    # Choosing

    def pick(self, site):
        """What to ask a hub for next: ("pages" | "bundle" | "part", [(content, chunks)]), and marks it as asked for."""
        query = (
            "SELECT c.*, e.fields AS fields, e.is_dir AS is_dir FROM contents c JOIN has h USING (resource, role, root) "
            "JOIN entries e USING (resource) WHERE c.state = 'wanted' AND h.site = ? ORDER BY c.size LIMIT 2000"
        )
        with self.lock:
            rows = [row for row in self.store.all(query, site) if self.ready(site, row["root"])]
            rows.sort(key=order)
            bundle, total = [], 0
            for row in rows:
                if chunk_count(row["size"]) == 1 and (row["root"], 0) not in self.asked and total < self.most(site):
                    bundle.append((row, [0]))
                    self.asked.add((row["root"], 0))
                    total += row["size"]
                    if len(bundle) == min(BUNDLE, self.amount.get(site, (BUNDLE, 0))[0]):
                        break
            if bundle:
                return "bundle", bundle
            for row in rows:
                count = chunk_count(row["size"])
                if count > 1 and digests_of(row) is None:
                    if (row["root"], None) not in self.asked:
                        self.asked.add((row["root"], None))
                        return "pages", [(row, [None])]
                elif count > 1 and (part := self.next_part(site, row, count)):
                    self.asked |= {(row["root"], number) for number in part}
                    return "part", [(row, part)]
        return None, []

    def next_part(self, site, row, count):
        """The first run of chunks that are neither held nor asked for."""
        held = self.held.setdefault(row["root"], set())
        most = max(self.most(site) // chunk_size(row["size"]), 1)
        part = []
        for number in range(count):
            if number not in held and (row["root"], number) not in self.asked:
                part.append(number)
                if len(part) == most:
                    break
            elif part:
                break
        return part

    def ready(self, site, root):
        return self.waits.get((site, root), (0, 0))[0] <= time.monotonic()

    def most(self, site):
        return self.amount.get(site, (0, AT_ONCE))[1]

    def step(self, site):
        """Asks for one thing; whether there was anything to ask for."""
        if self.calls.paused(site):
            return False
        kind, wanted = self.pick(site)
        if kind is None:
            return False
        before = self.count()
        try:
            if kind == "pages":
                self.pages(site, wanted[0][0])
            elif kind == "part" and self.may_stream(site):
                self.stream(site, *wanted[0])
            else:
                self.by_chunks(site, wanted)
        except Refused as refusal:
            self.refused(site, [row["root"] for row, _ in wanted], refusal)
        except FAILURES as failure:
            self.failed(site, failure)
        finally:
            self.commit()
            with self.lock:
                self.asked -= {(row["root"], number) for row, numbers in wanted for number in numbers}
        if self.count() > before:
            self.clone.troubles.pop(site, None)
        return True

    def count(self):
        return self.clone.progress

    # Asking

    def by_chunks(self, site, wanted):
        """One capability, presented until it is done or brings nothing (FETCH-6, FETCH-25)."""
        download = Download(self.calls, site, wanted, self.sink)
        idle = 0
        while idle < 2 and not self.clone.stopping.is_set():
            before = (download.done, len(download.part))
            try:
                end = download.present(self.most(site), self.clone.stopping.is_set)
            finally:
                self.commit()
            if end == "done":
                break
            idle = 0 if (download.done, len(download.part)) != before else idle + 1
            if self.calls.paused(site):
                break
        else:
            if not self.clone.stopping.is_set():
                self.clone.trouble(site)
        for item, code in download.refused.items():
            self.wait(site, wanted[item][0]["root"], again(code))
        for item, _ in download.wrong:
            self.wait(site, wanted[item][0]["root"], "elsewhere")

    def stream(self, site, row, numbers):
        """STREAM-1 to STREAM-12."""
        first = numbers[0] * chunk_size(row["size"])
        last = numbers[-1] * chunk_size(row["size"]) + chunk_length(row["size"], numbers[-1]) - 1
        request_id, data = self.calls.packet(
            site, "stream-request", resource=row["resource"], role=row["role"], root=row["root"]
        )  # fmt: skip
        headers = {"Authorization": "Zot " + b64(data), "Range": f"bytes={first}-{last}"}
        path, right = path_of(row["resource"], row["role"], row["root"]), 0
        try:
            with self.calls.open(site, "GET", path, None, headers) as response:
                kind = response.getheader("Content-Type")
                if kind == PACKET_TYPE:
                    self.calls.read_answer(site, response, response.read(MAX_PACKET + 1), request_id)
                head = {"status": response.status, "type": kind, "encoding": response.getheader("Content-Encoding")}
                head["range"] = response.getheader("Content-Range")
                found = verdict(head, first, last, row["size"])
                if found == "not-ours":
                    return self.no_streams(site)
                if found == "stream":
                    right = self.read_stream(site, response, row, numbers)
        except FAILURES:
            pass
        finally:
            self.commit()
        with self.lock:
            misses = 0 if right else self.misses.get(site, 0) + 1
            self.misses[site] = misses
        if misses >= 2:
            self.no_streams(site)

    def read_stream(self, site, response, row, numbers):
        right = 0
        for number in numbers:
            length, data = chunk_length(row["size"], number), b""
            while len(data) < length:
                try:
                    piece = response.read1(min(65536, length - len(data)))
                except Exception:
                    return right
                if not piece or self.clone.stopping.is_set():
                    return right
                data += piece
            if self.sink(row, number, data):
                right += 1
            else:
                self.wait(site, row["root"], "elsewhere")
                return right
            if right % 16 == 0:
                self.commit()
        return right

    def may_stream(self, site):
        return self.clone.streams and self.clone.hubs.get(site)["no_streams"] <= self.clone.clock()

    def no_streams(self, site):
        """STREAM-9, STREAM-10, STREAM-11."""
        self.store.run("UPDATE hubs SET no_streams = ? WHERE site = ?", self.clone.clock() + AN_HOUR, site)
        self.misses.pop(site, None)

    def pages(self, site, row):
        """FETCH-50 to FETCH-53, FILE-12."""
        chunks = chunk_count(row["size"])
        pages, digests = -(-chunks // PAGE), []
        name = {key: row[key] for key in ("resource", "role", "root")}
        while len(digests) < chunks:
            first = len(digests) // PAGE
            item = {**name, "first": first, "count": min(256, pages - first)}
            answer = self.calls.ask(site, "manifest-request", items=[item])
            need(answer["type"] == "manifest-page", "no page", "unavailable")
            for refused in answer.get("refused") or []:
                return self.wait(site, row["root"], again(refused["code"]))
            if not answer["pages"]:
                raise Lost("neither pages nor a refusal")
            for number, page in enumerate(answer["pages"], first):
                need((page["item"], page["page"]) == (0, number), "the pages' order", "bad-content")
                part = split(page["digests"])
                check_page(row["size"], row["root"], number, part, split(page["path"]))
                digests += part
        self.store.run("UPDATE contents SET digests = ? WHERE root = ?", b"".join(digests), row["root"])
        self.clone.progress += 1

    # What came

    def sink(self, row, number, data):
        """FETCH-3, FETCH-4."""
        if leaf(data) != digests_of(row)[number]:
            return False
        self.blobs.write(row["root"], row["size"], number, data)
        with self.lock:
            self.fresh.setdefault(row["root"], (row["size"], set()))[1].add(number)
        return True

    def commit(self):
        """Syncs what was written, then records it; a content that is complete becomes visible."""
        with self.lock:
            for root, (size, numbers) in list(self.fresh.items()):
                self.blobs.sync(root)
                held = self.held.setdefault(root, set())
                held |= numbers
                self.clone.progress += len(numbers)
                if len(held) == chunk_count(size):
                    self.blobs.finish(root)
                    self.catalog.arrived(root)
                    self.held.pop(root)
                else:
                    bits = bytearray(-(-chunk_count(size) // 8))
                    for number in held:
                        bits[number // 8] |= 1 << number % 8
                    self.store.run("INSERT OR REPLACE INTO partials VALUES (?, ?)", root, bytes(bits))
            if self.fresh:
                self.fresh = {}
                self.clone.news()
                self.clone.die_if_told()

    # What did not

    def wait(self, site, root, word):
        """FETCH-5, FETCH-54: of this hub later, of another one at once."""
        with self.lock:
            count = self.waits.get((site, root), (0, 0))[1] + 1
            seconds = LONGEST_WAIT if word == "never" else min(self.clone.pause * 2 ** (count - 1), LONGEST_WAIT)
            self.waits[site, root] = (time.monotonic() + seconds, count)

    def refused(self, site, roots, refusal):
        if self.calls.believe_clock(site, refusal):
            return
        word = again(refusal.code)
        if refusal.word == "too-large":
            self.ask_less(site)
        elif word == "later":
            self.clone.trouble(site)
        else:
            for root in roots:
                self.wait(site, root, word)

    def failed(self, site, failure):
        if isinstance(failure, Unsigned) and failure.args[0] == 413:
            self.ask_less(site)
        else:
            self.clone.trouble(site)

    def ask_less(self, site):
        """FETCH-46."""
        items, size = self.amount.get(site, (BUNDLE, AT_ONCE))
        self.amount[site] = (max(items // 2, 1), max(size // 2, 1 << 16))
        if (items, size) == self.amount[site]:
            self.clone.trouble(site)


def digests_of(row):
    """The digests of a content's chunks, or None before its pages came."""
    if row["digests"]:
        return split(row["digests"])
    return [row["root"]] if chunk_count(row["size"]) == 1 else None


def order(row):
    """FETCH-55: the small before the large, and of like sizes what was edited last first."""
    entry = Entry("", row["is_dir"])
    from store import unpack

    entry.fields = unpack(row["fields"])
    edited = entry.value("mtime") or entry.value("edited")
    age = -edited if isinstance(edited, int) else 0
    return row["size"].bit_length(), age, [255 - byte for byte in str(edited).encode()]
