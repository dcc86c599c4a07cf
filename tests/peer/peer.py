"""A clone of one channel, as small as it can be: it introduces itself to a hub, answers on its own HTTP server,
keeps what is announced to it, and asks.

Its catalog lives in memory, which no real hub could afford (PKT-12): this one ends with the test.
"""

import contextlib
import http.client
import http.server
import secrets
import threading
import urllib.parse

import msgpack
from cryptography.hazmat.primitives.asymmetric import rsa

import wire
from wire import Refused, need

PACKET_TYPE = "application/x-zot+msgpack"
WORDS = {code: word for word, (code, _) in wire.CODES.items()}


class Unsigned(Exception):
    """An answer that nobody signed: status, content type, and the beginning of what came."""


def hint(refusal):
    line = f"{refusal.code} {refusal.word}: {refusal.text or 'refused'}\n"
    return refusal.http, "text/plain", line.encode()


class Peer:
    """One location of a channel, and the hub that it talks to."""

    def __init__(self, channel_key, guid, hub_url, own_url):
        self.channel_key, self.channel = channel_key, wire.id_of(guid, wire.pem_of(channel_key))
        self.hub_url, self.url = hub_url, own_url
        # 2048 bits are made quickly; a hub that lasts should take 4096 (ID-6).
        self.site_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.site_id = wire.id_of(own_url, wire.pem_of(self.site_key))
        self.replica = secrets.token_bytes(8)
        self.location = self.make_location()
        self.hub_id = None
        self.known, self.listed = {}, set()  # keys by site id; those that answered their challenge
        self.answered = {}  # SIGN-8: the answers to packets that changed something
        self.entries, self.announced = {}, {}  # rows by resource; contents to fetch: (path, data) by resource
        self.news = threading.Condition()

    def make_location(self):
        record = {
            "channel": self.channel, "url": self.url, "site_key": wire.pem_of(self.site_key), "replica": self.replica,
            "primary": False, "deleted": False, "serial": wire.now_ms(),
        }  # fmt: skip
        record = msgpack.packb(record)
        statement = wire.location_text(record)
        return {
            "record": record,
            "channel_sig": wire.sign(self.channel_key, statement),
            "site_sig": wire.sign(self.site_key, statement),
        }

    # Asking

    def packet(self, kind, to=None, at=None, answers=None, introduce=False, **fields):
        """A signed packet to the hub, and its id."""
        at = wire.now_ms() if at is None else at
        body = {
            "type": kind, "id": wire.new_id(), "from": {"hub": self.site_id, "channel": self.channel},
            "to": to or {"hub": self.hub_id, "channel": self.channel}, "at": at, "expires": at + wire.LIFETIME,
        }  # fmt: skip
        if answers is not None:
            body["answers"] = answers
        packed = msgpack.packb(body | fields)
        return body["id"], wire.seal(self.site_key, self.site_id, packed, self.location if introduce else None)

    @contextlib.contextmanager
    def open(self, method, path, data=None, headers=()):
        """An HTTP exchange: the response, not read yet. What is left of it at the end is cut off."""
        parts = urllib.parse.urlsplit(self.hub_url)
        plain = parts.scheme == "http"
        kind = http.client.HTTPConnection if plain else http.client.HTTPSConnection
        connection = kind(parts.hostname, parts.port, timeout=60)
        try:
            connection.request(method, path, data, ({"Content-Type": PACKET_TYPE} if data else {}) | dict(headers))
            yield connection.getresponse()
        finally:
            connection.close()

    def read_answer(self, response, data, request_id):
        """The body of a packet that answers `request_id` (SIGN-11); a signed refusal is raised."""
        if response.getheader("Content-Type") != PACKET_TYPE:
            raise Unsigned(response.status, response.getheader("Content-Type"), data[:200])
        body = wire.open_packet(data, lambda site_id, _: self.key_of(site_id))
        mine = body["to"] == {"hub": self.site_id, "channel": self.channel}
        need(mine and body["from"]["hub"] == self.hub_id and body.get("answers") == request_id, "no answer")
        wire.check_fields(body)
        if body["type"] == "refusal":
            word = WORDS.get(body["code"], "unavailable")
            need(response.status == wire.CODES[word][1], f"status {response.status} with {word}")
            refusal = Refused(word, body["text"], signed=True)
            refusal.clock = body["clock"]
            raise refusal
        need(response.status == 200, f"status {response.status}")
        return body

    def exchange(self, data, request_id, headers=()):
        with self.open("POST", "/zot", data, headers) as response:
            return self.read_answer(response, response.read(), request_id)

    def ask(self, kind, introduce=False, **fields):
        request_id, data = self.packet(kind, introduce=introduce, **fields)
        return self.exchange(data, request_id)

    # Coming in

    def meet(self, document):
        """Takes url and key out of a capability document for a hint; `introduce` proves them."""
        need(document["protocol"] == "zot-file" and 1 in document["versions"], "the protocol")
        need(document["url"] == self.hub_url, "the hub's URL")
        self.hub_id = wire.id_of(document["url"], document["site_key"])
        need(self.hub_id == document["site_id"], "the hub's site id")
        self.known[self.hub_id] = wire.public_key(document["site_key"])

    def introduce(self):
        """Steps 1 and 3 of `Introduction and challenge`."""
        answer = self.ask("locations", introduce=True, records=[self.location])
        need(answer["type"] == "locations", "locations")
        public = self.channel_key.public_key()
        found = [wire.open_location(signed, self.channel, public) for signed in answer["records"]]
        need(any(site_id == self.hub_id and not record["deleted"] for record, _, site_id in found), "the hub's record")
        self.challenge()
        return [record["url"] for record, _, _ in found]

    def challenge(self):
        nonce = secrets.token_bytes(32)
        answer = self.ask("challenge", introduce=True, nonce=nonce)
        need(answer["type"] == "challenge" and answer["nonce"] == nonce, "the nonce", "challenge-failed")
        self.listed.add(self.hub_id)

    def key_of(self, site_id):
        need(site_id in self.known, "", "unknown-location")
        return self.known[site_id]

    # Being asked

    def key_for(self, site_id, location):
        """SIGN-3, ID-21."""
        if site_id not in self.known and location is not None:
            signed = wire.unpack_map(location)
            record, key, found = wire.open_location(signed, self.channel, self.channel_key.public_key())
            need(found == site_id and not record["deleted"], "another hub's record", "unknown-location")
            self.known[site_id] = key
        return self.key_of(site_id)

    def receive(self, data):
        """A packet that came: status, content type and bytes of the answer (SIGN-14)."""
        try:
            body = wire.open_packet(data, self.key_for)
            need(body["to"]["hub"] == self.site_id, "", "not-for-me")
        except Refused as refusal:
            return hint(refusal)
        back = {"to": body["from"], "answers": body["id"]}
        with self.news:
            try:
                wire.check_dates(body, wire.now_ms())
                if body["id"] in self.answered:
                    return 200, PACKET_TYPE, self.answered[body["id"]]
                wire.check_fields(body)
                kind, fields = self.answer(body)
            except Refused as refusal:
                told = {"code": refusal.code, "text": refusal.text, "clock": wire.now_ms()}
                return refusal.http, PACKET_TYPE, self.packet("refusal", **back, **told)[1]
            answer = self.packet(kind, **back, **fields)[1]
            if kind == "sync-report":
                self.answered[body["id"]] = answer
            self.news.notify_all()
        return 200, PACKET_TYPE, answer

    def answer(self, body):
        kind, sender = body["type"], body["from"]["hub"]
        need(body["to"]["channel"] == self.channel, "", "unknown-channel")
        need(body["from"]["channel"] == self.channel, "another channel", "not-a-clone")
        if kind == "challenge":
            return "challenge", {"nonce": body["nonce"]}
        if kind == "locations":
            return "locations", {"records": [self.location]}
        need(sender in self.listed, "not listed yet", "not-a-clone")
        if kind == "clone-sync":
            return "sync-report", {"operations": [self.apply(op) for op in body["operations"]]}
        if kind == "sync-report":
            return "sync-report", {}
        raise Refused("unavailable", "this clone gives nothing")

    def apply(self, op):
        """What becomes of one operation (SYNC-15, SYNC-16, SYNC-28)."""
        try:
            rows = wire.check_operation(op)
            # This clone fetches; it does not follow moves and removals.
            need(op["op"] == "put", op["op"], "unsupported-operation")
            for row in rows:
                held = self.entries.get(row["hash"])
                need(held is None or bool(held["is_dir"]) == bool(row["is_dir"]), "a folder and a file")
        except Refused as refusal:
            return {"id": op["id"], "status": "refused", "code": refusal.code}
        changed, lost = False, False
        for row, part in zip(rows, op["attach"]):
            held = self.entries.setdefault(row["hash"], {"is_dir": row["is_dir"]})
            for register in ("place", "meta", "content"):
                new, old = part.get(register), held.get(register)
                if new is None:
                    continue
                held[register], taken = wire.merge(old, new) if old else (new, True)
                changed |= held[register] != old
                if register == "content":
                    lost = not taken and new != old
                    if taken and row is rows[-1]:
                        path = "/".join(row["filename"] for row in rows)
                        self.announced[row["hash"]] = (path, op["data"])
        return {"id": op["id"], "status": "superseded" if lost else "stored" if changed else "duplicate"}

    def serve(self, address):
        """The HTTP server, on a thread of its own."""
        peer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                length = int(self.headers.get("Content-Length") or 0)
                if self.path != "/zot" or self.headers.get("Content-Type") != PACKET_TYPE:
                    answer = (404, "text/plain", b"packets go to /zot\n")
                elif length > wire.MAX_PACKET:
                    answer = hint(Refused("too-large"))
                else:
                    answer = peer.receive(self.rfile.read(length))
                status, kind, data = answer
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(address, Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server
