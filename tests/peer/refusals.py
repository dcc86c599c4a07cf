"""The table of refusals (refusals.md), and what each of its words says about asking again."""

# The table of refusals.md: number and HTTP status of each word.
CODES = {
    "malformed": (10, 400), "too-large": (11, 413), "unsupported-version": (12, 400), "unknown-type": (13, 400),
    "bad-field": (14, 400), "unknown-location": (20, 401), "bad-signature": (21, 401), "stale": (22, 401),
    "not-for-me": (23, 403), "bad-key": (24, 401), "challenge-failed": (25, 403), "bad-location": (26, 400),
    "bad-statement": (27, 400),
    "not-a-clone": (30, 403), "unknown-channel": (31, 404), "quota-exceeded": (32, 403), "no-space": (33, 503),
    "unknown-resource": (40, 404), "gone": (41, 410), "superseded": (42, 409), "not-here": (43, 404),
    "bad-content": (44, 422), "bad-range": (45, 400), "bad-name": (50, 400), "unsupported-operation": (51, 400),
    "bad-place": (52, 400), "too-many": (60, 429), "unavailable": (61, 503),
}  # fmt: skip
NEVER = {"malformed", "too-large", "unsupported-version", "unknown-type", "bad-field", "not-for-me", "bad-key",
         "bad-location", "bad-statement", "superseded", "bad-range", "bad-name", "bad-place"}  # fmt: skip
ELSEWHERE = {"unknown-resource", "gone", "not-here", "bad-content"}
WORDS = {code: word for word, (code, _) in CODES.items()}


class Refused(Exception):
    """One of the table's refusals; `signed` says whether the sender is certain (SIGN-14)."""

    def __init__(self, word, text="", signed=False):
        super().__init__(f"{word}: {text}")
        self.word, self.text, self.signed = word, text, signed
        self.code, self.http = CODES[word]


def need(good, text="", word="bad-field"):
    if not good:
        raise Refused(word, text)


def again(code):
    """`never`, `later` or `elsewhere`; a code that is not known is `later` (REF-4)."""
    word = WORDS.get(code)
    return "never" if word in NEVER else "elsewhere" if word in ELSEWHERE else "later"


def hint(refusal):
    """An unsigned refusal: status, content type and line (REF-3)."""
    line = f"{refusal.code} {refusal.word}: {refusal.text or 'refused'}\n"
    return refusal.http, "text/plain", line.encode()
