"""Whirlpool (ISO/IEC 10118-3:2004), which Python's hashlib does not have.

Slow and plain: it hashes a URL or a guid and one key, nothing more.
"""

# The substitution box is made of three small ones.
E = [0x1, 0xB, 0x9, 0xC, 0xD, 0x6, 0xF, 0x3, 0xE, 0x8, 0x7, 0x4, 0xA, 0x2, 0x5, 0x0]
R = [0x7, 0xC, 0xB, 0xD, 0xE, 0x4, 0x9, 0xF, 0x6, 0x3, 0x8, 0xA, 0x2, 0x5, 0x1, 0x0]
E_INVERSE = [E.index(i) for i in range(16)]
ROW = [1, 1, 4, 1, 8, 5, 2, 9]
ROUNDS = 10


def _substitute(byte):
    high, low = E[byte >> 4], E_INVERSE[byte & 15]
    middle = R[high ^ low]
    return E[high ^ middle] << 4 | E_INVERSE[low ^ middle]


def _times(a, b):
    """The product in GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a = a << 1 ^ (0x11D if a & 0x80 else 0)
        b >>= 1
    return product


SBOX = [_substitute(byte) for byte in range(256)]
PRODUCT = {factor: [_times(byte, factor) for byte in range(256)] for factor in set(ROW)}
CONSTANTS = [SBOX[8 * r : 8 * r + 8] + [0] * 56 for r in range(ROUNDS)]


def _xor(a, b):
    return [x ^ y for x, y in zip(a, b)]


def _round(key, state):
    """Substitute, shift column j down by j, mix each row, add the key. A state is 8 rows of 8 bytes."""
    shifted = [SBOX[state[(i - j) % 8 * 8 + j]] for i in range(8) for j in range(8)]
    mixed = []
    for i in range(0, 64, 8):
        for j in range(8):
            byte = 0
            for t in range(8):
                byte ^= PRODUCT[ROW[(j - t) % 8]][shifted[i + t]]
            mixed.append(byte)
    return _xor(mixed, key)


def whirlpool(data):
    """The 64 bytes of the Whirlpool hash of `data`."""
    padded = data + b"\x80"
    padded += bytes((32 - len(padded)) % 64) + (8 * len(data)).to_bytes(32, "big")
    hashed = [0] * 64
    for start in range(0, len(padded), 64):
        block = list(padded[start : start + 64])
        key, state = hashed, _xor(block, hashed)
        for constant in CONSTANTS:
            key = _round(constant, key)
            state = _round(key, state)
        hashed = _xor(_xor(state, hashed), block)
    return bytes(hashed)
