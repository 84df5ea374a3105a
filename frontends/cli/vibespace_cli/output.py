"""What is written and how: for a person, for a script, or as JSON; answers to stdout, all else to stderr."""

from __future__ import annotations

import json
import os
import re
import sys
import textwrap
import time
from contextlib import suppress
from typing import Any
from uuid import uuid4

from vibespace import errors
from vibespace_cli import cells, shown, table

EXIT_CODES: dict[type[errors.Error], int] = {
    errors.Internal: 1,
    errors.InvalidArgument: 2,
    errors.NotFound: 10,
    errors.AlreadyExists: 11,
    errors.PermissionDenied: 12,
    errors.DeadlineExceeded: 13,
    errors.Cancelled: 14,
    errors.Unavailable: 15,
    errors.Exhausted: 15,
    errors.FailedPrecondition: 16,
    errors.Aborted: 16,
}

_HINTS: dict[type[errors.Error], str] = {
    errors.Internal: "'vibespace doctor' may know more; with VIBESPACE_DEBUG=1, debug.log does.",
    errors.NotFound: "'vibespace list' and 'vibespace agent list' show what there is.",
    errors.AlreadyExists: "Choose another name.",
    errors.PermissionDenied: "See that it is yours.",
    errors.FailedPrecondition: "'vibespace list' and 'vibespace status' show how things stand.",
    errors.Aborted: "Try again; 'vibespace doctor' may know more.",
    errors.Unavailable: "'vibespace doctor' looks for the cause.",
    errors.Exhausted: "Make room, then try again.",
    errors.DeadlineExceeded: "Try again; 'vibespace doctor' may know more.",
}
"""What to do next where whoever refused did not know better. InvalidArgument says what is right."""

_CODES: dict[type[errors.Error], str] = {errors.Exhausted: "RESOURCE_EXHAUSTED"}
_OVER = "\r\x1b[K"
"""In place of the line that says what is happening."""
_HANG = 4
"""Columns by which what goes on in a next line is told from a line that an agent wrote."""
_COMMAND = re.compile(r"'vibespace [^'\n]*'")
_COLOURS = {"red": "31", "green": "32", "yellow": "33", "dim": "2", "bold": "1"}


class Output:
    """How this command was asked to answer."""

    def __init__(self) -> None:
        self.json: bool | None = None
        """None: whenever stdout is not a terminal."""
        self.plain = False
        self.header = False
        self.quiet = False
        self.verbose = False
        self.colour = True
        self.content = False
        """The answer is not ours to shape: JSON only when asked for."""
        self.streaming = False
        """The answer goes on until somebody has seen enough: Ctrl-C is its usual end, and needs no words."""
        self.request_id = str(uuid4())
        self._started = time.monotonic()

    @property
    def as_json(self) -> bool:
        """Whether answers are JSON."""
        if self.json is not None:
            return self.json
        return not (self.plain or self.quiet or self.content or sys.stdout.isatty())

    @property
    def live(self) -> bool:
        """Whether somebody watches stderr, and wants to."""
        return sys.stderr.isatty() and not self.quiet

    def data(self, data: Any) -> None:
        """Answer in JSON."""
        self._envelope({"success": True, "data": data, "error": None})

    def object(self, data: Any) -> None:
        """One object of a stream, on a line of its own, at once."""
        sys.stdout.write(shown.as_json(json.dumps(data, ensure_ascii=False, separators=(",", ":"))) + "\n")
        sys.stdout.flush()

    def line(self, line: str) -> None:
        """A line of the answer."""
        sys.stdout.write(line + "\n")

    def sentence(self, sentence: str, hang: int = 0) -> None:
        """A line of the answer that is read, as wide as the terminal; see fitted."""
        self.line(fitted(sentence, hang, sys.stdout))

    def flush(self) -> None:
        """Let what was written be seen."""
        sys.stdout.flush()

    def quote(self, line: str, colour: str = "") -> None:
        """A line of the answer that an agent may have written, of characters that a terminal may show; see quoted."""
        self.line(self.paint(quoted(line, sys.stdout), colour))

    def note(self, sentence: str, *, theirs: bool = False) -> None:
        """Something beside the answer; `theirs` as in `quote`."""
        if not self.quiet:
            _beside((quoted if theirs else fitted)(sentence) + "\n")

    def announce(self, text: str) -> None:
        """Something that nobody may miss before it is done, quiet or not: whole, so that it can be copied."""
        _beside(f"{_OVER if self.live else ''}{text}\n")

    def step(self, sentence: str, *, theirs: bool = False) -> None:
        """Something that is done now, for whoever watches; `theirs` as in `quote`, and dim."""
        if self.live:
            _beside((self.paint(quoted(sentence), "dim", sys.stderr) if theirs else fitted(sentence)) + "\n")

    def error(self, error: errors.Error) -> int:
        """Say what went wrong, and what to do next; returns the exit code."""
        error.hint = error.hint or _HINTS.get(type(error), "")
        if self.as_json:
            told = {
                "code": _code(type(error)),
                "reason": error.reason,
                "message": error.message,
                "hint": error.hint,
                "details": {**error.metadata, **({"field": error.field} if error.field else {})},
            }
            self._envelope({"success": False, "data": None, "error": told})
        who = "vibespace:"
        sentence = fitted(f"{who} {_sentence(error)}").removeprefix(who)
        _beside(f"{self.paint(who, 'red', sys.stderr)}{sentence}\n")
        return EXIT_CODES.get(type(error), 1)

    def paint(self, text: str, colour: str, stream: Any = None) -> str:
        """`text` in a colour, where colours are seen and wanted (https://no-color.org)."""
        stream = stream or sys.stdout
        dull = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        if not colour or not self.colour or dull or not stream.isatty():
            return text
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"

    def _envelope(self, answer: dict[str, Any]) -> None:
        took = int((time.monotonic() - self._started) * 1000)
        answer["meta"] = {"request_id": self.request_id, "duration_ms": took}
        indent = 2 if sys.stdout.isatty() else None
        sys.stdout.write(shown.as_json(json.dumps(answer, ensure_ascii=False, indent=indent)) + "\n")
        sys.stdout.flush()


def fitted(text: str, hang: int = 0, stream: Any = None) -> str:
    """`text` in lines as wide as the terminal, where `stream`, or else stderr, is one: broken between words, but not
    within a command that it names, nor within a path or an address, which somebody may want to copy. What goes on in a
    next line begins where its line does, and `hang` columns further.
    """
    if not (stream or sys.stderr).isatty():
        return text
    lines: list[str] = []
    for line in _COMMAND.sub(lambda found: found[0].replace(" ", "\0"), text).split("\n"):
        lines += textwrap.wrap(
            line,
            table.terminal_width(),
            subsequent_indent=line[: len(line) - len(line.lstrip())] + " " * hang,
            expand_tabs=False,
            replace_whitespace=False,
            break_long_words=False,
            break_on_hyphens=False,
        ) or [line]
    return "\n".join(lines).replace("\0", " ")


def quoted(text: str, stream: Any = None) -> str:
    """`text`, which an agent may have written, in lines as wide as the terminal, where `stream`, or else stderr, is
    one. No word is so long that what it goes on with begins where a line of ours does.
    """
    if not (stream or sys.stderr).isatty():
        return text
    width = table.terminal_width()
    return "\n".join(
        part for line in text.split("\n") for part in cells.wrap(line, width, len(line) - len(line.lstrip()) + _HANG)
    )


def _beside(text: str) -> None:
    """To stderr, where it can be written: that nobody sees it changes nothing of how the command ended."""
    with suppress(OSError):
        sys.stderr.write(text)


def _code(kind: type[errors.Error]) -> str:
    name = _CODES.get(kind) or "".join(f"_{c}" if c.isupper() else c for c in kind.__name__)
    return name.strip("_").upper()


def _sentence(error: errors.Error) -> str:
    return "".join(c if c.isprintable() else "�" for c in error.sentence)
