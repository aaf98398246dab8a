"""Changes files as they are damaged in life: bytes, lines, numbers, encodings, values of JSON, XML."""

import gzip
import json
import random
import re
from collections.abc import Callable
from typing import Any

from tests.fuzz.seeds import Seed

_STRANGE = [
    "\0", "\x01", "\x1b[31m", "\x85", "\xa0", "\u200b", "\u2028", "\u202e", "\ufeff", "\ufffe", "\ud800",
    "😀", "ß", "\t", "\n", "\r", "\r\n", "\n\n", "|", "|t|", "|a|", "\\", '"', "'", "<", "&", "]]>", "=1+1",
    "/", "../", " ", "   ", ",", ";", "{", "}", "[", "]", "é", "e\u0301", "字", "%s", "\x7f",
]  # fmt: skip
_NUMBERS = ["-1", "0", "1", "3.5", "1e309", "NaN", "00", "99999999999999999999999", "0x10", "١", ""]
_VALUES: list[Any] = [
    None, True, False, 0, -1, 1.5, 10**30, "", "x", "\ud800", "a\tb", "a\nb", [], [[]], ["x"], [1], {},
    {"a": 1}, [None], "D000001,D000002", "0",
]  # fmt: skip
_ENCODINGS = ["utf-16", "utf-16-le", "utf-32", "latin-1", "utf-8-sig", "gbk", "utf-7", "cp037"]
_TAG = re.compile(rb"<[^<>]*>")
_NUMBER = re.compile(rb"\d+")


def mutated(seed: Seed, rng: random.Random) -> Seed:
    """Returns a seed with one to four changes."""
    files = dict(seed)
    for _ in range(rng.randint(1, 4)):
        name = rng.choice(sorted(files))
        files[name] = rng.choice(_CHANGES)(files[name], rng)
    return files


def _bytes(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    new = bytes(rng.randrange(256) for _ in range(rng.randint(0, 3)))
    return data[:at] + new + data[at + rng.randint(0, 3) :]


def _characters(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    new = rng.choice(_STRANGE) * rng.choice([1, 1, 1, 2, 300])
    return data[:at] + new.encode("utf-8", "surrogatepass") + data[at:]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _piece(data: bytes, rng: random.Random) -> bytes:
    """Deletes a piece, or repeats it elsewhere."""
    start, stop, to = sorted(rng.randrange(len(data) + 1) for _ in range(3))
    return data[:start] + data[stop:] if rng.random() < 0.5 else data[:to] + data[start:stop] + data[to:]


def _lines(data: bytes, rng: random.Random) -> bytes:
    lines = data.splitlines(keepends=True) or [b""]
    at, to = rng.randrange(len(lines)), rng.randrange(len(lines))
    if rng.random() < 0.5:
        lines[at], lines[to] = lines[to], lines[at]
    else:
        lines.insert(to, lines[at])
    return b"".join(lines)


def _line_ends(data: bytes, rng: random.Random) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\n", rng.choice([b"\r\n", b"\r", b"\n\n", b"", b"\x85"]))


def _fields(data: bytes, rng: random.Random) -> bytes:
    """Replaces one separator by another."""
    old, new = rng.choice([(b"\t", b" "), (b"\t", b"\t\t"), (b"|", b"\t"), (b" ", b"\t"), (b"\n", b" ")])
    places = [match.start() for match in re.finditer(re.escape(old), data)]
    if not places:
        return data
    at = rng.choice(places)
    return data[:at] + new + data[at + len(old) :]


def _number(data: bytes, rng: random.Random) -> bytes:
    matches = [*_NUMBER.finditer(data)]
    if not matches:
        return data
    match = rng.choice(matches)
    other = rng.choice([*_NUMBERS, *(found[0].decode() for found in matches)])
    return data[: match.start()] + other.encode() + data[match.end() :]


def _encoding(data: bytes, rng: random.Random) -> bytes:
    if rng.random() < 0.2:
        packed = gzip.compress(data, mtime=0)
        return packed if rng.random() < 0.5 else packed[: rng.randrange(len(packed))]
    name = rng.choice(_ENCODINGS)
    if rng.random() < 0.3:
        return data.replace(b"UTF-8", name.encode())
    return data.decode("utf-8", "replace").encode(name, "replace")


def _json(data: bytes, rng: random.Random) -> bytes:
    """Replaces, deletes or renames a value of a JSON file or of a line of JSON."""
    lines = data.split(b"\n")
    whole = len(lines) < 3
    at = 0 if whole else rng.randrange(len(lines))
    try:
        value = json.loads(data if whole else lines[at])
    except ValueError:
        return data
    holders = [*_holders(value)]
    if not holders:
        return data
    holder, key = rng.choice(holders)
    choice = rng.random()
    if choice < 0.7:
        holder[key] = rng.choice(_VALUES)
    elif choice < 0.85 or not isinstance(holder, dict):
        del holder[key]
    else:
        holder[rng.choice(["x", "label", "text", "id", ""])] = holder.pop(key)
    written = json.dumps(value, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    return written if whole else b"\n".join([*lines[:at], written, *lines[at + 1 :]])


def _holders(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, dict):
        keys = [*value]
    elif isinstance(value, list):
        keys = [*range(len(value))]
    else:
        return []
    return [(value, key) for key in keys] + [pair for key in keys for pair in _holders(value[key])]


def _xml(data: bytes, rng: random.Random) -> bytes:
    """Deletes, repeats or moves a tag, or puts an element, a comment or an entity somewhere."""
    tags = [*_TAG.finditer(data)]
    if not tags:
        return data
    tag = rng.choice(tags)
    at = rng.randrange(len(data) + 1)
    new = rng.choice(
        [b"", tag[0] * 2, b"<b>x</b>", b"<!-- - -->", b"<![CDATA[a]]>", b"&#0;", b"&x;", b"<x/>"]
    )
    if rng.random() < 0.5:
        return data[: tag.start()] + new + data[tag.end() :]
    return data[:at] + new + data[at:]


_CHANGES: list[Callable[[bytes, random.Random], bytes]] = [
    _bytes, _characters, _characters, _cut, _piece, _lines, _line_ends, _fields, _number, _number, _encoding,
    _json, _json, _json, _xml, _xml,
]  # fmt: skip
