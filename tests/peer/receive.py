"""Takes packets: checks them in their order, remembers what was answered, and answers (SIGN-14).

Owns the memory of packet ids. Invariant: the effects of a packet and the memory of its answer are one transaction.
"""

import base64
import binascii

from calls import PACKET_TYPE
from packets import SIGNED_INTRODUCTION, check_dates, check_fields, open_packet
from refusals import Refused, hint, need
from shapes import unpack_map

KEPT = 300_000
CHANGING = {"clone-sync", "sync-report", "locations"}


class Receiver:
    def __init__(self, clone):
        self.clone, self.store, self.hubs = clone, clone.store, clone.hubs

    def receive(self, data, headers=None):
        """A packet that came by POST: status, content type and body of the answer."""
        try:
            body, introduced = self.open(data)
        except Refused as refusal:
            return hint(refusal)
        try:
            with self.store.change():
                return self.answer(body, introduced, headers or {})
        except Refused as refusal:
            return self.refuse(body, refusal)

    def open(self, data):
        """Every check before the sender is certain; an introduction that holds is kept with the packet."""
        found = []

        def key_for(site, location):
            row, signed = self.hubs.get(site), None
            if location is not None and (row is None or self.hubs.gone(site)):
                signed = unpack_map(location)
                SIGNED_INTRODUCTION(signed)
            if row is not None and row["pem"]:
                if signed is not None:
                    try:
                        found.append(self.hubs.open_introduction(signed, site))
                    except Refused:
                        pass
                return self.hubs.key(site)
            need(signed is not None, "", "unknown-location")
            found.append(self.hubs.open_introduction(signed, site))
            return found[0].key

        body = open_packet(data, key_for)
        need(body["to"]["hub"] == self.clone.site_id, "", "not-for-me")
        same = found and body["from"]["channel"] == self.clone.channel
        need(same or not found or self.hubs.get(body["from"]["hub"]), "another channel", "unknown-location")
        return body, found[0] if same else None

    def check(self, body):
        """Dates, repeats, fields: the answer that was given before, or None."""
        now = self.clone.clock()
        check_dates(body, now)
        known = self.store.one("SELECT answer FROM packets WHERE hub = ? AND id = ?", body["from"]["hub"], body["id"])
        if known:
            return known["answer"]
        need(body["expires"] > int(self.store.fact("forgotten", 0)), "its memory is gone", "stale")
        check_fields(body)
        return None

    def answer(self, body, introduced, headers):
        known = self.check(body)
        if known is not None:
            return 200, PACKET_TYPE, known
        site, kind = body["from"]["hub"], body["type"]
        need(body["to"]["channel"] == self.clone.channel, "", "unknown-channel")
        need(body["from"]["channel"] == self.clone.channel, "another channel", "not-a-clone")
        notice = self.hubs.notice(site)
        if introduced and not (notice and notice["removed"]):
            self.hubs.take(introduced)
        need(not self.hubs.gone(site) or self.hubs.get(site)["state"] == "met", "it has left", "not-a-clone")
        if kind == "chunk-request":
            self.need_listed(site)
            return self.clone.give.frames(body, headers)
        kind, fields = self.result(kind, body, site)
        _, answer = self.clone.calls.packet(site, kind, to=body["from"], answers=body["id"], **fields)
        if body["type"] in CHANGING:
            self.remember(body, answer)
        self.clone.news(site)
        return 200, PACKET_TYPE, answer

    def result(self, kind, body, site):
        clone = self.clone
        if kind == "challenge":
            return "challenge", {"nonce": body["nonce"]}
        if kind == "locations":
            self.hubs.take_packet(body, site)
            return "locations", self.hubs.records(clone.location())
        self.need_listed(site)
        if kind == "clone-sync":
            return "sync-report", {"operations": [clone.catalog.apply(op, site) for op in body["operations"]]}
        if kind == "sync-report":
            for one in body.get("present") or []:
                clone.catalog.note_holder(site, one["resource"], one["role"], one["root"])
            return "sync-report", {}
        if kind == "manifest-request":
            return "manifest-page", clone.give.pages(body["items"])
        if kind == "audit-request":
            return "audit-page", {"ranges": clone.catalog.leaves().page(body["ranges"])}
        if kind == "entry-request":
            return "clone-sync", {"operations": clone.give.entries(body["keys"])}
        raise Refused("bad-field" if kind == "stream-request" else "unknown-type", "not by POST", signed=True)

    def need_listed(self, site):
        word = "challenge-failed" if self.hubs.get(site)["failed"] else "not-a-clone"
        need(self.hubs.listed(site), "not listed yet", word)

    def remember(self, body, answer):
        """SIGN-8, SIGN-12."""
        self.store.run("INSERT INTO packets VALUES (?, ?, ?, ?)", body["from"]["hub"], body["id"], body["expires"], answer)
        self.forget()

    def forget(self):
        """What can be presented by nobody any more, and how far that goes."""
        limit = self.clone.clock() - KEPT
        old = self.store.one("SELECT max(expires) AS latest FROM packets WHERE expires < ?", limit)
        if old["latest"] is not None:
            self.store.set_fact("forgotten", max(old["latest"], int(self.store.fact("forgotten", 0))))
            self.store.run("DELETE FROM packets WHERE expires < ?", limit)

    def refuse(self, body, refusal):
        told = {"code": refusal.code, "text": refusal.text, "clock": self.clone.clock()}
        site = body["from"]["hub"]
        answer = self.clone.calls.packet(site, "refusal", to=body["from"], answers=body["id"], **told)[1]
        return refusal.http, PACKET_TYPE, answer

    def stream(self, authorization, path, headers):
        """A GET below /zot/file/ (STREAM-1 to STREAM-6)."""
        try:
            body, _ = self.open(packet_of(authorization))
        except Refused as refusal:
            return hint(refusal)
        try:
            with self.store.change():
                self.check(body)
                need(body["type"] == "stream-request", "no stream-request")
                need(body["to"]["channel"] == self.clone.channel, "", "unknown-channel")
                need(body["from"]["channel"] == self.clone.channel, "another channel", "not-a-clone")
                self.need_listed(body["from"]["hub"])
                return self.clone.give.stream(body, path, headers)
        except Refused as refusal:
            return self.refuse(body, refusal)


def packet_of(authorization):
    """The packet in an `Authorization` header (STREAM-1)."""
    word, _, packet = (authorization or "").partition(" ")
    need(word == "Zot", "no packet", "unknown-location")
    need(packet and "=" not in packet, "no packet", "malformed")
    try:
        return base64.b64decode(packet + "=" * (-len(packet) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Refused("malformed", "no base64url") from None
