"""Cases for items.md: items.json."""

import json

from . import translation, versions
from .cases_sync import R1, R2
from .keys import b64url
from .translation import home
from .versions import edit
from .wire import CHANNEL, NOW, pack, plain

PHOTO, POST = "333dc10b-96a8-4df1-81ae-d02ad0305e83", "23bb79f4-bf69-40f0-bee4-38f220c14b01"
OWNED = {PHOTO, POST}
A, B = home("https://a.example", "alice", 2), home("https://b.example:8443", "al", 71)
LOCAL = home("http://127.0.0.1:9001", "alice", 2)
MID = f"https://a.example/item/{POST}"


def cases():
    return {"texts": texts(), "json_texts": json_texts(), "rows": rows(), "signed": signed(), "merged": merged()}


def case(name, requirement, source, target, before, after, back, **more):
    return {
        "name": name, "requirement": requirement, "from": source, "to": target, "owned": sorted(OWNED),
        "before": before, "after": after, "comes_back": back, **more,
    }


TRANSLATED = [
    ("a nick", "TRANS-2", "https://a.example/channel/alice"),
    ("bbcode", "TRANS-3", "[url=https://a.example/channel/alice]A[/url] [zrl=https://a.example/photos/alice/album/]/[/zrl]"),
    ("an image", "TRANS-2", f"[img=300x200]https://a.example/photo/{PHOTO}-2.jpg[/img][zmg]https://a.example/photo/{PHOTO}[/zmg]"),
    ("HTML", "TRANS-3", '<a href="https://a.example/photos/alice/image/x?a=1&amp;b=2#c">x</a>'),
    ("punctuation", "TRANS-2", "See https://a.example/channel/alice. (https://a.example/profile/alice), https://a.example/cal/alice..."),
    ("percent signs behind the nick", "TRANS-3", "https://a.example/cloud/alice/a%20b/%C3%BC.txt"),
    ("a file", "TRANS-2", f"https://a.example/attach/{PHOTO}"),
    ("an item", "TRANS-2", f"https://a.example/item/{POST}; https://a.example/display/{POST}"),
    ("an item by its name", "TRANS-2", f"https://a.example/display/b64.{b64url(MID.encode())}"),
    ("a profile photo", "TRANS-2", "https://a.example/photo/profile/l/2 https://a.example/photo/profile/s/2.jpg"),
    ("a URL in a query", "TRANS-3", "https://else.example/?u=https://a.example/channel/alice&amp;v"),
]
RESPELLED = [
    ("upper case", "TRANS-1", "HTTPS://A.Example/channel/alice"),
    ("a port that need not be written", "TRANS-1", "https://a.example:443/channel/alice"),
    ("a nick with percent signs", "TRANS-2", "https://a.example/channel/%61lice"),
]
LEFT = [
    ("the hub itself", "TRANS-2", "https://a.example https://a.example/ https://a.example/help/alice"),
    ("a longer host", "TRANS-1", "https://a.example.com/channel/alice https://aa.example/channel/alice https://a.example./channel/alice"),
    ("another port or scheme", "TRANS-1", "https://a.example:8443/channel/alice http://a.example/channel/alice"),
    ("a user name", "TRANS-1", "https://u@a.example/channel/alice https://a.example@else.example/channel/alice https://a.example:1@x/channel/alice"),
    ("no scheme", "TRANS-1", "a.example/channel/alice alice@a.example xhttps://a.example/channel/alice"),
    ("another channel", "TRANS-2", "https://a.example/channel/alice2 https://a.example/channel/bob https://a.example/channel/alice.b https://a.example/channel/alice%20"),
    ("dot segments", "TRANS-2", "https://a.example/channel/alice/../bob https://a.example/channel/alice/%2E%2e/bob"),
    ("another one's photo", "TRANS-2", "https://a.example/photo/5c27c240-1.jpg https://a.example/photo/profile/m/3 https://a.example/photo/profile/m/21"),
    ("another one's item", "TRANS-2", "https://a.example/item/5c27c240 https://a.example/display/b64.!"),
]


def texts():
    out = []
    for name, requirement, before in TRANSLATED + RESPELLED + LEFT:
        after = translation.text(before, A, B, OWNED)
        back = translation.text(after, B, A, OWNED) == before
        assert (after == before) == ((name, requirement, before) in LEFT), name
        assert back == ((name, requirement, before) not in RESPELLED), name
        out.append(case(name, requirement, A, B, before, after, back))
        assert translation.text(after, A, B, OWNED) == after
    everything = " ".join(text for _, _, text in TRANSLATED)
    for source, target in [(A, LOCAL), (LOCAL, B), (home("http://[::1]:9002", "alice", 2), A)]:
        before = everything.replace(A["url"], source["url"])
        after = translation.text(before, source, target, OWNED)
        assert translation.text(after, target, source, OWNED) == before
        name = f"from {source['url']} to {target['url']}"
        out.append(case(name, "TRANS-5", source, target, before, after, True))
    twice = translation.text(everything, A, B, OWNED)
    out.append(case("what was translated already", "TRANS-4", A, B, twice, twice, False))
    no_number = home("https://b.example", "alice")
    before = "https://a.example/photo/profile/l/2"
    out.append(case("a number that is not known", "TRANS-2", A, no_number, before, before, True))
    return out


def json_texts():
    value = {"id": MID, "url": "https://a.example/channel/alice", "name": "\u00fc \U0001f600 \" / https://a.example",
             "links": [{"id": "https://a.example/album/alice"}, f"https://a.example/photo/{PHOTO}-1"], "n": 1.5}
    plain_text = json.dumps(value)
    escaped = plain_text.replace("/", "\\/")
    nested = json.dumps({"obj": escaped}, indent=1)
    out = []
    for name, before in [("slashes", plain_text), ("escaped slashes", escaped), ("JSON in JSON", nested), ("no JSON", "{" + plain_text)]:
        after = translation.json_text(before, A, B, OWNED)
        assert after != before and translation.json_text(after, B, A, OWNED) == before
        out.append(case(name, "TRANS-6", A, B, before, after, True))
    names = json.dumps({"id": MID, "inReplyTo": MID, "context": MID, "conversation": MID})
    assert translation.json_text(names, A, B, OWNED) == names
    out.append(case("names of items", "TRANS-7", A, B, names, names, True))
    return out


def item_fields(**more):
    return {
        "uuid": POST, "message_id": MID, "message_top": MID, "message_parent": MID, "resource_id": PHOTO,
        "title": "a photo", "body": f"[zrl=https://a.example/photos/alice/image/{PHOTO}]a new photo[/zrl]",
        "permalink": MID, "llink": "https://a.example/display/5c27c240",
        "object": {"id": MID, "attributedTo": "https://a.example/channel/alice", "width": 1200},
        "target": json.dumps({"id": "https://a.example/album/alice"}),
        "attach": [{"href": f"https://a.example/attach/{PHOTO}", "length": 7}],
        "tags": [{"tag": "x", "url": "https://a.example/channel/alice"}],
        "author": {"url": "https://a.example/channel/alice", "address": "alice@a.example", "photo": {"src": "https://a.example/photo/profile/m/2"}},
        "later": {"url": "https://a.example/channel/alice", "n": [None, True, -7, 1.5]}, **more,
    }


def rows():
    fields = item_fields()
    after = translation.row(fields, A, B, OWNED)
    assert translation.row(after, B, A, OWNED) == fields
    name = "a row: what is described is translated, names and unknown fields are kept"
    return [case(name, "ITEM-7", A, B, pack(fields).hex(), pack(after).hex(), True)]


def signed():
    body = "[zrl=https://b.example:8443/channel/al]Alice[/zrl] \u00fc\n"
    signature = "sha256." + b64url(CHANNEL.sign(body.encode()))
    before = {"body": body, "signature": "sha256.old", "n": 1}
    added = {"body": body}
    return [
        {"name": name, "requirement": "ITEM-10", "key": "channel", "before": pack(b).hex(), "after": pack({**b, "signature": signature}).hex()}
        for name, b in [("a signature is replaced", before), ("a signature is added", added)]
    ]


def merged():
    first = edit(None, R1, NOW)
    left, right = edit(first, R1, NOW + 1), edit(first, R2, NOW + 2)
    joined = versions.join(left, right)
    found = [
        ("an item that is new", None, first, "comes", first),
        ("an edit of what is held", first, left, "comes", left),
        ("what is older", left, first, "held", left),
        ("the same", left, left, "held", left),
        ("concurrent, the later wins", left, right, "comes", joined),
        ("concurrent, the other way round", right, left, "held", joined),
    ]
    return [
        {"name": name, "requirement": "ITEM-6", "held": plain(held), "comes": plain(comes), "row": which, "version": plain(result)}
        for name, held, comes, which, result in found
    ]
