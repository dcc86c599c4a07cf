"""Calls to other hubs: connections, signed packets, answers that are believed, clocks, and pauses.

Invariant: nothing is sent to a hub before a pause that it asked for is over (FETCH-44, QUEUE-12).
"""

import contextlib
import http.client
import ipaddress
import os
import socket
import ssl
import threading
import time
import urllib.parse

import msgpack

from addresses import allowed
from packets import LIFETIME, MAX_PACKET, check_fields, new_id, open_packet, seal
from refusals import WORDS, Refused, need
from store import pack

PACKET_TYPE = "application/x-zot+msgpack"
LONGEST_PAUSE = 600
A_DAY = 86_400_000


class Unsigned(Exception):
    """An answer that nobody signed: status, content type, and the beginning of what came (QUEUE-13)."""


class Lost(Exception):
    """No answer, or one that was cut."""


FAILURES = (Unsigned, Lost)


class Calls:
    """`clock` gives the time in ms as this clone sees it; `networks` are those that may be called besides public ones."""

    def __init__(self, store, hubs, channel, site_key, site_id, location, clock, networks):
        self.store, self.hubs, self.channel, self.clock = store, hubs, channel, clock
        self.site_key, self.site_id, self.location = site_key, site_id, location
        self.networks = [ipaddress.ip_network(network) for network in networks]
        self.timeout = float(os.environ.get("PEER_TIMEOUT_S", "20"))
        self.pauses, self.lock = {}, threading.Lock()

    # Pauses

    def pause(self, site, seconds):
        with self.lock:
            until = time.monotonic() + min(seconds, LONGEST_PAUSE)
            self.pauses[site] = max(until, self.pauses.get(site, 0))

    def paused(self, site):
        return self.pauses.get(site, 0) > time.monotonic()

    def heed(self, site, response):
        """`Retry-After`, whoever says so."""
        seconds = (response.getheader("Retry-After") or "").strip()
        if response.status in (429, 503) and seconds.isascii() and seconds.isdigit():
            self.pause(site, int(seconds))

    # Connections

    @contextlib.contextmanager
    def open(self, site, method, path, data=None, headers=()):
        """An HTTP exchange: the response, not read yet. What is left of it at the end is cut off."""
        try:
            connection = self.connect(self.hubs.get(site)["url"], self.timeout)
        except (OSError, ValueError) as error:
            raise Lost(str(error)) from None
        try:
            kind = {"Content-Type": PACKET_TYPE} if data else {}
            connection.request(method, path, data, kind | dict(headers))
            response = connection.getresponse()
            self.heed(site, response)
            yield response
        except (OSError, http.client.HTTPException) as error:
            raise Lost(repr(error)) from None
        finally:
            connection.close()

    def connect(self, url, timeout):
        """The address that is checked is the one that is connected to; redirects are answers like any other (ID-15, ID-16)."""
        parts = urllib.parse.urlsplit(url)
        plain, host = parts.scheme == "http", parts.hostname
        port = parts.port or (80 if plain else 443)
        address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0]
        if not allowed(address, self.networks):
            raise OSError(f"{address} is not to be called")
        inside = any(ipaddress.ip_address(address.split("%")[0]) in network for network in self.networks)
        if plain and not (inside or ipaddress.ip_address(address).is_loopback):
            raise OSError("plain HTTP to another machine")
        sock = socket.create_connection((address, port), timeout)
        if plain:
            connection = http.client.HTTPConnection(host, port, timeout=timeout)
        else:
            context = ssl.create_default_context()
            sock = context.wrap_socket(sock, server_hostname=host)
            connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
        connection.sock = sock
        return connection

    # Packets

    def offset(self, site):
        row = self.hubs.get(site)
        return row["offset"] if row else 0

    def packet(self, site, kind, to=None, at=None, answers=None, introduce=False, **fields):
        """A signed packet to a hub, and its id (SIGN-7, SIGN-16)."""
        at = self.clock() + self.offset(site) if at is None else at
        body = {
            "type": kind, "id": new_id(), "from": {"hub": self.site_id, "channel": self.channel},
            "to": to or {"hub": site, "channel": self.channel}, "at": at, "expires": at + LIFETIME,
        }  # fmt: skip
        if answers is not None:
            body["answers"] = answers
        packed = msgpack.packb(body | fields)
        location = None
        if introduce:
            rotations = self.hubs.rotations()
            location = self.location() | ({"rotations": rotations} if rotations else {})
        return body["id"], seal(self.site_key, self.site_id, packed, location)

    def read_answer(self, site, response, data, request_id):
        """The body of a packet that answers `request_id` (SIGN-11); a signed refusal is raised."""
        if response.getheader("Content-Type") != PACKET_TYPE:
            raise Unsigned(response.status, response.getheader("Content-Type"), data[:200])
        try:
            body = open_packet(data, lambda site_id, _: self.hubs.key(site_id))
            mine = body["to"] == {"hub": self.site_id, "channel": self.channel}
            need(mine and body["from"]["hub"] == site and body.get("answers") == request_id, "no answer")
            check_fields(body, answer=True)
            if body["type"] != "refusal":
                need(response.status == 200, f"status {response.status}")
        except Refused as refusal:
            raise Unsigned(response.status, str(refusal), data[:200]) from None
        if body["type"] != "refusal":
            return body
        raise self.refusal(site, body, response.status)

    def refusal(self, site, body, status):
        word = WORDS.get(body["code"], "unavailable")
        refusal = Refused(word, body["text"], signed=True)
        refusal.code, refusal.clock, refusal.status = body["code"], body["clock"], status
        if (body.get("retry_after") or 0) > 0:
            self.pause(site, body["retry_after"])
        return refusal

    def exchange(self, site, data, request_id, headers=()):
        with self.open(site, "POST", "/zot", data, headers) as response:
            return self.read_answer(site, response, response.read(MAX_PACKET + 1), request_id)

    def ask(self, site, kind, introduce=False, **fields):
        """A packet and its answer; once more where only the clock was wrong (SIGN-10, SIGN-16)."""
        for last in (False, True):
            request_id, data = self.packet(site, kind, introduce=introduce, **fields)
            try:
                return self.exchange(site, data, request_id)
            except Refused as refusal:
                if last or not self.believe_clock(site, refusal):
                    raise

    def believe_clock(self, site, refusal):
        if refusal.word != "stale":
            return False
        difference = refusal.clock - self.clock()
        if abs(difference) > A_DAY or difference == self.offset(site):
            return False
        self.store.run("UPDATE hubs SET offset = ? WHERE site = ?", difference, site)
        return True


def statuses_of(report, count):
    """The elements of a report on `count` operations (SYNC-8)."""
    found = report.get("operations") or []
    if report["type"] != "sync-report" or len(found) != count:
        raise Unsigned(200, PACKET_TYPE, pack(len(found)))
    return found
