"""One clone of a channel: its parts, its threads, and what is kept over a stop.

Owns the folder of a clone: `clone.sqlite`, `whole/`, `parts/`, and the two private keys. Invariant: it can be killed at
any moment; a stop in order is noted, so that nothing is read back without need (FETCH-34, FETCH-35).
"""

import json
import os
import pathlib
import random
import secrets
import signal
import sys
import threading
import time

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from blobs import Blobs
from calls import FAILURES, Calls, Lost
from catalog import Catalog
from courier import Courier
from download import document_of
from edits import Edits
from fetch import Fetcher
from give import Give
from hubs import Hubs, own_site_id
from identity import id_of, make_location, normal_url, pem_of
from receive import Receiver
from refusals import Refused
from store import Store, pack, unpack

LOOPBACK = ("127.0.0.0/8", "::1/128")


def load_key(path):
    return serialization.load_pem_private_key(pathlib.Path(path).read_bytes(), None)


def save_key(path, key):
    kind, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.touch(0o600)
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, kind, plain))


def init(folder, url, channel_key, guid, hub=None, quota=None):
    """Makes the folder of a new clone (ID-1 to ID-7, ID-20)."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # 2048 bits are made quickly; a hub that lasts should take 4096 (ID-6).
    site_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    save_key(folder / "channel.pem", channel_key)
    save_key(folder / "site.pem", site_key)
    store, replica, url = Store(folder / "clone.sqlite"), secrets.token_bytes(8), normal_url(url)
    channel = id_of(guid, pem_of(channel_key))
    location = make_location(channel_key, channel, site_key, url, replica, serial=time.time_ns() // 1_000_000)
    with store.change():
        facts = {"url": url, "guid": guid, "hub": hub, "replica": replica, "location": pack(location), "quota": quota}
        for name, value in facts.items():
            store.set_fact(name, value)
    store.close()


class Clone:
    def __init__(self, folder, log=None):
        folder = self.folder = pathlib.Path(folder)
        channel_key, self.site_key = load_key(folder / "channel.pem"), load_key(folder / "site.pem")
        self.store, self.log = Store(folder / "clone.sqlite"), log
        self.url, self.first = self.store.fact("url"), pem_of(channel_key)
        self.channel = id_of(self.store.fact("guid"), self.first)
        self.site_id = own_site_id(self.url, self.site_key)
        self.skew = int(os.environ.get("PEER_CLOCK_MS", "0"))
        self.streams = os.environ.get("PEER_STREAMS", "1") == "1"
        self.pause = float(os.environ.get("PEER_PAUSE_S", "1"))
        self.dies_after = int(os.environ.get("PEER_DIES_AFTER", "0"))
        self.stopping, self.condition = threading.Event(), threading.Condition()
        self.progress, self.troubles, self.threads = 0, {}, {}
        self.blobs, self.hubs = Blobs(folder), Hubs(self.store, self.channel, self.first, self.site_id)
        networks = os.environ.get("PEER_NETWORKS", ",".join(LOOPBACK)).split(",")
        self.calls = Calls(
            self.store, self.hubs, self.channel, self.site_key, self.site_id, self.location, self.clock, networks
        )
        self.catalog = Catalog(self.store, self.blobs, self.clock, self.store.fact("quota"))
        self.edits = Edits(self.catalog, self.store.fact("replica"), self.clock)
        self.give, self.receiver = Give(self), Receiver(self)
        self.courier, self.fetcher = Courier(self), Fetcher(self)

    def clock(self):
        return time.time_ns() // 1_000_000 + self.skew

    def location(self):
        return unpack(self.store.fact("location"))

    def say(self, line):
        if self.log:
            print(line, file=self.log, flush=True)

    def document(self):
        """PKT-14."""
        return json.dumps({
            "protocol": "zot-file", "versions": [1], "algorithms": ["rsa-sha256"], "site_id": self.site_id,
            "url": self.url, "site_key": pem_of(self.site_key), "packets": "/zot",
            "streams": "/zot/file/{resource}/{role}/{root}", "max_packet": 1 << 20,
            "operations": ["put", "place", "meta", "remove"], "software": "the peer of the specification",
        }).encode()  # fmt: skip

    def die_if_told(self):
        """For a test: a kill at a known moment."""
        if self.dies_after and self.progress >= self.dies_after:
            os.kill(os.getpid(), signal.SIGKILL)

    # Running

    def news(self, site=None):
        """Something may be done now; by a packet of `site`, for what waits for it (QUEUE-15)."""
        with self.condition:
            self.condition.notify_all()

    def trouble(self, site):
        """A pause after a failure, twice as long after each further one (QUEUE-4)."""
        count = self.troubles[site] = min(self.troubles.get(site, 0) + 1, 12)
        self.calls.pause(site, min(self.pause * 2**count, 3600) * random.uniform(0.5, 1))

    def begin(self):
        clean = bool(self.store.fact("clean", 1))
        self.store.set_fact("clean", 0)
        if not clean:
            self.store.run("UPDATE hubs SET audited = 0")
        self.fetcher.begin(clean)

    def run(self, server):
        """Until `stopping` is set: threads for every hub that is known."""
        while not self.stopping.is_set():
            self.find_first()
            for row in self.store.all("SELECT site FROM hubs WHERE NOT deleted AND state != 'named'"):
                for number, step in enumerate((self.courier.step, self.fetcher.step, self.fetcher.step)):
                    name = (row["site"], number)
                    if name not in self.threads or not self.threads[name].is_alive():
                        self.threads[name] = threading.Thread(target=self.work, args=(step, row["site"]), daemon=True)
                        self.threads[name].start()
            self.stopping.wait(0.2)
        server.shutdown()
        self.news()
        for thread in self.threads.values():
            thread.join(30)
        if not any(thread.is_alive() for thread in self.threads.values()):
            self.fetcher.commit()
            self.store.set_fact("clean", 1)

    def find_first(self):
        """Step 0 of `Introduction and challenge`: the one hub that a person named."""
        url = self.store.fact("hub")
        if not url or self.store.one("SELECT 1 FROM hubs") or self.calls.paused(url):
            return
        # A row that only has an address, so that the document can be asked for.
        self.store.run("INSERT INTO hubs (site, url, deleted, state) VALUES ('', ?, 0, 'named')", normal_url(url))
        try:
            document = document_of(self.calls, "")
            self.hubs.meet(document, normal_url(url))
        except (*FAILURES, Refused, Lost, ValueError, KeyError, TypeError) as error:
            self.say(f"{url}: {error!r}")
            self.trouble(url)
        finally:
            self.store.run("DELETE FROM hubs WHERE site = ''")

    def work(self, step, site):
        """Until the clone stops or the hub leaves."""
        while not self.stopping.is_set():
            try:
                if self.hubs.get(site) is None or self.hubs.get(site)["deleted"]:
                    return
                if step(site):
                    continue
            except Exception as error:
                self.say(f"{site[:8]}: {error!r}")
                print(f"a step failed: {error!r}", file=sys.stderr, flush=True)
                self.trouble(site)
            with self.condition:
                self.condition.wait(0.3)
