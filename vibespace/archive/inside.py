"""The end of a copy that runs in a container: `net/files.py` sends it there, with all that it imports."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import TypeVar

from vibespace.archive import tar
from vibespace.archive.failures import Failure
from vibespace.archive.pack import pack
from vibespace.archive.unpack import unpack

REFUSED = 3
"""Exit code that goes with a Failure as the last line of stderr."""

_WHERE = "inside"

_ENDING = (signal.SIGHUP, signal.SIGTERM)

_T = TypeVar("_T")


def main(verb: str, path: str) -> None:
    """`in`: standard input is unpacked; `out`: packed to standard output. The path is in hexadecimal: any bytes may be
    in it.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    for number in _ENDING:
        signal.signal(number, _leave)
    place = _whole(bytes.fromhex(path))
    try:
        if verb == "in":
            unpack(_input(), place, b"", _WHERE)
        else:
            for piece in pack(place, os.path.basename(os.path.realpath(place)) or b"root", _WHERE):
                _write(piece)
    except Failure as e:
        os.write(2, b"\n" + e.line())
        sys.exit(REFUSED)
    except BrokenPipeError:
        sys.exit(1)  # nobody wants it any more


def _whole(path: bytes) -> bytes:
    """The path with the home in the place of a `~` that it begins with."""
    if path == b"~" or path.startswith(b"~/"):
        return os.path.expanduser(path)
    return path or b"."


def _input() -> Iterator[bytes]:
    """The rest of it: what was read ahead with the program comes first."""
    read = sys.stdin.buffer.read1  # type: ignore[union-attr]  # it is buffered, and so has it
    while piece := _waiting(read, tar.PIECE):
        yield piece


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[_waiting(os.write, 1, view) :]


def _waiting(call: Callable[..., _T], *args: object) -> _T:
    """Only here a signal ends it: what is being made is made, or what was left taken away, undisturbed."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    try:
        return call(*args)
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)


def _leave(*_: object) -> None:
    sys.exit(1)
