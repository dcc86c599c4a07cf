"""Which addresses may be connected to (ID-15)."""

import ipaddress

SPECIAL = [
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
        "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
        "2001::/23", "2001:db8::/32", "3fff::/20",
    )
]  # fmt: skip
GLOBAL = ipaddress.ip_network("2000::/3")
CARRIERS = {"::ffff:0:0/96": 0, "64:ff9b::/96": 0, "2002::/16": 80}
"""Networks of IPv6 whose addresses carry one of IPv4, and how many bits follow it."""


def carried(address):
    """The IPv4 address inside an IPv6 one, or the address itself."""
    for network, after in CARRIERS.items():
        if address.version == 6 and address in ipaddress.ip_network(network):
            return ipaddress.IPv4Address(int(address) >> after & 0xFFFFFFFF)
    return address


def is_public(address):
    return (address.version == 4 or address in GLOBAL) and not any(address in network for network in SPECIAL)


def allowed(text, networks):
    """A public address, or one that the configuration names."""
    address = ipaddress.ip_address(text.split("%")[0])
    inner = carried(address)
    return any(one in network for one in (address, inner) for network in networks) or is_public(inner)
