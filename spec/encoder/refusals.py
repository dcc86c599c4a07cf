"""The table of refusals. refusals.md takes it from here."""

# number, word, HTTP, again, requirement, sentence
TABLE = [
    (10, "malformed", 400, "never", "PKT-2", "the packet is not well-formed MessagePack of the described shape"),
    (11, "too-large", 413, "never", "PKT-3", "the packet is larger or deeper than the limits allow"),
    (12, "unsupported-version", 400, "never", "PKT-5", "the envelope's version or algorithm is not supported here"),
    (13, "unknown-type", 400, "never", "PKT-6", "packets of this type are not known here"),
    (14, "bad-field", 400, "never", "PKT-7", "a field is missing or holds a value outside its range"),
    (20, "unknown-location", 401, "later", "SIGN-3", "the signing key is not a known location"),
    (21, "bad-signature", 401, "later", "SIGN-4", "the signature does not hold"),
    (22, "stale", 401, "later", "SIGN-6", "the packet's dates are outside the allowed window"),
    (23, "not-for-me", 403, "never", "SIGN-5", "the packet is addressed to another hub"),
    (24, "bad-key", 401, "never", "ID-5", "the key's size or exponent is not acceptable"),
    (25, "challenge-failed", 403, "later", "ID-14", "the location did not answer its challenge"),
    (26, "bad-location", 400, "never", "ID-8", "the location record does not hold"),
    (27, "bad-statement", 400, "never", "ID-25", "the rotation or notice does not hold"),
    (30, "not-a-clone", 403, "later", "SYNC-1", "the asking hub is not a listed clone of the channel"),
    (31, "unknown-channel", 404, "later", "SYNC-2", "the channel does not live on this hub"),
    (32, "quota-exceeded", 403, "later", "SYNC-12", "the channel's quota on this hub is exhausted"),
    (33, "no-space", 503, "later", "SYNC-13", "this hub has no disk space for the file"),
    (40, "unknown-resource", 404, "elsewhere", "FETCH-28", "no such resource, role and root in this channel"),
    (41, "gone", 410, "elsewhere", "FETCH-29", "this root was superseded and is no longer kept"),
    (42, "superseded", 409, "never", "SYNC-9", "a newer version is already here"),
    (43, "not-here", 404, "elsewhere", "FETCH-30", "the file is known here but its bytes have not arrived yet"),
    (44, "bad-content", 422, "elsewhere", "FILE-12", "the bytes do not match the manifest"),
    (45, "bad-range", 400, "never", "FETCH-8", "the asked range lies outside the file or the limits"),
    (50, "bad-name", 400, "never", "SYNC-6", "a name is empty, longer than 255 bytes, reserved, or holds '/' or NUL"),
    (51, "unsupported-operation", 400, "later", "SYNC-4", "this operation is not supported by this hub"),
    (52, "bad-place", 400, "never", "SYNC-5", "the parents of an entry do not lead to the top"),
    (60, "too-many", 429, "later", "QUEUE-10", "too many requests; come back later"),
    (61, "unavailable", 503, "later", "QUEUE-11", "this hub cannot answer now; come back later"),
]
NUMBERS = {word: number for number, word, *_ in TABLE}


def markdown():
    rows = ["| code | word | HTTP | again | requirement | sentence |", "|---|---|---|---|---|---|"]
    rows += [f"| {n} | `{w}` | {h} | {a} | {r} | {s} |" for n, w, h, a, r, s in TABLE]
    return "\n".join(rows)


def cases():
    return {
        "table": [
            {"name": w, "requirement": r, "code": n, "http": h, "again": a, "sentence": s}
            for n, w, h, a, r, s in TABLE
        ],
        "unknown": [
            {"name": f"code {n} of a later version", "requirement": "REF-4", "code": n, "again": "later"}
            for n in (0, 9, 62, 300, 65535)
        ],
    }
