"""Cases for photos.md: photos.json."""

from .cases_sync import LOCAL, nested, without, zeros
from .wire import pack, plain

SQUARES = {1: 1024, 2: 640, 3: 320}


def row(scale=4, **changes):
    out = {
        "resource_id": "f1", "imgscale": scale, "width": 300, "height": 300, "mimetype": "image/jpeg",
        "filesize": 4643, "photo_usage": 1, "profile": 0, "title": "", "description": "", "album": "Profile Photos",
        "crop": [10, 0, 900, 900], "chosen": 1 << 57,
    }
    out.update(changes)
    return out


def cases():
    return {
        "rows": rows(), "rows_local": rows_local(), "rows_bad": rows_bad(),
        "lists": lists(), "sizes": sizes(), "current": current(),
    }


def rows():
    good = [
        ("a profile photo", row()),
        ("an original", row(0, width=3000, height=2000, photo_usage=0, crop=None, chosen=None)),
        ("everything at its largest", row(
            9, width=2**32 - 1, height=2**32 - 1, filesize=2**44, photo_usage=65535, profile=255,
            crop=[2**32 - 2, 0, 1, 2**32 - 1], chosen=2**63 - 1)),
        ("Hubzilla's other columns", row(is_nsfw=0, photo_flags=0, xchan="", expires="2026-11-23 16:25:35", allow_cid="<a>")),
    ]
    return [
        {"name": name, "requirement": "PHOTO-3", "fields": plain(fields), "row": pack(fields).hex()}
        for name, fields in good
    ]


# A row as Hubzilla has it: the columns, their order and their types.
HUBZILLA = {
    "id": 9, "aid": 1, "uid": 2, "xchan": "", "resource_id": "333dc10b-96a8-4df1-81ae-d02ad0305e83",
    "created": "2026-11-22 16:25:04", "edited": "2026-11-22 16:25:04", "expires": "2026-11-23 16:25:35", "title": "",
    "description": "", "album": "Profile Photos", "filename": "avatar.jpg", "mimetype": "image/jpeg", "height": 300,
    "width": 300, "filesize": 4643, "content": "c3RvcmU=", "imgscale": 4, "photo_usage": 1, "profile": 0, "is_nsfw": 0,
    "os_storage": 1, "os_path": "5c27c240/333dc10b", "display_path": "Profile Photos/avatar.jpg", "photo_flags": 0,
    "allow_cid": "", "allow_gid": "", "deny_cid": "", "deny_gid": "",
}


def rows_local():
    known = {name: HUBZILLA.get(name) for name in row()}
    others = without(HUBZILLA, *known, *LOCAL)
    return [
        {
            "name": "columns of one hub are dropped, the others kept", "requirement": "PHOTO-3",
            "row": pack(row(is_nsfw=1) | {name: 1 for name in LOCAL}).hex(), "kept": pack(row(is_nsfw=1)).hex(),
        },
        {
            "name": "a row as Hubzilla has it", "requirement": "PHOTO-3",
            "row": pack(HUBZILLA).hex(), "kept": pack(known | others).hex(),
        },
    ]


def rows_bad():
    good = row()
    bad = [(f"no {field}", pack(without(good, field))) for field in good if field not in ("crop", "chosen")]
    twice = pack(good)
    assert twice[0] == 0x80 + len(good)
    bad += [
        ("a field twice", bytes([twice[0] + 1]) + twice[1:] + pack("width") + pack(1)),
        ("65 fields", pack(row(**{f"x{n}": n for n in range(52)}))),
        ("scale 10", pack(row(10))),
        ("a width as text", pack(row(width="300"))),
        ("a MIME type as bin", pack(row(mimetype=b"image/jpeg"))),
        ("an album as bin", pack(row(album=b""))),
        ("a negative height", pack(row(height=-1))),
        ("a crop without an area", pack(row(crop=[0, 0, 0, 5]))),
        ("a crop that overflows", pack(row(crop=[2**32 - 1, 0, 1, 1]))),
        ("a crop of three numbers", pack(row(crop=[0, 0, 5]))),
        ("chosen beyond 63 bits", pack(row(chosen=2**63))),
        ("an id that is none", pack(row(resource_id="a/b"))),
        ("nested too deeply", pack(row(x=nested(16)))),
        ("an array", pack(list(good.values()))),
    ]
    out = [{"name": name, "requirement": "PHOTO-1", "row": raw.hex()} for name, raw in bad]
    long = pack(row(x=b""))
    long = pack(row(x=b"\0" * (16_385 - len(long) - 1)))
    assert len(long) == 16_385
    return out + [{"name": "16,385 bytes", "requirement": "PHOTO-1", **zeros(long)}]


def lists():
    """Rows of an operation on the file or folder `f1`."""
    some = [
        ("none", [], False, True),
        ("all ten", [row(n) for n in range(10)], False, True),
        ("one scale twice", [row(4), row(4)], False, False),
        ("of another entry", [row(4, resource_id="f2")], False, False),
        ("of a folder", [row(4)], True, False),
        ("none of a folder", [], True, True),
    ]
    return [
        {"name": name, "requirement": "PHOTO-2", "rows": [pack(r).hex() for r in rows], "folder": folder, "good": good}
        for name, rows, folder, good in some
    ]


def fitted(width, height, side):
    longer = max(width, height)
    if longer <= side:
        return [width, height]
    return [max(1, n * side // longer) for n in (width, height)]


def sizes():
    originals = [
        (3000, 2000), (2000, 3000), (1200, 900), (1024, 1024), (1025, 1024), (1024, 1025), (641, 2), (320, 320), (1, 1), (65535, 1), (7, 65535),
    ]
    out = []
    for width, height in originals:
        scales = [{"scale": n, "size": fitted(width, height, side)} for n, side in SQUARES.items()]
        out.append({"name": f"{width} x {height}", "requirement": "PHOTO-4", "width": width, "height": height, "scales": scales})
    assert out[0]["scales"] == [
        {"scale": 1, "size": [1024, 682]}, {"scale": 2, "size": [640, 426]}, {"scale": 3, "size": [320, 213]},
    ]
    return out


def current():
    """Entries with a `chosen` each, and which of them is the current one."""
    some = [
        ("the last chosen", [["a", 5], ["b", 9], ["c", 7]], "b"),
        ("at once: the larger id", [["b", 9], ["c", 9], ["a", 9]], "c"),
        ("one that does not say", [["z", None], ["a", 1]], "a"),
        ("none that says", [["Z", None], ["a", None]], "a"),
    ]
    return [
        {"name": name, "requirement": "PHOTO-9", "entries": entries, "current": chosen} for name, entries, chosen in some
    ]
