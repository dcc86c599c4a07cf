"""URLs from one home of a channel to another. items.md, TRANS-1 to TRANS-7."""

import base64
import json
import re
from urllib.parse import unquote

from .wire import pack

SCHEME = re.compile(r"(?<![A-Za-z0-9+.-])(https?)://", re.IGNORECASE)
HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.%-]+)(?::([0-9]*))?(?=/)")
WORD = re.compile(r"[\w.%-]*")
PORTS = {"http": "80", "https": "443"}
BY_NICK = (
    "channel cloud dav photos profile album gallery followers following inbox outbox articles cards wiki page webpages "
    "cal chat connect poco hcard feed ofeed viewconnections"
).split()
NAMES = ("id", "inReplyTo", "context", "conversation")
TEXT = ("title", "summary", "body", "html", "permalink")
JSON = ("object", "target", "attach", "tags", "term", "author", "owner", "source")


def home(url, nick, uid=None):
    return {"url": url, "nick": nick, "uid": uid}


def words(text):
    """What a name may be: the whole word, or less of the points with which it ends."""
    word = WORD.match(text)[0]
    yield word
    while word.endswith("."):
        word = word[:-1]
        yield word


def origin(scheme, host, port):
    scheme, host = scheme.lower(), unquote(host).lower()
    if not host.startswith("["):
        host = host.encode("idna").decode()
    port = "" if port in (None, "", PORTS[scheme]) else f":{int(port)}"
    return f"{scheme}://{host}{port}"


def leads_elsewhere(path):
    path = re.match(r'[^\s"<>\[\]{}|\\^`?#]*', path)[0]
    if path.endswith("/."):
        path = path[:-2]
    return any(segment.lower().replace("%2e", ".") in (".", "..") for segment in path.split("/"))


def named(path, source, target, owned):
    """None: not the channel's. Else what in the path is named otherwise: (start, end, text) or ()."""
    if leads_elsewhere(path):
        return None
    module, _, rest = path[1:].partition("/")
    at = len(module) + 2
    if module in BY_NICK:
        for word in words(rest):
            if unquote(word) == source["nick"]:
                return (at, at + len(word), target["nick"]) if source["nick"] != target["nick"] else ()
        return None
    number = re.match(r"profile/[lms]/([0-9]+)(?![\w%-])", rest) if module == "photo" else None
    if number:
        if None in (source["uid"], target["uid"]) or number[1] != str(source["uid"]):
            return None
        return at + number.start(1), at + number.end(1), str(target["uid"])
    if module in ("photo", "attach"):
        found = re.match(r"([A-Za-z0-9_-]{1,64})(?![\w%])", rest)
        names = [found[1]] if found else []
        if names and module == "photo":
            names.append(re.sub(r"-[0-9]$", "", names[0]))
        return () if owned & set(names) else None
    if module in ("item", "activity", "conversation", "display"):
        *_, word = words(rest)
        if module == "display" and word.startswith("b64."):
            raw = word[4:]
            try:
                word = base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4)).decode().rpartition("/")[2]
            except ValueError:
                return None
        return () if word in owned else None
    return None


def edits(text, source, target, owned):
    """(start, end, new), in order."""
    for scheme in SCHEME.finditer(text):
        host = HOST.match(text, scheme.end())
        if not host or origin(scheme[1], host[1], host[2]) != source["url"]:
            continue
        change = named(text[host.end() :], source, target, owned)
        if change is None:
            continue
        if source["url"] != target["url"]:
            yield scheme.start(), host.end(), target["url"]
        if change:
            yield host.end() + change[0], host.end() + change[1], change[2]


def apply(text, changes):
    out, at = "", 0
    for start, end, new in changes:
        out += text[at:start] + new
        at = end
    return out + text[at:]


def text(value, source, target, owned):
    return apply(value, edits(value, source, target, owned))


STRING = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)


def json_edits(value, source, target, owned, key=""):
    """TRANS-6, TRANS-7: the changes of a text that may be JSON."""
    if key in NAMES and re.fullmatch(r"(?i:https?)://[^/]+/(item|activity)/[\w.%-]+", value):
        return
    try:
        is_json = value.lstrip()[:1] in ("{", "[") and (json.loads(value), True)[1]
    except ValueError:
        is_json = False
    if not is_json:
        yield from edits(value, source, target, owned)
        return
    keys = [""]
    for token in re.finditer(r'"(?:[^"\\]|\\.)*"|[{}\[\]]', value, re.DOTALL):
        if token[0] in "{[":
            keys.append(keys[-1])
        elif token[0] in "}]":
            keys.pop()
        elif value[token.end() :].lstrip().startswith(":"):
            keys[-1] = json.loads(token[0])
        else:
            plain, places = spelled(token[0][1:-1], token.start() + 1)
            for start, end, new in json_edits(plain, source, target, owned, keys[-1]):
                raw = value[places[start] : places[end]]
                yield places[start], places[end], new.replace("/", "\\/") if "\\/" in raw else new


def spelled(raw, at):
    """What a JSON string stands for, and where each of its characters is written."""
    plain, places = "", []
    for piece in re.finditer(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u....|\\.|.", raw, re.DOTALL):
        plain += json.loads(f'"{piece[0]}"', strict=False)
        places.append(at + piece.start())
    return plain, [*places, at + len(raw)]


def json_text(value, source, target, owned, key=""):
    return apply(value, json_edits(value, source, target, owned, key))


def value(v, source, target, owned, key=""):
    """JSON that is kept as a value."""
    if isinstance(v, dict):
        return {k: value(x, source, target, owned, k) for k, x in v.items()}
    if isinstance(v, list):
        return [value(x, source, target, owned, key) for x in v]
    return json_text(v, source, target, owned, key) if isinstance(v, str) else v


class All(set):
    """Owns every item, and the resources that it is given."""

    def __contains__(self, name):
        return True


def row(fields, source, target, owned):
    out = {}
    for name, v in fields.items():
        if name in TEXT and isinstance(v, str):
            v = text(v, source, target, owned)
        elif name == "llink" and isinstance(v, str):
            v = text(v, source, target, All(owned))
        elif name in JSON:
            v = value(v, source, target, owned, name)
        out[name] = v
    return out


def packed(fields):
    return pack(fields).hex()
