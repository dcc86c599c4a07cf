"""Whirlpool (ISO/IEC 10118-3:2004): Python's hashlib has none."""

E_BOX = [0x1, 0xB, 0x9, 0xC, 0xD, 0x6, 0xF, 0x3, 0xE, 0x8, 0x7, 0x4, 0xA, 0x2, 0x5, 0x0]
R_BOX = [0x7, 0xC, 0xB, 0xD, 0xE, 0x4, 0x9, 0xF, 0x6, 0x3, 0x8, 0xA, 0x2, 0x5, 0x1, 0x0]
E_INVERSE = [E_BOX.index(x) for x in range(16)]
CIRCULANT = [1, 1, 4, 1, 8, 5, 2, 9]
ROUNDS = 10


def _substitute(x):
    u, l = E_BOX[x >> 4], E_INVERSE[x & 15]
    r = R_BOX[u ^ l]
    return E_BOX[u ^ r] << 4 | E_INVERSE[l ^ r]


def _multiply(a, b):
    """In GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a <<= 1
        if a & 0x100:
            a ^= 0x11D
        b >>= 1
    return product


S_BOX = [_substitute(x) for x in range(256)]
# What byte x in column k of a row adds to the row, as a number of 64 bits.
TABLES = [
    [
        int.from_bytes(bytes(_multiply(S_BOX[x], CIRCULANT[(j - k) % 8]) for j in range(8)), "big")
        for x in range(256)
    ]
    for k in range(8)
]
CONSTANTS = [int.from_bytes(bytes(S_BOX[8 * r : 8 * r + 8]), "big") for r in range(ROUNDS)]


def _round(state):
    """Substitution, cyclic shift of columns, diffusion; rows are numbers of 64 bits."""
    out = []
    for i in range(8):
        row = 0
        for k in range(8):
            row ^= TABLES[k][state[(i - k) % 8] >> (56 - 8 * k) & 0xFF]
        out.append(row)
    return out


def whirlpool(message):
    padded = message + b"\x80"
    padded += b"\0" * ((32 - len(padded)) % 64) + (8 * len(message)).to_bytes(32, "big")
    chain = [0] * 8
    for at in range(0, len(padded), 64):
        block = [int.from_bytes(padded[at + 8 * i : at + 8 * i + 8], "big") for i in range(8)]
        key, state = chain, [b ^ c for b, c in zip(block, chain)]
        for constant in CONSTANTS:
            key = _round(key)
            key[0] ^= constant
            state = [s ^ k for s, k in zip(_round(state), key)]
        chain = [c ^ s ^ b for c, s, b in zip(chain, state, block)]
    return b"".join(row.to_bytes(8, "big") for row in chain)


assert whirlpool(b"").hex().startswith("19fa61d75522a4669b44e39c1d2e1726c530232130d407f8")
assert whirlpool(b"abc").hex().startswith("4e2448a4c6f486bb16b6562c73b4020bf3043e3a731bce72")
assert whirlpool(b"a" * 32) != whirlpool(b"a" * 31)
