"""Text as a terminal shows it: how many columns it takes, and where it is broken or ended."""

from __future__ import annotations

import unicodedata

_MARKS = "@.:/_-"
"""After these a long name may be broken."""


def width(text: str) -> int:
    """Columns on a terminal: East Asian wide characters take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(_width(c) for c in text)


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fill(text: str, room: int) -> str:
    """`text` with spaces up to `room` columns."""
    return text + " " * (room - width(text))


def cut(text: str, room: int) -> str:
    """`text`, ended by `…` where it would be wider."""
    return text if width(text) <= room else (_beginning(text, room - 1) + "…").rstrip()


def wrap(text: str, room: int, hang: int = 0) -> list[str]:
    """`text` in lines of at most `room` columns, broken between words; in a word that is longer, after a mark, or else
    anywhere. All but the first begin with `hang` spaces, or where half of the room begins. A wide character stands
    alone where there is only one column, and sticks out.
    """
    lines: list[str] = []
    before, hanging = "", " " * min(hang, room // 2)
    while (line := _beginning(text, room - len(before))) != text:
        line = line or text[0]
        line = line[: _break(line, text[len(line) : len(line) + 1])]
        lines.append(before + line.rstrip())
        text, before = text[len(line) :].lstrip(), hanging
    return [*lines, before + text] if text or not lines else lines


def _break(line: str, following: str) -> int:
    """Where to break `line`, after which there was no room for `following`, a character or none."""
    between = len(line) if following == " " else line.rfind(" ")
    if line[: max(between, 0)].strip():
        return between
    mark = max(line.rfind(mark) for mark in _MARKS) + 1
    return mark if mark > len(line) // 2 else len(line)


def _beginning(text: str, room: int) -> str:
    used = 0
    for at, character in enumerate(text):
        used += _width(character)
        if used > room:
            return text[:at]
    return text
