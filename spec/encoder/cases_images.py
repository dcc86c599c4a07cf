"""Cases for photos.md: what is an image, what is cut out of it, and what an edit says that chooses one: images.json."""

import base64
import struct
import zlib

MOST = 134_217_728
RED, GREEN, BLUE, WHITE = (220, 20, 20), (20, 200, 20), (20, 20, 220), (235, 235, 235)


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, color=2, pixels=None, before=b"", depth=8):
    """A PNG of these rows of samples; without them there is nothing behind its header."""
    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)) + before
    if pixels is None:
        return head
    return head + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + bytes(row) for row in pixels), 9)) + chunk(b"IEND", b"")


def exif(orientation):
    """A block that says nothing but an orientation, big-endian."""
    block = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0" + bytes([orientation]) + bytes(6)
    return chunk(b"eXIf", block)


def quarters(width, height):
    """Red, green, blue, white: left above, right above, left below, right below."""
    def at(x, y):
        return ((RED, GREEN), (BLUE, WHITE))[y >= height // 2][x >= width // 2]
    return [[sample for x in range(width) for sample in at(x, y)] for y in range(height)]


def jpeg(width=8, height=8, marker=0xC0, pixels=True):
    """A grey JPEG of 8 x 8 pixels, its tables as short as they can be; or a frame header that claims other sizes."""
    def segment(kind, body):
        return bytes([0xFF, kind]) + struct.pack(">H", len(body) + 2) + body
    out = b"\xff\xd8" + segment(0xDB, b"\0" + b"\1" * 64)
    out += segment(marker, struct.pack(">BHHB", 8, height, width, 1) + b"\1\x11\0")
    if not pixels:
        return out
    table = b"\1" + bytes(15) + b"\0"
    out += segment(0xC4, b"\0" + table) + segment(0xC4, b"\x10" + table)
    return out + segment(0xDA, b"\1\1\0\0\x3f\0") + b"\x3f\xff\xd9"


def gif(width, height):
    """A GIF of one grey pixel on a screen of this size."""
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\x80\x80\x80\0\0\0"
    return screen + b",\0\0\0\0\1\0\1\0\0" + b"\2\2\x44\1\0;"


WEBP = base64.b64decode("UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==")
"""One pixel, without loss."""


def webp(width, height):
    """The header of an extended WebP file with a canvas of this size, and nothing behind it."""
    body = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    inner = b"WEBPVP8X" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(inner)) + inner


def images():
    """Whether a file may be decoded by what its header says, its size as shown, and whether it has scales in the end."""
    picture = png(30, 20, pixels=quarters(30, 20))
    whole = jpeg()
    cases = [
        ("a PNG", picture, (30, 20), True),
        ("a PNG that is to be turned", png(30, 20, before=exif(6), pixels=quarters(30, 20)), (20, 30), True),
        ("a PNG that is to be turned by half", png(30, 20, before=exif(3), pixels=quarters(30, 20)), (30, 20), True),
        ("a PNG of one grey pixel", png(1, 1, 0, [[128]]), (1, 1), True),
        ("a JPEG", whole, (8, 8), True),
        ("a GIF", gif(1, 1), (1, 1), True),
        ("a WebP", WEBP, (1, 1), True),
        ("a PNG that was cut in its pixels", picture[:-40], (30, 20), False),
        ("a PNG whose pixels are noise", png(30, 20) + chunk(b"IDAT", b"\1" * 99) + chunk(b"IEND", b""), (30, 20), False),
        ("a JPEG that was cut before its pixels", whole[:-5], (8, 8), False),
        ("a JPEG without its end", whole[:-2], (8, 8), False),
        ("a JPEG that was cut in its tables", whole[:80], None, False),
        ("a PNG that claims as many pixels as there may be", png(16_384, 8192, 0) + chunk(b"IEND", b""), (16_384, 8192), False),
        ("a PNG that claims a row more", png(16_384, 8193, 0) + chunk(b"IEND", b""), None, False),
        ("a PNG that claims all that fits its header", png(2**31 - 1, 2**31 - 1, 0) + chunk(b"IEND", b""), None, False),
        ("a PNG of one row that is too long", png(MOST + 1, 1, 0) + chunk(b"IEND", b""), None, False),
        ("a whole PNG with a pixel too many", png(MOST + 1, 1, 0, [bytes(MOST // 8 + 1)], depth=1), None, False),
        ("a PNG without rows", png(5, 0, 0) + chunk(b"IEND", b""), None, False),
        ("a JPEG that claims as many pixels as there may be", jpeg(16_384, 8192, pixels=False), (16_384, 8192), False),
        ("a JPEG that claims too many", jpeg(16_384, 8193, pixels=False), None, False),
        ("a progressive JPEG that claims too many", jpeg(65_535, 65_535, 0xC2, False), None, False),
        ("a GIF that claims too many", gif(65_535, 65_535), None, False),
        ("a WebP that claims too many", webp(16_384, 8193), None, False),
        ("nothing", b"", None, False),
        ("text", b"hello, I am no image", None, False),
        ("the beginning of a PNG", picture[:8], None, False),
        ("a drawing as text", b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', None, False),
    ]
    assert all(size is None or size[0] * size[1] <= MOST for _, _, size, _ in cases)
    return [
        {"name": n, "requirement": "PHOTO-6", "image": raw.hex(), "size": list(size) if size else None, "scales": scales}
        for n, raw, size, scales in cases
    ]


SIZES = {4: (300, 300), 5: (80, 80), 6: (48, 48), 7: (1200, 435), 8: (850, 310), 9: (425, 160)}
OF = {4: 0, 5: 4, 6: 4, 7: 0, 8: 7, 9: 7}


def cut():
    """A rectangle of an image as shown, the scales that are made of it, and colours at some of their points, in percent from
    their left upper corner."""
    upright = png(120, 80, pixels=quarters(120, 80))
    turned = [list(row) for row in quarters(120, 80)]
    lying = png(80, 120, before=exif(6), pixels=quarter_turn(turned))
    corners = lambda a, b, c, d: [(10, 10, a), (90, 10, b), (10, 90, c), (90, 90, d)]  # noqa: E731
    all_four = corners(RED, GREEN, BLUE, WHITE)
    cases = [
        ("the middle, for the profile", upright, (20, 0, 80, 80), 4, all_four),
        ("one quarter, for the profile", upright, (62, 2, 36, 36), 4, corners(GREEN, GREEN, GREEN, GREEN)),
        ("above, for the profile", upright, (45, 5, 30, 30), 4, corners(RED, GREEN, RED, GREEN)),
        ("a piece that is smaller than the scale", upright, (58, 38, 4, 4), 4, all_four),
        ("turned before it is cut", lying, (20, 0, 80, 80), 4, all_four),
        ("turned, one quarter", lying, (2, 42, 36, 36), 4, corners(BLUE, BLUE, BLUE, BLUE)),
        ("the middle, for the cover", upright, (0, 18, 120, 44), 7, all_four),
        ("below, for the cover", upright, (2, 50, 110, 28), 7, corners(BLUE, WHITE, BLUE, WHITE)),
        ("turned, for the cover", lying, (0, 18, 120, 44), 7, all_four),
    ]
    out = []
    for name, image, crop, first, points in cases:
        scales = [{"scale": n, "of": OF[n], "size": list(SIZES[n])} for n in range(first, first + 3)]
        points = [{"x": x, "y": y, "color": list(color)} for x, y, color in points]
        out.append({"name": name, "requirement": "PHOTO-5", "image": image.hex(), "crop": list(crop), "scales": scales, "points": points})
    return out


def quarter_turn(rows):
    """Stored so that turning it by a quarter clockwise, as orientation 6 says, shows these rows."""
    pixels = [[tuple(row[3 * x : 3 * x + 3]) for x in range(len(row) // 3)] for row in rows]
    height, width = len(pixels), len(pixels[0])
    return [[sample for x in range(height) for sample in pixels[x][width - 1 - y]] for y in range(width)]


def choices():
    """Edits one after the other. After each, of the image that it edits: the scales that have a use, which, and the number of
    the edit whose meta version's clock is `chosen`."""
    def profile(edit):
        return {scale: [1, edit] for scale in "456"}

    def cover(edit):
        return {scale: [16, edit] for scale in "789"}

    cases = [
        ("chosen, and edited later", [
            ("choose", "a", 1, profile(1)), ("title", "a", None, profile(1)), ("access", "a", None, profile(1)),
            ("move", "a", None, profile(1))]),
        ("chosen again with another piece", [("choose", "a", 1, profile(1)), ("choose", "a", 1, profile(2))]),
        ("both", [
            ("choose", "a", 1, profile(1)), ("choose", "a", 16, profile(1) | cover(2)), ("title", "a", None, profile(1) | cover(2)),
            ("choose", "a", 1, profile(4) | cover(2))]),
        ("another one, and the first again", [
            ("choose", "a", 1, profile(1)), ("choose", "b", 1, profile(2)), ("title", "b", None, profile(2)), ("choose", "a", 1, profile(4)),
            ("choose", "b", 16, cover(5)), ("title", "a", None, profile(4))]),
    ]
    return [
        {
            "name": name, "requirement": "PHOTO-8",
            "edits": [
                {"do": do, "image": image} | ({"photo_usage": usage} if usage else {}) | {"uses": uses}
                for do, image, usage, uses in edits
            ],
        }
        for name, edits in cases
    ]


def cases():
    return {"images": images(), "cut": cut(), "choices": choices()}
