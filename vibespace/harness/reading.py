"""Lines as agent programs write them, read without trust: whatever the bytes, there is an answer and no exception."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from vibespace.harness.events import Unparsed

LONGEST = 16 << 20
"""Bytes of a line that is still read: more than ten times what either program was seen to write."""

DEEPEST = 100
"""Nesting that is still read. What reads it after us recurses, and must not run out of stack."""

MOST = 100_000
"""Values in a line that is still read: of millions, which fit, the reading takes seconds."""

MOST_PARTS = 1000
"""Parts of one message that are told one by one: ten times as many as we ask for at once."""

LONGEST_NAME = 500
"""Characters of a name."""

LARGEST = 2**53
"""Of whole numbers: what every reader of JSON can hold, and more than anything that is counted here."""

NO_UTF8, NO_JSON = "not UTF-8", "not JSON"
"""Why there is none in a line; one that was cut short is one of these."""

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_LONE = re.compile("[\ud800-\udfff]")

Object = Mapping[str, Any]


def decode(line: bytes) -> dict[str, Any] | Unparsed:
    """The JSON object in `line`, safe to be written as JSON again, or why there is none."""
    if len(line) > LONGEST:
        return Unparsed(why=f"a line of {len(line)} bytes")
    parts = _parts(line)
    if parts > MOST:
        return Unparsed(why=f"a line of {parts} parts")
    try:
        found = _DECODER.decode(line.decode())
    except UnicodeDecodeError:
        return Unparsed(why=NO_UTF8)
    except RecursionError:
        return Unparsed(why="nested too deeply")
    except ValueError:  # also of whole numbers with thousands of digits
        return Unparsed(why=NO_JSON)
    if not isinstance(found, dict):
        return Unparsed(why="not an object")
    if parts > DEEPEST and _deeper(found, DEEPEST):
        return Unparsed(why="nested too deeply")
    return _mended(found) if _SURROGATE.search(line) else found


def text(value: object, *path: str) -> str:
    """The string at `path` within `value`; empty if there is none."""
    found = _at(value, path)
    return found if isinstance(found, str) else ""


def called(value: object, *path: str) -> str:
    """The name at `path`, of what may be remembered: empty too where it is longer than any that programs give."""
    found = text(value, *path)
    return found if len(found) <= LONGEST_NAME else ""


def whole(value: object, *path: str) -> int | None:
    """The whole number at `path`, if it is none that nothing could count to."""
    found = amount(value, *path)
    return round(found) if found is not None and -LARGEST <= found <= LARGEST else None


def count(value: object, *path: str) -> int:
    """As `whole`, 0 if there is none."""
    return whole(value, *path) or 0


def amount(value: object, *path: str) -> float | None:
    """The number at `path`."""
    found = _at(value, path)
    try:
        return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None
    except OverflowError:
        return None


def percent(share: float | None) -> int | None:
    """Of 100, up to ten times as much; None for what cannot be a share of anything."""
    return round(share) if share is not None and 0 <= share <= 1000 else None


def true(value: object, *path: str) -> bool:
    """Whether `path` leads to true."""
    return _at(value, path) is True


def mapping(value: object, *path: str) -> dict[str, Any]:
    """The object at `path`; empty if there is none."""
    found = _at(value, path)
    return found if isinstance(found, dict) else {}


def items(value: object, *path: str) -> list[Any]:
    """The list at `path`; empty if there is none."""
    found = _at(value, path)
    return found if isinstance(found, list) else []


def encode(value: Object) -> bytes:
    """One line, in ASCII: programs have ended themselves over a line that is no JSON."""
    return json.dumps(value).encode()


def _parts(line: bytes) -> int:
    """How many brackets and commas are in `line`; if they are many, without those in strings, as far as it matters."""
    found = line.count(b"{") + line.count(b"[") + line.count(b",")
    if found <= MOST:
        return found
    bare = line.replace(rb"\\", b"").replace(rb"\"", b"")
    strings = bare.count(b'"') // 2
    if strings > 2 * MOST + 2:  # between two of them there is at least one mark, or a colon with a mark before it
        return strings // 2
    outside = b"".join(bare.split(b'"')[::2])
    return outside.count(b"{") + outside.count(b"[") + outside.count(b",")


def _at(value: object, path: tuple[str, ...]) -> object:
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("too large for a number")
    return number


def _deeper(value: object, limit: int) -> bool:
    """Whether `value` is nested more than `limit` deep; without recursion, which is what this guards."""
    level = [value]
    for _ in range(limit):
        level = [
            below
            for each in level
            for below in (each.values() if isinstance(each, dict) else each if isinstance(each, list) else ())
        ]
        if not level:
            return False
    return True


def _mended(value: Any) -> Any:
    """`value` with halves of surrogate pairs replaced, for no UTF-8 can hold them."""
    if isinstance(value, str):
        return _LONE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_mended(each) for each in value]
    if isinstance(value, dict):
        return {_mended(key): _mended(each) for key, each in value.items()}
    return value


_DECODER = json.JSONDecoder(parse_constant=_no_number, parse_float=_finite)
"""Made once: `json.loads` would make one for each line."""
