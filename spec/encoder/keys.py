"""Keys: the test keys, SPKI PEMs, ids, signatures. identity.md."""

import base64
import hashlib
import pathlib

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from .whirlpool import whirlpool

FOLDER = pathlib.Path(__file__).parent.parent / "vectors" / "keys"


def b64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def read(name):
    return (FOLDER / f"{name}.pem").read_text()


def _tlv(tag, value):
    length = len(value)
    if length < 128:
        head = bytes([length])
    else:
        digits = length.to_bytes((length.bit_length() + 7) // 8, "big")
        head = bytes([0x80 | len(digits)]) + digits
    return bytes([tag]) + head + value


def _integer(n):
    return _tlv(2, n.to_bytes(n.bit_length() // 8 + 1, "big"))


def spki_pem(n, e):
    """ID-2: the one form of a public key."""
    key = _tlv(0x30, _integer(n) + _integer(e))
    algorithm = _tlv(0x30, bytes.fromhex("06092a864886f70d0101010500"))
    text = base64.b64encode(_tlv(0x30, algorithm + _tlv(3, b"\0" + key))).decode()
    lines = [text[i : i + 64] for i in range(0, len(text), 64)]
    return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])


def odd_number(bits):
    """A number of exactly so many bits that looks like a modulus; nobody has its factors."""
    digits = b"".join(hashlib.sha256(f"modulus {bits} {i}".encode()).digest() for i in range(bits // 256 + 1))
    n = int.from_bytes(digits, "big") % (1 << bits)
    return n | 1 << (bits - 1) | 1


class TestKey:
    """A published private key, for tests only."""

    def __init__(self, name):
        self.name = name
        self.private = serialization.load_pem_private_key(read(f"test-only-{name}").encode(), None)
        numbers = self.private.public_key().public_numbers()
        self.pem = spki_pem(numbers.n, numbers.e)
        self.bits = self.private.key_size

    def sign(self, message):
        return self.private.sign(message, padding.PKCS1v15(), hashes.SHA256())


def portable_id(guid, pem):
    return b64url(whirlpool(guid.encode() + pem.encode()))


def site_id(url, pem):
    return b64url(whirlpool(url.encode() + pem.encode()))
