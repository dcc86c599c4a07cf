"""What the fields of one operation, its rows, photos and items say together (sync.md, photos.md, items.md)."""

import re

from chunks import chunk_count, split, tree_hash
from refusals import Refused, need
from shapes import boolean, fields, pattern, text, uint, unpack_map
from versions import has_seen


def row_of(data):
    """The fields of an attach row (SYNC-6, SYNC-18)."""
    need(isinstance(data, bytes) and len(data) <= 65536, "a row")
    try:
        row = unpack_map(data)
    except Refused as refusal:
        raise Refused("bad-field", refusal.text) from None
    need(len(row) <= 64 and not row.twice, "a row")
    ROW(row)
    return row


def photo_of(data):
    """The fields of a photo row (PHOTO-1)."""
    need(isinstance(data, bytes) and len(data) <= 16384, "a photo row")
    try:
        row = unpack_map(data)
    except Refused as refusal:
        raise Refused("bad-field", refusal.text) from None
    need(len(row) <= 64 and not row.twice, "a photo row")
    PHOTO(row)
    return row


def crop(value):
    """x, y, width and height of a rectangle with an area."""
    need(isinstance(value, list) and len(value) == 4, "a rectangle")
    for number in value:
        U32(number)
    x, y, width, height = value
    need(width and height and x + width < 1 << 32 and y + height < 1 << 32, "an area")


def check_photos(photos, row):
    """PHOTO-2."""
    scales = {photo["imgscale"] for photo in photos}
    own = all(photo["resource_id"] == row["hash"] for photo in photos)
    need(own and len(scales) == len(photos) and not (photos and row["is_dir"]), "photo rows")


RESOURCE = pattern(r"[A-Za-z0-9_-]{1,64}")
U32, ANY_TEXT = uint(2**32 - 1), text(65536)
ROW = fields(
    hash=RESOURCE, creator=ANY_TEXT, filename=ANY_TEXT, filetype=ANY_TEXT, filesize=uint(), revision=U32,
    folder=pattern(r"[A-Za-z0-9_-]{0,64}"), flags=U32, is_dir=uint(255), is_photo=uint(255), created=ANY_TEXT,
    edited=ANY_TEXT, allow_cid=ANY_TEXT, allow_gid=ANY_TEXT, deny_cid=ANY_TEXT, deny_gid=ANY_TEXT,
    mtime_=uint(), executable_=boolean, title_=ANY_TEXT,
)  # fmt: skip
PHOTO = fields(
    resource_id=RESOURCE, imgscale=uint(9), width=U32, height=U32, mimetype=ANY_TEXT, filesize=uint(),
    photo_usage=uint(65535), profile=uint(255), title=ANY_TEXT, description=ANY_TEXT, album=ANY_TEXT, crop_=crop,
    chosen_=uint(2**63 - 1),
)  # fmt: skip
# What means something on one hub only (SYNC-19), and the register of every other field (SYNC-7: unknown ones are meta).
LOCAL = {"id", "aid", "uid", "content", "os_path", "display_path", "os_storage"}
PLACE = {"filename", "folder"}
CONTENT = {"filetype", "filesize", "revision", "is_photo", "edited", "mtime", "executable"}
OF_A_FOLDERS_META = {"edited", "mtime", "executable"}
MOST = 1 << 44
OPERATIONS = ("put", "place", "meta", "remove")


def good_name(name):
    """SYNC-6."""
    return name not in ("", ".", "..") and len(name.encode()) <= 255 and not set("/\0") & set(name)


def check_operation(op):
    """What the fields of one operation say together; returns its rows (SYNC-4 to 6, SYNC-14, SYNC-33, 34, 36, FILE-3, 15, 16)."""
    need(op["op"] in OPERATIONS, op["op"], "unsupported-operation")
    rows, data = [row_of(part["row"]) for part in op["attach"]], op.get("data") or []
    need(rows, "no row", "bad-place")
    parent = rows[0]["folder"]
    cycle = {row["hash"] for row in rows if row["is_dir"]}
    need(parent == "" or parent in cycle, "the top", "bad-place")
    for number, row in enumerate(rows):
        name = row["filename"]
        need(good_name(name), name, "bad-name")
        need(row["folder"] == parent and (row["is_dir"] or number == len(rows) - 1), "parents", "bad-place")
        parent = row["hash"]
    roles = [content["role"] for content in data]
    entry = op["attach"][-1]
    content, removed = entry.get("content"), entry.get("removed")
    need(removed or op["op"] != "remove", "a removal of nothing")
    if rows[-1]["is_dir"]:
        need(content is None and not data, "a folder with content")
    else:
        gone = content and removed and has_seen(removed, content)
        need(content and ("file" in roles or gone) and len(set(roles)) == len(roles), "contents")
    check_photos([photo_of(row) for row in op.get("photo") or []], rows[-1])
    check_items(op.get("item") or [])
    for content in data:
        size, digests = content["size"], content.get("digests")
        need(size <= MOST, "size")
        need(content["role"] != "file" or size == rows[-1]["filesize"], "size")
        chunks = chunk_count(size)
        need((digests is not None) == (2 <= chunks <= 32), "digests")
        if digests is not None:
            need(len(digests) == 32 * chunks, "digests")
            need(tree_hash(split(digests)) == content["root"], "root", "bad-content")
        need(size or content["root"] == tree_hash([]), "root", "bad-content")
    return rows


def is_map(data):
    try:
        return unpack_map(data) is not None
    except Refused:
        return False


def check_items(items):
    """ITEM-1 to ITEM-4."""
    need(len({item["mid"] for item in items}) == len(items), "an item twice")
    for item in items:
        need(all(name and "\0" not in name for name in (item["mid"], item["nick"])), "no name")
        need((item.get("uid") or 0) < 1 << 63, "a number")
        if item.get("row") is None:
            continue
        need(len(item["row"]) <= 524_288 and is_map(item["row"]), "an item's row")
        row = unpack_map(item["row"])
        need(len(row) <= 256 and not row.twice and json_holds(row), "an item's row")
        need(not {"id", "aid", "uid", "parent"} & set(row), "a hub's own numbers")
        need(all(isinstance(row.get(name), str) for name in ("message_id", "uuid", "body")), "an item's row")
        need(1 <= len(row["uuid"].encode()) <= 255 and "\0" not in row["uuid"], "an item's uuid")
        need(row["message_id"] == item["mid"], "an item's name")


def json_holds(value):
    if isinstance(value, dict):
        return all(isinstance(key, str) and json_holds(element) for key, element in value.items())
    if isinstance(value, list):
        return all(map(json_holds, value))
    if isinstance(value, str):
        return value.isprintable() or not re.search("[\ud800-\udfff]", value)
    return not isinstance(value, bytes) and value not in (float("inf"), float("-inf")) and value == value
