"""Peers that are broken on purpose: each has forgotten one rule of a receiver, and names the cases that must catch it.

Owns what each of them does. Not here: running them (mutants.py). `main.py run DIR --broken NAME` is such a peer.
"""

import contextlib
import urllib.parse

import calls
import catalog
import courier
import download
import fetch
import frames
import packets
import shapes

MUTANTS = {}


def mutant(*caught_by, control="fetch.announced-file"):
    """A function that breaks the parts of a clone; its name says how."""

    def known(function):
        MUTANTS[function.__name__.replace("_", "-")] = (function, caught_by, control)
        return function

    return known


@mutant("wrong.byte-once", "wrong.other-file")
def takes_any_bytes(_):
    fetch.leaf = lambda data: True
    fetch.digests_of = lambda row: dict.fromkeys(range(1 << 20), True)


@mutant("streams.redirect", "refused.redirect")
def follows_redirects(clone):
    honest = clone.calls.open

    @contextlib.contextmanager
    def follows(site, method, path, data=None, headers=()):
        with honest(site, method, path, data, headers) as response:
            to = response.getheader("Location")
            if response.status // 100 != 3 or not to:
                yield response
                return
        parts = urllib.parse.urlsplit(to)
        connection = clone.calls.connect(f"{parts.scheme}://{parts.netloc}", 5)
        connection.request(method, parts.path, data, ({"Content-Type": calls.PACKET_TYPE} if data else {}) | dict(headers))
        yield connection.getresponse()
        connection.close()

    clone.calls.connect = lambda url, timeout: calls.Calls.connect(clone.calls, url, timeout)
    clone.calls.open = follows


@mutant("refused.unsigned-unknown-resource", "refused.proxy-page")
def gives_up_for_an_unsigned_refusal(clone):
    clone.fetcher.failed = lambda site, failure: clone.calls.pause(site, 600)


@mutant("refused.answers-another", "refused.signed-by-another", "refused.replayed-answer")
def believes_a_refusal_of_anybody(clone):
    def read(site, response, data, request_id):
        body = packets.unpack_map(packets.unpack_map(data)["body"])
        raise clone.calls.refusal(site, body, response.status) if body["type"] == "refusal" else calls.Lost("no refusal")

    honest = clone.calls.read_answer

    def lenient(site, response, data, request_id):
        try:
            return honest(site, response, data, request_id)
        except calls.Unsigned:
            return read(site, response, data, request_id)

    clone.calls.read_answer = lenient
    clone.fetcher.refused = lambda site, roots, refusal: [clone.fetcher.wait(site, root, "never") for root in roots]


@mutant("refused.429-retry-after", "refused.signed-retry-after")
def does_not_wait(clone):
    clone.calls.pause = lambda site, seconds: None


@mutant("resume.cut", "resume.limit")
def begins_anew_after_each_cut(_):
    honest = download.Download.present

    def present(self, *arguments):
        self.done, self.part = 0, b""
        return honest(self, *arguments)

    download.Download.present = present


@mutant("telling.not-before-it-is-there", "wrong.always", control="telling.empty-file")
def reports_what_is_announced(clone):
    honest = clone.catalog.note_content

    def note(resource, data):
        honest(resource, data)
        clone.catalog.report(resource, data["role"], data["root"])

    clone.catalog.note_content = note


@mutant("clocks.more-than-a-day")
def believes_any_clock(_):
    calls.A_DAY = 1 << 62


@mutant("clocks.of-another-refusal")
def believes_the_clock_of_any_refusal(clone):
    honest = clone.calls.believe_clock

    def believe(site, refusal):
        refusal.word = "stale"
        return honest(site, refusal)

    clone.calls.believe_clock = believe


@mutant("wrong.page-digest", "wrong.page-path", "pages.digest-turned", "pages.path-of-another", "pages.no-path")
def takes_any_page(_):
    fetch.check_page = lambda *_: None


@mutant("streams.type", "streams.other-range", "streams.encoded")
def takes_any_answer_for_the_stream(_):
    fetch.verdict = lambda head, *_: "stream" if head["status"] in (200, 206) else "not-ours"


@mutant("streams.404", "streams.nothing-new", control="frames.gap")
def never_falls_back(clone):
    clone.fetcher.no_streams = lambda site: None


@mutant("frames.gap", "frames.other-chunk")
def takes_frames_as_they_come(_):
    honest = download.Download.take

    def take(self, kind, *values):
        if kind != "header":
            honest(self, kind, *values)

    download.Download.take = take


@mutant("frames.too-large")
def takes_frames_of_any_length(_):
    frames.MAX_FRAME = 1 << 30


@mutant("wrong.elsewhere", "refused.gone")
def asks_the_announcer_alone(clone):
    honest = clone.catalog.note_holder

    def note(site, resource, role, root):
        if not clone.store.one("SELECT 1 FROM has WHERE resource = ?", resource):
            honest(site, resource, role, root)

    clone.catalog.note_holder = note


@mutant("telling.present-again")
def reports_once(_):
    honest = courier.Courier.report

    def report(self, site):
        try:
            return honest(self, site)
        except calls.FAILURES:
            self.store.run("DELETE FROM reports WHERE site = ?", site)
            return True

    courier.Courier.report = report


@mutant("telling.conflict-copy")
def keeps_no_copies(_):
    catalog.Catalog.keep_copy = lambda *_: None


@mutant("telling.operation-again")
def numbers_operations_anew(_):
    honest = catalog.Catalog.operations
    catalog.Catalog.operations = lambda self, resource, op, _: honest(self, resource, op, packets.new_id())


@mutant("frames.refused-item")
def stops_at_a_refused_item(_):
    honest = download.Download.take

    def take(self, kind, *values):
        if kind == "refused":
            raise frames.BadFrame("refused")
        honest(self, kind, *values)

    download.Download.take = take


@mutant("telling.signed-and-fresh")
def dates_its_packets_an_hour_back(clone):
    clone.calls.offset = lambda site: -3_600_000


@mutant("wrong.answer-of-3-mib")
def takes_answers_of_any_size(_):
    calls.MAX_PACKET = packets.MAX_PACKET = 1 << 30


@mutant("claims.deep")
def takes_answers_of_any_depth(_):
    shapes._depth = lambda value: 0


@mutant("refused.413")
def never_asks_for_less(clone):
    clone.fetcher.ask_less = clone.trouble


@mutant("comparing.merged", "comparing.not-announced")
def passes_over_what_it_finds(clone):
    clone.courier.bring = lambda site, keys: None


@mutant("comparing.not-announced")
def announces_what_it_finds(clone):
    honest = clone.courier.bring

    def bring(site, keys):
        honest(site, keys)
        for resource in {clone.catalog.resource_of(key) for key in keys} - {None}:
            clone.catalog.announce(resource, "put")

    clone.courier.bring = bring


@mutant("comparing.items-in-parts")
def sends_the_items_that_fit(_):
    honest = catalog.in_parts
    catalog.in_parts = lambda items, operation: honest(items, operation)[:1]


@mutant("secrets.private-key")
def introduces_itself_with_its_private_key(clone):
    honest = clone.calls.ask
    secret = (clone.folder / "channel.pem").read_bytes()
    clone.calls.ask = lambda site, kind, **fields: honest(site, kind, **fields, more=secret)


def break_it(clone, name):
    MUTANTS[name][0](clone)
