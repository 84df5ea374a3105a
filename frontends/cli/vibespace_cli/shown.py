"""What agents write, as a terminal may show it: no control character, and none that turns text around, gets through."""

from __future__ import annotations

import json
import re
import unicodedata

_BRIEF = 160
"""Characters of what a tool is given, on one line."""


def text(written: str) -> str:
    """Lines stay lines, and prose has spaces of many kinds; whatever else is not to be seen is shown by its number."""
    return "".join(c if c in "\n\t" or _is_space(c) else whole(c) for c in written.replace("\r\n", "\n"))


def whole(written: str) -> str:
    """All of it, where each character counts: one that is not to be seen, or is taken for a space, by its number."""
    return "".join(c if c.isprintable() else _escaped(c) for c in written)


def lines(written: str) -> list[str]:
    """As `whole`, but lines stay lines, and a tab is the spaces that it looks like."""
    return [whole(each.expandtabs()) for each in written.replace("\r\n", "\n").removesuffix("\n").split("\n")]


def line(written: str) -> str:
    """The beginning, on one line."""
    short = written if len(written) <= _BRIEF else f"{written[: _BRIEF - 1]}…"
    return whole(short)


def brief(given: str) -> str:
    """What a tool is given (JSON), on one line: of a command that, if beside it is only what for and where."""
    try:
        fields = json.loads(given)
    except ValueError:
        return line(given)
    if not isinstance(fields, dict):
        return line(given)
    command = fields.pop("command", None)
    for beside in ("description", "cwd"):
        fields.pop(beside, None)
    return line(command) if isinstance(command, str) and not fields else line(given)


def as_json(written: str) -> str:
    """The same JSON: it has numbers of its own for what is not to be seen."""
    return re.sub(r"[^\n -~]", lambda found: found[0] if _is_plain(found[0]) else json.dumps(found[0])[1:-1], written)


def _is_plain(character: str) -> bool:
    return character.isprintable() or _is_space(character)


def _is_space(character: str) -> bool:
    return unicodedata.category(character) == "Zs"


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
