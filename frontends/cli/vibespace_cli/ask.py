"""A question before something is destroyed or allowed."""

from __future__ import annotations

import sys

from vibespace.errors import Cancelled, InvalidArgument
from vibespace_cli.output import fitted


def ask(question: str, thing: str) -> None:
    """Before `thing` is destroyed: as `agree`. Raises InvalidArgument where nobody can be asked."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise InvalidArgument(
            "FORCE_NEEDED", f"{thing} cannot be brought back.", hint="Where nobody can be asked, say --force."
        )
    agree(question, "Nothing was deleted.")


def agree(question: str, otherwise: str) -> None:
    """Return for a yes. Raises Cancelled for anything else, saying `otherwise`."""
    sys.stderr.write(fitted(f"{question} [y/N]") + " ")
    sys.stderr.flush()
    if _typed().strip().lower() not in ("y", "yes"):
        raise Cancelled("NOT_CONFIRMED", otherwise)


def _typed() -> str:
    try:
        typed = sys.stdin.readline()
    except KeyboardInterrupt:
        typed = ""
    if not typed.endswith("\n"):  # Ctrl-C, Ctrl-D: the next line would begin behind the question
        sys.stderr.write("\n")
    return typed
