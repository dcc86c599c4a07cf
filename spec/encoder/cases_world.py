"""Cases for what a hub knows of time and of the network: replays.json (signing.md), addresses.json (identity.md)."""

from .wire import LIFE, NOW, uuid7

MINUTE = 60_000


def replays():
    return {"memories": [{"name": name, "requirement": requirement, "steps": steps} for name, requirement, steps in memories()]}


def packet(n, now, said, at=NOW, life=LIFE):
    """A packet comes that changes something: it is taken, answered again, or refused as stale."""
    return {"do": "packet", "now": now, "id": uuid7(n).hex(), "at": at, "expires": at + life, "said": said}


def of_another(step):
    """The same from another hub."""
    return step | {"hub": "t" * 86}


def forget(now):
    """All is forgotten that may be (SIGN-8)."""
    return {"do": "forget", "now": now}


RESTART = {"do": "restart"}


def memories():
    end = NOW + LIFE
    gone = end + 5 * MINUTE + 1
    first = packet(1, NOW, "taken")
    forgotten = [first, forget(gone)]
    return [
        ("the same packet twice", "SIGN-9", [first, packet(1, NOW + 1, "again"), RESTART, packet(1, end, "again")]),
        ("another hub's of the same id", "SIGN-9", [
            first, of_another(first), packet(1, NOW + 1, "again"), of_another(packet(1, NOW + 1, "again")), RESTART,
            of_another(packet(1, NOW + 2, "again")), packet(1, NOW + 2, "again")]),
        ("too late", "SIGN-6", [first, packet(1, end + 1, "stale"), packet(2, end + 1, "stale")]),
        ("kept five minutes longer", "SIGN-8", [first, forget(gone - 2), packet(1, NOW, "again")]),
        ("forgotten, and the clock set back", "SIGN-12", [*forgotten, packet(1, NOW + 1, "stale")]),
        ("forgotten, set back, and started again", "SIGN-12", [*forgotten, RESTART, packet(1, NOW + 1, "stale")]),
        ("another one that ends in the same ms", "SIGN-12", [*forgotten, packet(2, NOW + 1, "stale")]),
        ("another one that ended before", "SIGN-12", [*forgotten, packet(2, NOW + 1, "stale", NOW - 1)]),
        ("another one that ends a ms later", "SIGN-12", [*forgotten, packet(2, NOW + 1, "taken", NOW + 1), packet(2, NOW + 2, "again", NOW + 1)]),
        ("nothing was forgotten", "SIGN-12", [first, forget(NOW + MINUTE), packet(2, NOW - MINUTE, "taken", NOW - MINUTE)]),
        ("what is forgotten later ended earlier", "SIGN-12", [
            *forgotten, packet(3, NOW + 2, "taken", NOW + 2), forget(gone + 2), packet(1, NOW + 1, "stale"), packet(3, NOW + 2, "stale", NOW + 2),
            packet(4, NOW + 3, "taken", NOW + 3)]),
        ("the mark is the latest that was forgotten, not the last", "SIGN-12", [
            packet(1, NOW, "taken", NOW, LIFE), packet(2, NOW, "taken", NOW, MINUTE), forget(NOW + 6 * MINUTE + 1),
            packet(2, NOW, "stale", NOW, MINUTE), packet(1, NOW, "again"), packet(3, NOW, "taken", NOW, MINUTE + 1),
            forget(gone), packet(3, NOW, "stale", NOW, MINUTE + 1), packet(4, NOW, "stale", NOW, 2 * MINUTE), packet(1, NOW, "stale")]),
    ]


PUBLIC = [
    "1.1.1.1", "9.255.255.255", "11.0.0.0", "93.184.216.34", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0", "169.253.255.255",
    "169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0", "192.0.3.0", "192.88.98.255", "192.88.100.0", "192.167.255.255",
    "192.169.0.0", "198.17.255.255", "198.20.0.0", "198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255",
    "2001:200::1", "2001:db7:ffff::1", "2001:db9::1", "2606:2800:220:1::1", "2a00::1", "3ffe:ffff::1", "3fff:1000::1",
    "::ffff:93.184.216.34", "64:ff9b::5db8:d822", "2002:5db8:d822::1",
]
SPECIAL = [
    "0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1", "127.255.255.255", "169.254.0.0",
    "169.254.169.254", "172.16.0.0", "172.31.255.255", "192.0.0.0", "192.0.0.255", "192.0.2.1", "192.88.99.1", "192.168.0.0", "192.168.255.255",
    "198.18.0.0", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::2", "::7f00:1", "::ffff:0:7f00:1", "100::1", "5f00::1", "fc00::1", "fdff::1", "fe80::1", "febf::1", "fec0::1", "ff02::1", "ff0e::1",
    "2001::1", "2001:0:a00:1::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:1ff:ffff::1", "2001:db8::1", "2001:db8:ffff::1", "3fff::1", "3fff:fff::1",
    "4000::1", "1fff::1", "64:ff9b:1::a00:1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b::c0a8:1", "2002:7f00:1::", "2002:a9fe:a9fe::1",
    "2002:c0a8:1::1", "::ffff:0.0.0.0", "64:ff9b::e000:1",
]


def addresses():
    """ID-15, by the table of ranges; who else is allowed is in a hub's own configuration."""
    return {"addresses": [
        {"name": address, "requirement": "ID-15", "address": address, "public": public}
        for public, some in ((True, PUBLIC), (False, SPECIAL)) for address in some
    ]}
