"""The locations of the channel: who is known, introduced, listed or gone, and the keys that count (identity.md).

Owns the records, rotations and notices. Not here: challenges (courier.py) and packets (receive.py).
"""

import contextlib

from identity import Chain, Rotation, id_of, notice_replaces, pem_of, public_key
from refusals import Refused, need
from shapes import unpack_map
from store import pack, unpack


def big(number):
    """Serials have 64 bits without a sign, SQLite's integers have one."""
    return number.to_bytes(8, "big")


class Hubs:
    def __init__(self, store, channel, first_pem, own_site):
        self.store, self.channel, self.first, self.own = store, channel, first_pem, own_site

    def chain(self, more=()):
        known = [unpack(row["signed"]) for row in self.store.all("SELECT * FROM rotations ORDER BY number")]
        return Chain(self.channel, self.first, [Rotation(one, self.channel) for one in known] + list(more))

    def rotations(self):
        return [unpack(row["signed"]) for row in self.store.all("SELECT * FROM rotations ORDER BY number")]

    def get(self, site):
        return self.store.one("SELECT * FROM hubs WHERE site = ?", site)

    def key(self, site):
        row = self.get(site)
        need(row is not None and row["pem"], "", "unknown-location")
        return public_key(row["pem"])

    def gone(self, site):
        """ID-17, ID-28, ID-38."""
        notice = self.notice(site)
        row = self.get(site)
        return bool(notice and notice["removed"]) or row is None or bool(row["deleted"])

    def listed(self, site):
        row = self.get(site)
        return row is not None and row["state"] == "listed" and not self.gone(site)

    def all_listed(self):
        return [row for row in self.store.all("SELECT * FROM hubs WHERE state = 'listed'") if not self.gone(row["site"])]

    def notice(self, site):
        row = self.store.one("SELECT * FROM notices WHERE site = ?", site)
        if row is None:
            return None
        try:
            return self.chain().open_notice(unpack(row["signed"]))
        except Refused:  # a notice of an earlier key says nothing
            return None

    def open_introduction(self, signed, site):
        """The location in an envelope of a hub that is not known, or has left (ID-21, ID-34, ID-41)."""
        chain = self.chain()
        rotations = [Rotation(one, self.channel) for one in signed.get("rotations") or []]
        if rotations:
            other = Chain(self.channel, self.first, rotations)
            if chain.standing(other) in ("longer", "counts") and self.may_rotate(other, chain):
                chain = other
        try:
            location = chain.open_location(signed)
        except Refused as refusal:
            # A record of a channel that does not live here may hold for all that is known here (ID-21, SIGN-3).
            elsewhere = refusal.word == "bad-location" and channel_of(signed) != self.channel
            raise Refused("unknown-location", "a channel that does not live here") if elsewhere else refusal from None
        need(location.site_id == site and not location.deleted, "another hub's record", "unknown-location")
        return location

    def may_rotate(self, other, chain):
        """ID-30: the hub of what is new is listed."""
        known = {rotation.record for rotation in chain.rotations}
        return all(self.listed(one.site_id) for one in other.rotations if one.record not in known)

    def take(self, location, state="pending"):
        """Keeps a record that holds; a listed location stays listed under a newer one (ID-10)."""
        site, row = location.site_id, self.get(location.site_id)
        if site == self.own:
            return False
        held = (row["serial"], row["replica"]) if row and row["signed"] else None
        new = (big(location.serial), location.replica)
        if held is not None and new <= held:
            return False
        back = row is not None and row["deleted"] and not location.deleted
        kept = state if row is None or back else row["state"]
        values = (location.url, location.pem, pack(location.signed), *new, int(location.primary), int(location.deleted))
        self.store.run("INSERT OR IGNORE INTO hubs (site, state) VALUES (?, ?)", site, kept)
        self.store.run(
            "UPDATE hubs SET url=?, pem=?, signed=?, serial=?, replica=?, is_primary=?, deleted=?, state=? WHERE site=?",
            *values, kept, site,
        )  # fmt: skip
        if location.deleted:
            self.forget(site)
        return True

    def forget(self, site):
        for table in ("operations", "reports", "has"):
            self.store.run(f"DELETE FROM {table} WHERE site = ?", site)

    def take_packet(self, body, sender):
        """A `locations` packet that came: what does not hold in it refuses all of it (ID-8, ID-25, ID-36)."""
        with self.store.change():
            same = self.take_rotations(body.get("rotations") or [], sender)
            for signed, take in self.statements(body):
                try:
                    take(signed)
                except Refused:
                    if same:
                        raise

    def take_answer(self, body, sender):
        """A `locations` packet that answers one of ours: what does not hold in it is passed over."""
        with self.store.change():
            try:
                self.take_rotations(body.get("rotations") or [], sender)
            except Refused:
                return
            for signed, take in self.statements(body):
                with contextlib.suppress(Refused):
                    take(signed)

    def statements(self, body):
        chain = self.chain()
        for signed in body["records"]:
            yield signed, lambda signed: self.take(chain.open_location(signed))
        for signed in body.get("notices") or []:
            yield signed, lambda signed: self.take_notice(chain.open_notice(signed), signed)

    def take_rotations(self, signed, sender):
        """ID-25 to ID-30; whether the sender goes by the same chain as this clone does from now on."""
        other = Chain(self.channel, self.first, [Rotation(one, self.channel) for one in signed])
        chain = self.chain()
        standing = chain.standing(other)
        if standing in ("same", "shorter"):
            return True
        if standing == "rival" or not (self.listed(sender) or self.may_rotate(other, chain)):
            return False
        self.store.run("DELETE FROM rotations")
        for rotation in other.rotations:
            self.store.run("INSERT INTO rotations VALUES (?, ?)", rotation.number, pack(rotation.signed))
        for row in self.store.all("SELECT * FROM hubs WHERE signed IS NOT NULL"):
            try:
                other.open_location(unpack(row["signed"]))
            except Refused:  # put out (ID-28)
                self.store.run("UPDATE hubs SET deleted = 1 WHERE site = ?", row["site"])
                self.forget(row["site"])
        return True

    def take_notice(self, new, signed):
        if notice_replaces(new, self.notice(new["site"])):
            self.store.run("INSERT OR REPLACE INTO notices VALUES (?, ?)", new["site"], pack(signed))
            if new["removed"]:
                self.forget(new["site"])

    def records(self, own):
        """What a `locations` packet holds (ID-18, ID-34)."""
        rows = self.store.all("SELECT signed FROM hubs WHERE state = 'listed' AND signed IS NOT NULL LIMIT 63")
        packet = {"records": [own] + [unpack(row["signed"]) for row in rows]}
        if rotations := self.rotations():
            packet["rotations"] = rotations
        notices = []
        for row in self.store.all("SELECT * FROM notices LIMIT 64"):
            if self.notice(row["site"]):
                notices.append(unpack(row["signed"]))
        return packet | ({"notices": notices} if notices else {})

    def meet(self, document, url):
        """Address and key out of a capability document: a hint, which the channel's record has to prove (ID-18)."""
        need(document["protocol"] == "zot-file" and 1 in document["versions"], "the protocol")
        need(document["url"] == url, "the hub's URL")
        site = id_of(document["url"], document["site_key"])
        need(site == document["site_id"], "the hub's site id")
        public_key(document["site_key"])
        self.store.run(
            "INSERT OR IGNORE INTO hubs (site, url, pem, deleted, state) VALUES (?, ?, ?, 0, 'met')",
            site, document["url"], document["site_key"],
        )  # fmt: skip
        return site


def channel_of(signed):
    """The channel that a record names, whoever has signed it."""
    try:
        return unpack_map(signed["record"]).get("channel")
    except Refused:
        return None


def own_site_id(url, site_key):
    return id_of(url, pem_of(site_key))
