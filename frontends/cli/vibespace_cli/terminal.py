"""The terminal that the command line runs on: how large it is, and raw while another one's bytes pass through it."""

from __future__ import annotations

import contextlib
import os
import termios
import tty
from collections.abc import Iterator

from vibespace.v1.agents_pb2 import Terminal, TerminalSize

_UNKNOWN = os.terminal_size((80, 24))


def described() -> Terminal:
    """Our terminal, for a command that is to have one like it."""
    return Terminal(type=os.environ.get("TERM") or "dumb", size=size())


def size() -> TerminalSize:
    """How large it is now, as the first of our standard files that is one says."""
    found = next(filter(None, map(_size, (0, 1, 2))), _UNKNOWN)
    return TerminalSize(columns=found.columns, rows=found.lines)


class Raw:
    """Every key goes through as it is, Ctrl-C too; afterwards the terminal is as it was, however the block ended."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._before = termios.tcgetattr(descriptor)

    def __enter__(self) -> None:
        tty.setraw(self._descriptor, termios.TCSADRAIN)  # what was typed ahead is kept

    def __exit__(self, *_: object) -> None:
        self.restore()

    def restore(self) -> None:
        """As it was, at once."""
        with contextlib.suppress(termios.error):  # it has been closed: there is nothing to put back
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)


@contextlib.contextmanager
def silent(descriptor: int) -> Iterator[None]:
    """What is typed is not shown; afterwards the terminal is as it was, however the block ended."""
    before = termios.tcgetattr(descriptor)
    quiet = [*before]
    quiet[3] &= ~termios.ECHO
    try:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, quiet)  # what was typed ahead is kept
        yield
    finally:
        with contextlib.suppress(termios.error):  # it has been closed: there is nothing to put back
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def is_terminal(descriptor: int) -> bool:
    """Whether it is one; a closed descriptor is none."""
    try:
        return os.isatty(descriptor)
    except OSError:
        return False


def _size(descriptor: int) -> os.terminal_size | None:
    try:
        found = os.get_terminal_size(descriptor)
    except OSError:
        return None
    return found if found.columns and found.lines else None
