"""What is to be told to one hub: introductions, challenges, operations, reports, and comparing (sync.md, audit.md).

Invariant: what waits for a hub leaves the store when the hub has answered for it, and not before (SYNC-30).
"""

import secrets
import time

import msgpack

from calls import FAILURES, statuses_of
from refusals import Refused, again, need
from store import pack
from trie import compare

A_DAY = 86_400_000
ROOM = 800_000


class Courier:
    def __init__(self, clone):
        self.clone, self.store, self.hubs = clone, clone.store, clone.hubs
        self.calls, self.catalog = clone.calls, clone.catalog
        self.greeted, self.compared = set(), {}  # when to compare again, and how often it has differed

    def step(self, site):
        """Does one thing for a hub; whether there was anything to do."""
        if self.calls.paused(site) or self.hubs.gone(site) and self.hubs.get(site)["state"] != "met":
            return False
        try:
            return self.one(site)
        except Refused as refusal:
            self.clone.say(f"{site[:8]}: {refusal}")
            if refusal.word == "not-a-clone" or again(refusal.code) != "later":
                self.greeted.discard(site)
            self.clone.trouble(site)
        except FAILURES as failure:
            self.clone.say(f"{site[:8]}: {failure!r}")
            self.clone.trouble(site)
        return True

    def one(self, site):
        state = self.hubs.get(site)["state"]
        if state == "met":
            return self.introduce(site)
        if state == "pending":
            return self.challenge(site)
        if site not in self.greeted:
            return self.greet(site)
        return self.deliver(site) or self.report(site) or self.catch_up(site)

    # Coming in

    def introduce(self, site):
        """Steps 1 and 2 of `Introduction and challenge`."""
        answer = self.calls.ask(site, "locations", introduce=True, **self.hubs.records(self.clone.location()))
        need(answer["type"] == "locations", "locations", "unavailable")
        self.hubs.take_answer(answer, site)
        row = self.hubs.get(site)
        if not row["signed"] or row["deleted"]:  # the document was not what the channel says
            self.store.run("DELETE FROM hubs WHERE site = ?", site)
            raise Refused("bad-location", "the hub's own record is missing")
        self.store.run("UPDATE hubs SET state = 'pending' WHERE site = ?", site)
        return True

    def challenge(self, site):
        """ID-13, ID-14."""
        nonce = secrets.token_bytes(32)
        self.store.run("UPDATE hubs SET failed = 1 WHERE site = ?", site)
        answer = self.calls.ask(site, "challenge", introduce=True, nonce=nonce)
        need(answer["type"] == "challenge" and answer["nonce"] == nonce, "the nonce", "challenge-failed")
        with self.store.change():
            self.store.run("UPDATE hubs SET state = 'listed', failed = 0, audited = 0 WHERE site = ?", site)
            for row in self.store.all("SELECT resource, role, root FROM contents WHERE state = 'held'"):
                self.catalog.report(*row, sites=[site])
        self.clone.troubles.pop(site, None)
        return True

    def greet(self, site):
        """QUEUE-14."""
        answer = self.calls.ask(site, "locations", introduce=True, **self.hubs.records(self.clone.location()))
        need(answer["type"] == "locations", "locations", "unavailable")
        self.hubs.take_answer(answer, site)
        self.greeted.add(site)
        return True

    # Telling

    def deliver(self, site):
        """What waits for one clone goes together (SYNC-3, SYNC-30)."""
        rows = self.store.all("SELECT * FROM operations WHERE site = ? ORDER BY number LIMIT 256", site)
        operations, told, used = [], [], 0
        for row in rows:
            made = self.catalog.operations(row["resource"], row["op"], row["id"])
            size = len(msgpack.packb(made))
            if operations and (used + size > ROOM or len(operations) + len(made) > 256):
                break
            operations += made
            told += [(row, number == len(made) - 1) for number in range(len(made))]
            used += size
        if not operations:
            return False
        answer = statuses_of(self.calls.ask(site, "clone-sync", operations=operations), len(operations))
        with self.store.change():
            for (row, last), one in zip(told, answer):
                need(one["id"] == row["id"], "another operation", "unavailable")
                if last:
                    self.answered(site, row, one)
        self.clone.troubles.pop(site, None)
        return True

    def answered(self, site, row, one):
        """SYNC-29, SYNC-32."""
        if one["status"] not in ("stored", "duplicate"):
            self.store.run(
                "INSERT INTO said (site, resource, status, code) VALUES (?, ?, ?, ?)",
                site, row["resource"], one["status"], one.get("code"),
            )  # fmt: skip
        if one["status"] == "refused" and again(one["code"]) != "never":
            self.clone.trouble(site)
        else:
            self.store.run("DELETE FROM operations WHERE number = ?", row["number"])

    def report(self, site):
        """SYNC-31."""
        rows = self.store.all("SELECT * FROM reports WHERE site = ? ORDER BY number LIMIT 4096", site)
        if not rows:
            return False
        present = [{name: row[name] for name in ("resource", "role", "root")} for row in rows]
        answer = self.calls.ask(site, "sync-report", present=present)
        need(answer["type"] == "sync-report", "no report", "unavailable")
        self.store.run("DELETE FROM reports WHERE site = ? AND number <= ?", site, rows[-1]["number"])
        return True

    # Comparing

    def catch_up(self, site):
        """AUDIT-12, AUDIT-13."""
        due, count = self.compared.get(site, (0, 0))
        if self.hubs.get(site)["audited"] > self.clone.clock() - A_DAY or due > time.monotonic():
            return False
        theirs, ours = self.audit(site, repair=True)
        if not theirs and not ours:
            self.store.run("UPDATE hubs SET audited = ? WHERE site = ?", self.clone.clock(), site)
            self.compared.pop(site, None)
            return False
        self.compared[site] = (time.monotonic() + min(self.clone.pause * 2**count, 3600), min(count + 1, 12))
        return True

    def audit(self, site, repair):
        """What both say differently, as two maps of keys; with `repair`, both sides get what they lack (AUDIT-9 to 11)."""

        def ask(ranges):
            answer = self.calls.ask(site, "audit-request", ranges=ranges)
            need(answer["type"] == "audit-page", "no page", "unavailable")
            return answer["ranges"]

        theirs, ours = compare(self.catalog.leaves(), ask)
        if repair:
            self.bring(site, list(theirs))
            with self.store.change():
                now = dict(self.catalog.leaves().leaves)
                behind = [key for key in theirs | ours if key in now and now[key] != theirs.get(key)]
                for resource in sorted({self.catalog.resource_of(key) for key in behind}):
                    entry = self.catalog.entry(resource)
                    self.catalog.announce(resource, "remove" if entry.removed and entry.gone else "put", [site])
        return theirs, ours

    def bring(self, site, keys):
        """Entries by their keys, merged like delivered ones; what did not fit is asked for again."""
        waiting = list(keys)
        while waiting:
            asked, waiting = waiting[:256], waiting[256:]
            answer = self.calls.ask(site, "entry-request", keys=asked)
            need(answer["type"] == "clone-sync", "no operations", "unavailable")
            came = set()
            with self.store.change():
                for op in answer["operations"]:
                    self.catalog.apply(op, site)
                    came.add(len(came))
            if len(came) < len(asked) and len(pack(answer["operations"])) > ROOM // 2:
                waiting = asked[len(came) :] + waiting
