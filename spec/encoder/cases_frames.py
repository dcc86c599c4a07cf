"""Cases for fetching.md and streaming.md: frames.json, streams.json."""

from .wire import pack

KIB = 1024
FRAME = 256 * KIB


def data(item, chunk, offset, payload):
    return pack([item, chunk, offset, payload])


def refusal(item, code, text, **more):
    return pack([item, None, {"code": code, "text": text, **more}])


DONE, LIMIT = pack([None, "done"]), pack([None, "limit"])


def frames():
    return {
        "responses": responses(),
        "bad": bad(),
        "resume": [
            {"name": text, "requirement": "FETCH-20", "header": text, "chunks": c, "bytes": b}
            for text, c, b in [("0:0", 0, 0), ("3:4294967295", 3, 2**32 - 1), ("1024:16777215", 1024, 2**24 - 1)]
        ],
        "resume_bad": [{"name": repr(t), "requirement": "FETCH-20", "header": t} for t in RESUME_BAD],
        "plans": plans(),
    }


RESUME_BAD = [
    "", ":", "1", "1:", ":1", "+1:0", "-1:0", " 1:0", "1:0 ", "1 :0", "1:2:3", "x:0", "0x1:0", "1.0:0", "1,0",
    "4294967296:0", "0:4294967296", "\u0661:0",
]


def responses():
    long = bytes(range(256)) * 2
    h = lambda item, chunk, offset, payload: [
        {"header": [item, chunk, offset, len(payload)]}, {"data": payload.hex()}]
    done, limit = {"end": "done"}, {"end": "limit"}
    wide = b"\xdd\0\0\0\4" + b"\xd3" + (1).to_bytes(8, "big") + b"\xcd\0\2" + b"\xcf" + bytes(8) + b"\xc6\0\0\0\3abc"
    cases = [
        ("nothing was asked for", DONE, [done], "FETCH-14"),
        ("nothing more in this response", LIMIT, [limit], "FETCH-14"),
        ("one chunk", data(0, 0, 0, b"abc") + DONE, [*h(0, 0, 0, b"abc"), done], "FETCH-11"),
        ("a chunk in two frames", data(0, 7, 0, long) + data(0, 7, 512, b"\xc1") + DONE,
         [*h(0, 7, 0, long), *h(0, 7, 512, b"\xc1"), done], "FETCH-15"),
        ("chunks of two items", data(0, 1_048_575, 15 << 20, b"x") + data(255, 0, 0, b"y") + LIMIT,
         [*h(0, 1_048_575, 15 << 20, b"x"), *h(255, 0, 0, b"y"), limit], "FETCH-15"),
        ("an item that is refused", data(0, 0, 0, b"a") + refusal(1, 41, "gone") + data(2, 0, 0, b"c") + DONE,
         [*h(0, 0, 0, b"a"), {"refused": [1, 41, "gone"]}, *h(2, 0, 0, b"c"), done], "FETCH-17"),
        ("a refusal with fields of a later version", refusal(0, 65535, "\u00fc", later=[{"x": b"\0"}], n=-1.5) + DONE,
         [{"refused": [0, 65535, "\u00fc"]}, done], "FETCH-13"),
        ("a text of 512 bytes", refusal(0, 1, "x" * 512) + DONE, [{"refused": [0, 1, "x" * 512]}, done], "FETCH-13"),
        ("numbers and lengths in other widths", wide + DONE, [*h(1, 2, 0, b"abc"), done], "FETCH-11"),
        ("cut in a payload", data(0, 0, 0, b"abcdef")[:-2], [{"header": [0, 0, 0, 6]}, {"data": b"abcd".hex()}], "FETCH-10"),
        ("cut in a header", data(0, 0, 0, b"abc") + data(0, 1, 0, b"abc")[:3], h(0, 0, 0, b"abc"), "FETCH-10"),
    ]
    return [
        {"name": name, "requirement": r, "bytes": raw.hex(), "events": events} for name, raw, events, r in cases
    ]


def bad():
    claim = lambda n, offset=0: b"\x94\0\0" + pack(offset) + b"\xc6" + n.to_bytes(4, "big")
    cases = [
        ("no array", pack("frame"), "malformed", "FETCH-11"),
        ("one element", pack([1]), "malformed", "FETCH-11"),
        ("five elements", pack([0, 0, 0, b"x", 1]), "malformed", "FETCH-11"),
        ("payload as text", pack([0, 0, 0, "abc"]), "malformed", "FETCH-11"),
        ("a negative offset", pack([0, 0, -1, b"x"]), "malformed", "FETCH-11"),
        ("a chunk number of 33 bits", pack([0, 2**32, 0, b"x"]), "malformed", "FETCH-11"),
        ("an item as text", pack(["0", 0, 0, b"x"]), "malformed", "FETCH-11"),
        ("another end", pack([None, "finished"]), "malformed", "FETCH-14"),
        ("an end without nil", pack([0, "done"]), "malformed", "FETCH-14"),
        ("a refusal without a code", pack([0, None, {"text": "x"}]), "malformed", "FETCH-13"),
        ("a refusal without a text", pack([0, None, {"code": 1}]), "malformed", "FETCH-13"),
        ("a code of 17 bits", pack([0, None, {"code": 65536, "text": ""}]), "malformed", "FETCH-13"),
        ("a text of 513 bytes", refusal(0, 1, "x" * 513), "malformed", "FETCH-13"),
        ("a refusal that is an array", pack([0, None, [1, "x"]]), "malformed", "FETCH-13"),
        ("a code twice", b"\x93\0\xc0\x82" + 2 * (pack("code") + b"\1"), "malformed", "FETCH-13"),
        ("a refusal of more than 1024 bytes", refusal(0, 1, "x" * 500, later="y" * 512), "head-too-long", "FETCH-13"),
        ("an empty payload", pack([0, 0, 0, b""]), "empty", "FETCH-12"),
        ("a payload of 262,145 bytes", claim(FRAME + 1), "too-large", "FETCH-12"),
        ("a payload of 4 GiB", claim(2**32 - 1), "too-large", "FETCH-12"),
        ("beyond the largest chunk", claim(2, (16 << 20) - 1), "beyond-chunk", "FETCH-12"),
        ("an offset of 4 GiB", claim(2, 2**32 - 1), "beyond-chunk", "FETCH-12"),
        ("a frame after the end", DONE + data(0, 0, 0, b"x"), "after-end", "FETCH-14"),
        ("a line feed after the end", LIMIT + b"\n", "after-end", "FETCH-14"),
        ("an error page", b"<html><title>502 Bad Gateway</title></html>", "malformed", "FETCH-11"),
    ]
    return [{"name": n, "requirement": r, "bytes": raw.hex(), "error": e} for n, raw, e, r in cases]


def plan(wanted, chunks, offset, budget):
    """FETCH-14 to FETCH-18, FETCH-21: the frames of one response, or None where the position is refused."""
    if chunks > len(wanted) or (chunks == len(wanted) and offset):
        return None
    if chunks < len(wanted) and wanted[chunks]["len"] is not None and offset and offset >= wanted[chunks]["len"]:
        return None
    steps, refused_item = [], None
    for w in wanted[chunks:]:
        if w["item"] == refused_item:
            continue
        if w["len"] is None:
            refused_item = w["item"]
            steps.append({"refuse": w["item"]})
            offset = 0
            continue
        while offset < w["len"]:
            length = min(FRAME, w["len"] - offset, budget)
            if length == 0:
                return [*steps, {"end": "limit"}]
            steps.append({"frame": [w["item"], w["chunk"], offset, length]})
            offset, budget = offset + length, budget - length
        offset = 0
    return [*steps, {"end": "done"}]


def plans():
    w = lambda item, chunk, length: {"item": item, "chunk": chunk, "len": length}
    two = [w(0, 0, 10), w(0, 1, 10)]
    gone = [w(0, 0, 10), w(1, 0, None), w(1, 1, None), w(2, 0, 10)]
    top = 2**64 - 1
    cases = [
        ("nothing", [], 0, 0, top, "FETCH-14"),
        ("frames of at most 256 KiB", [w(0, 4, 600 * KIB), w(1, 0, 5)], 0, 0, top, "FETCH-11"),
        ("a budget that ends in a chunk", two, 0, 0, 13, "FETCH-16"),
        ("a budget that is used up by the last byte", two, 0, 0, 20, "FETCH-18"),
        ("no budget", two, 0, 0, 0, "FETCH-16"),
        ("nothing left, no budget", two, 2, 0, 0, "FETCH-18"),
        ("resumed inside a chunk", two, 1, 3, top, "FETCH-20"),
        ("an item that is gone", gone, 0, 0, top, "FETCH-17"),
        ("resumed behind an item that is gone", gone, 3, 4, top, "FETCH-20"),
        ("resumed at an item that became unservable", gone, 1, 4, top, "FETCH-17"),
        ("a refusal costs no budget", gone, 1, 0, 0, "FETCH-18"),
        ("a whole chunk given as bytes", two, 0, 10, top, "FETCH-21"),
        ("more bytes than the chunk has", two, 1, 11, top, "FETCH-21"),
        ("bytes behind the last chunk", two, 2, 1, top, "FETCH-21"),
        ("behind the last chunk", two, 3, 0, top, "FETCH-21"),
        ("as far as numbers go", two, 2**32 - 1, 2**32 - 1, top, "FETCH-21"),
    ]
    return [
        {
            "name": name, "requirement": r, "wanted": wanted, "resume": f"{c}:{b}", "budget": budget,
            "steps": plan(wanted, c, b, budget),
        }
        for name, wanted, c, b, budget, r in cases
    ]


def streams():
    good = {"status": 206, "type": "application/x-zot-file", "encoding": None, "range": "bytes 10-19/100"}
    part, whole = [10, 19, 100], [0, 99, 100]
    cases = [
        ("206 with the range", good, part, "stream"),
        ("a type with a parameter", {**good, "type": "Application/X-Zot-File; x=y"}, part, "stream"),
        ("identity encoding", {**good, "encoding": "identity"}, part, "stream"),
        ("206 of the whole", {**good, "range": "bytes 0-99/100"}, whole, "stream"),
        ("200 when the whole was asked for", {**good, "status": 200, "range": None}, whole, "stream"),
        ("200 when a part was asked for", {**good, "status": 200, "range": None}, part, "not-ours"),
        ("200 when all but a byte was asked for", {**good, "status": 200, "range": None}, [0, 98, 100], "not-ours"),
        ("200 with a range", {**good, "status": 200}, part, "not-ours"),
        ("206 without a range", {**good, "range": None}, part, "not-ours"),
        ("a shorter range", {**good, "range": "bytes 10-18/100"}, part, "not-ours"),
        ("another range", {**good, "range": "bytes 0-9/100"}, part, "not-ours"),
        ("another size", {**good, "range": "bytes 10-19/101"}, part, "not-ours"),
        ("an unknown size", {**good, "range": "bytes 10-19/*"}, part, "not-ours"),
        ("another type", {**good, "type": "text/html"}, part, "not-ours"),
        ("no type", {**good, "type": None}, part, "not-ours"),
        ("a longer type", {**good, "type": "application/x-zot-file2"}, part, "not-ours"),
        ("compressed", {**good, "encoding": "gzip"}, part, "not-ours"),
    ]
    out = [
        {"name": n, "requirement": "STREAM-5", "head": head, "asked": asked, "verdict": v} for n, head, asked, v in cases
    ]
    for status in (404, 405, 406, 411, 413, 500, 502, 503, 599):
        out.append({"name": f"status {status}, not signed", "requirement": "STREAM-9", "head": {**good, "status": status}, "asked": part, "verdict": "not-ours"})
    for status in (204, 301, 302, 400, 401, 403, 410, 416, 429):
        out.append({"name": f"status {status}, not signed", "requirement": "STREAM-10", "head": {**good, "status": status}, "asked": part, "verdict": "nothing"})
    return {"heads": out}
