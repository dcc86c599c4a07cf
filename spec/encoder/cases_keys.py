"""Cases for the later half of identity.md: rotations.json, notices.json."""

from .cases_identity import REPLICA, changed, refused
from .keys import odd_number, spki_pem
from .wire import ALICE, KEYS, NOW, OTHER, SITES, URLS, header, pack, plain, record, seal, state

# Which test key stands for which key of the channel; one hub's key serves as a channel's key here.
FIRST, SECOND, THIRD = "channel", "other-channel", "site-c"
A, B, C = (SITES[name] for name in ("site-a", "site-b", "site-c"))


def rotation(number=1, old=FIRST, new=SECOND, keep=(A, B, C), site="site-a", at=NOW, **changes):
    out = {
        "channel": ALICE,
        "number": number,
        "old_key": KEYS[old].pem,
        "new_key": KEYS[new].pem,
        "keep": list(keep),
        "url": URLS[site],
        "site_key": KEYS[site].pem,
        "at": at,
    }
    out.update(changes)
    return {name: value for name, value in out.items() if value is not None}


def signed(fields, old=FIRST, new=SECOND, site="site-a", context=b"zot-file-rotation\n"):
    """ID-24: with its three signatures."""
    raw = fields if isinstance(fields, bytes) else pack(fields)
    message = context + raw
    return {
        "record": raw,
        "old_sig": KEYS[old].sign(message),
        "new_sig": KEYS[new].sign(message),
        "site_sig": KEYS[site].sign(message),
    }


def turn(number=1, old=FIRST, new=SECOND, site="site-a", **more):
    """A rotation, signed by those whom it names."""
    return signed(rotation(number, old, new, site=site, **more), old, new, site)


def rotations():
    return {
        "good": good(),
        "bad": bad(),
        "chains": chains(),
        "rivals": rivals(),
        "records": records(),
        "turns": turns(),
        "introductions": introductions(),
    }


def base(name, requirement):
    return {"name": name, "requirement": requirement, "channel": ALICE}


def good():
    cases = [
        ("by the first hub", rotation(), "site-a"),
        ("by another hub, which keeps itself alone", rotation(site="site-b", keep=[B], number=2**32 - 1), "site-b"),
        ("a field of a later version", rotation(later=[None]), "site-a"),
    ]
    return [
        base(name, "ID-24")
        | {"signed": plain(signed(fields, site=site)), "rotation": plain(fields), "site_id": SITES[site]}
        for name, fields, site in cases
    ]


def bad():
    fields, right = rotation(), turn()
    weak = rotation(new_key=spki_pem(odd_number(1024), 65537))
    crlf = rotation(site_key=KEYS["site-a"].pem.replace("\n", "\r\n"))
    both = {"old_sig": right["new_sig"], "new_sig": right["old_sig"]}
    many = rotation(keep=[A] + [B] * 64)
    cases = [
        ("the old key's signature altered", changed(right, "old_sig"), "ID-25", "bad-statement"),
        ("the new key's signature altered", changed(right, "new_sig"), "ID-25", "bad-statement"),
        ("the site's signature altered", changed(right, "site_sig"), "ID-25", "bad-statement"),
        ("the record altered", {**right, "record": pack({**fields, "at": NOW + 1})}, "ID-25", "bad-statement"),
        ("the keys' signatures exchanged", {**right, **both}, "ID-25", "bad-statement"),
        ("the old key signed for the new one too", signed(fields, new=FIRST), "ID-25", "bad-statement"),
        ("the new key signed for the old one too", signed(fields, old=SECOND), "ID-25", "bad-statement"),
        ("signed by another hub", signed(fields, site="site-b"), "ID-25", "bad-statement"),
        ("signed without its context", signed(fields, context=b""), "ID-25", "bad-statement"),
        ("signed as a location", signed(fields, context=b"zot-file-location\n"), "ID-25", "bad-statement"),
        ("a rotation of another channel", signed(rotation(channel=OTHER)), "ID-25", "bad-statement"),
        ("a hub that does not keep itself", signed(rotation(keep=[B, C])), "ID-25", "bad-statement"),
        ("a hub that keeps nobody", signed(rotation(keep=[])), "ID-25", "bad-statement"),
        ("a new key of 1024 bits", signed(weak), "ID-5", "bad-key"),
        ("a site key with carriage returns", signed(crlf), "ID-2", "bad-key"),
        ("a URL in upper case", signed(rotation(url="https://A.example")), "ID-19", "bad-field"),
        ("a kept hub of 85 characters", signed(rotation(keep=[A, B[:-1]])), "PKT-24", "bad-field"),
        ("65 kept hubs", signed(many), "PKT-4", "bad-field"),
        ("a new key as bin", signed(rotation(new_key=KEYS[SECOND].pem.encode())), "PKT-7", "bad-field"),
        ("no new key", signed(rotation(new_key=None)), "PKT-7", "bad-field"),
        ("a number above 2^32 - 1", signed(rotation(number=2**32)), "PKT-7", "bad-field"),
        ("a byte after the record", signed(pack(fields) + b"\0"), "PKT-2", "malformed"),
    ]
    return [base(n, r) | {"signed": plain(s), **refused(c)} for n, s, r, c in cases]


def chain_case(name, requirement, chain, code=None, newest=FIRST):
    case = base(name, requirement) | {"first_key": KEYS[FIRST].pem, "rotations": plain(chain)}
    return case | (refused(code) if code else {"code": None, "newest": KEYS[newest].pem})


def chains():
    one, two = turn(), turn(2, SECOND, THIRD, "site-b")
    back = turn(2, SECOND, FIRST)
    return [
        chain_case("the first key alone", "ID-26", []),
        chain_case("one rotation", "ID-26", [one], newest=SECOND),
        chain_case("two rotations, by two hubs", "ID-26", [one, two], newest=THIRD),
        chain_case("the second one alone", "ID-25", [two], "bad-statement"),
        chain_case("in the wrong order", "ID-25", [two, one], "bad-statement"),
        chain_case("the same one twice", "ID-25", [one, one], "bad-statement"),
        chain_case("a number too high", "ID-25", [turn(2)], "bad-statement"),
        chain_case("a number too low", "ID-25", [one, turn(1, SECOND, THIRD)], "bad-statement"),
        chain_case("number 0", "ID-25", [turn(0)], "bad-statement"),
        chain_case("a first key of another channel", "ID-25", [turn(1, SECOND, THIRD)], "bad-statement"),
        chain_case("back to the first key", "ID-25", [one, back], "bad-statement"),
        chain_case("to the same key", "ID-25", [turn(new=FIRST)], "bad-statement"),
    ]


def rivals():
    """How another chain stands to the one that is known: known, newer or rival."""
    by_a, by_b = turn(at=NOW), turn(new=THIRD, site="site-b", at=NOW + 1)
    a_alone = turn(keep=[A, C], at=NOW)
    b_alone = turn(new=THIRD, site="site-b", keep=[B, C], at=NOW + 1)
    at_once = turn(new=THIRD, site="site-b", at=NOW)
    more = turn(2, SECOND, THIRD, "site-b", at=NOW + 2)
    first, second = [by_a], [at_once]
    if KEYS[SECOND].pem > KEYS[THIRD].pem:
        first, second = second, first
    cases = [
        ("the same chain", [by_a], [by_a], "known"),
        ("a shorter chain", [by_a, more], [by_a], "known"),
        ("a longer chain", [by_a], [by_a, more], "newer"),
        ("no rotation is known", [], [by_a], "newer"),
        ("a later rotation", [by_a], [by_b], "newer"),
        ("an earlier rotation", [by_b], [by_a], "rival"),
        ("an earlier rotation that was followed by another", [by_b], [by_a, more], "rival"),
        ("at the same time, a larger key", first, second, "newer"),
        ("at the same time, a smaller key", second, first, "rival"),
        ("earlier, but it puts out the hub of the known one", [by_b], [a_alone], "newer"),
        ("later, but of a hub that the known one puts out", [a_alone], [by_b], "rival"),
        ("each puts out the other, the later one is known", [b_alone], [a_alone], "rival"),
        ("each puts out the other, the earlier one is known", [a_alone], [b_alone], "rival"),
    ]
    return [
        base(name, "ID-29")
        | {"first_key": KEYS[FIRST].pem, "known": plain(known), "other": plain(other), "standing": standing}
        for name, known, other, standing in cases
    ]


def records():
    """Location records under a chain."""
    both = [turn(), turn(2, SECOND, THIRD)]
    without_b = [turn(keep=[A, C])]
    back_again = [turn(keep=[A, C]), turn(2, SECOND, THIRD)]
    late = record("site-b", REPLICA, serial=NOW + 10**9)
    early = record("site-b", REPLICA, serial=1)
    cases = [
        ("by the newest key", both, state(late, "site-b", THIRD), None),
        ("by the first key, kept twice", both, state(early, "site-b"), None),
        ("by the first key, kept, stated after the rotation", both, state(late, "site-b"), None),
        ("by the second key, kept", both, state(early, "site-b", SECOND), None),
        ("by the newest key, not kept", without_b, state(late, "site-b", SECOND), None),
        ("by the first key, not kept", without_b, state(late, "site-b"), "bad-location"),
        ("by the first key, not kept, stated before the rotation", without_b, state(early, "site-b"), "bad-location"),
        ("by the first key, kept by the second rotation alone", back_again, state(early, "site-b"), "bad-location"),
        ("by the second key, kept by the second rotation", back_again, state(early, "site-b", SECOND), None),
        ("by a key of a rotation that is not known", [turn()], state(late, "site-b", THIRD), "bad-location"),
    ]
    return [
        base(name, "ID-27")
        | {"first_key": KEYS[FIRST].pem, "rotations": plain(chain), "signed": plain(location)}
        | (refused(code) if code else {"code": None})
        for name, chain, location, code in cases
    ]


def turns():
    """What becomes of the locations that were listed when further rotations are taken."""
    all_three = [turn()]
    two_kept, alone = [turn(keep=[A, C])], [turn(keep=[A])]
    cases = [
        ("all are kept", [], all_three, "ABC", ""),
        ("one is put out", [], two_kept, "AC", "B"),
        ("all others are put out", [], alone, "A", "BC"),
        ("two rotations at once, the second puts one out", [], [turn(), turn(2, SECOND, THIRD, keep=[A, B])], "AB", "C"),
        ("put out by the first of two, named by the second", [], [turn(keep=[A, C]), turn(2, SECOND, THIRD)], "AC", "B"),
        ("the hub that rotated is put out by another", all_three, [turn(), turn(2, SECOND, THIRD, "site-b", keep=[B, C])], "BC", "A"),
        ("the other chain counts, which keeps others", two_kept, [turn(new=THIRD, keep=[A, B], at=NOW + 1)], "A", "C"),
    ]
    out = []
    for name, known, taken, stay, gone in cases:
        sites = {"A": "site-a", "B": "site-b", "C": "site-c"}
        held = [state(record(sites[one], REPLICA), sites[one]) for one in sorted(stay + gone)]
        out.append(turned(name, known, taken, held, [SITES[sites[one]] for one in gone]))
    stated = state(record("site-b", REPLICA), "site-b", SECOND)
    old = state(record("site-c", REPLICA), "site-c")
    again = [turn(keep=[A, C]), turn(2, SECOND, THIRD, keep=[A, B])]
    return [*out, turned("stated anew by the second key, and kept", two_kept, again, [stated, old], [C])]


def turned(name, known, taken, records, gone):
    case = base(name, "ID-28") | {"first_key": KEYS[FIRST].pem, "known": plain(known), "taken": plain(taken)}
    return case | {"records": plain(records), "gone": gone}


def introductions():
    """A hub that is not known sends `locations`; its record in the envelope may come with rotations."""
    by_new, by_old = state(record("site-c", REPLICA), "site-c", SECOND), state(record("site-c", REPLICA), "site-c")
    alone = [turn(keep=[A, B])]
    cases = [
        ("a record by the new key, with the rotation", by_new | {"rotations": alone}, "ID-34", None),
        ("a record by the new key alone", by_new, "ID-8", "bad-location"),
        ("a record by the first key, kept", by_old | {"rotations": [turn()]}, "ID-27", None),
        ("a record by the first key, not kept", by_old | {"rotations": alone}, "ID-27", "bad-location"),
        ("a rotation that does not hold", by_new | {"rotations": [changed(turn(), "new_sig")]}, "ID-25", "bad-statement"),
        ("33 rotations", by_old | {"rotations": 33 * [turn()]}, "PKT-4", "bad-field"),
    ]
    out = []
    for n, (name, location, requirement, code) in enumerate(cases, 950):
        body = header("locations", "site-c", "site-a", n) | {"records": []}
        case = base(name, requirement) | {"envelope": seal("site-c", body, pack(location)).hex()}
        case |= {"receiver": A, "first_key": KEYS[FIRST].pem, "now": NOW}
        out.append(case | (refused(code) if code else {"code": None}))
    return out


def notice(site="site-b", removed=True, primary=False, serial=NOW, **changes):
    out = {"channel": ALICE, "site": SITES[site], "removed": removed, "primary": primary, "serial": serial}
    out.update(changes)
    return {name: value for name, value in out.items() if value is not None}


def note(fields, key=FIRST, context=b"zot-file-notice\n"):
    """ID-35: with its signature."""
    raw = fields if isinstance(fields, bytes) else pack(fields)
    return {"record": raw, "channel_sig": KEYS[key].sign(context + raw)}


def notices():
    return {"good": notices_good(), "bad": notices_bad(), "order": notices_order()}


def under(name, requirement, chain, statement):
    chain = {"first_key": KEYS[FIRST].pem, "rotations": plain(chain)}
    return base(name, requirement) | chain | {"signed": plain(statement)}


def notices_good():
    cases = [
        ("a clone is removed", [], notice(), FIRST),
        ("a clone is to be primary", [], notice(removed=False, primary=True), FIRST),
        ("a removal ends", [], notice(removed=False, serial=2**63), FIRST),
        ("by the newest key", [turn()], notice(), SECOND),
    ]
    return [
        under(name, "ID-35", chain, note(fields, key)) | {"notice": plain(fields)}
        for name, chain, fields, key in cases
    ]


def notices_bad():
    right = note(notice())
    altered = {**right, "record": pack(notice(site="site-c"))}
    cases = [
        ("the signature altered", [], changed(right, "channel_sig"), "ID-36", "bad-statement"),
        ("the record altered", [], altered, "ID-36", "bad-statement"),
        ("signed by another channel", [], note(notice(), SECOND), "ID-36", "bad-statement"),
        ("signed by the hub", [], note(notice(), "site-b"), "ID-36", "bad-statement"),
        ("signed by the key before a rotation", [turn()], right, "ID-36", "bad-statement"),
        ("signed as a location", [], note(notice(), context=b"zot-file-location\n"), "ID-36", "bad-statement"),
        ("a notice of another channel", [], note(notice(channel=OTHER)), "ID-36", "bad-statement"),
        ("removed and primary", [], note(notice(primary=True)), "ID-36", "bad-statement"),
        ("no site", [], note({k: v for k, v in notice().items() if k != "site"}), "PKT-7", "bad-field"),
        ("a site of 85 characters", [], note(notice() | {"site": B[:-1]}), "PKT-24", "bad-field"),
        ("a byte after the record", [], note(pack(notice()) + b"\0"), "PKT-2", "malformed"),
    ]
    return [under(n, r, chain, s) | refused(c) for n, chain, s, r, c in cases]


def notices_order():
    stay = {"removed": False}
    first = {"removed": False, "primary": True}
    cases = [
        ("a higher serial", {}, stay | {"serial": NOW + 1}, True),
        ("a lower serial", stay | {"serial": NOW + 1}, {}, False),
        ("the same serial, it removes", stay, {}, True),
        ("the same serial, it does not remove", {}, first, False),
        ("the same serial, it makes primary", stay, first, True),
        ("the same notice", {}, {}, False),
    ]
    return [
        base(name, "ID-37")
        | {"first_key": KEYS[FIRST].pem, "rotations": []}
        | {"known": plain(note(notice(**known))), "new": plain(note(notice(**new))), "replaces": replaces}
        for name, known, new, replaces in cases
    ]
