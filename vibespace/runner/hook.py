"""What a program runs for each of its hooks."""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from typing import Any

from vibespace.runner.places import HOME, USER, connect

_ASKS = "PermissionRequest"
_BEGINS = "SessionStart"
"""The program comes to a conversation, which may be another than before; until the hook is over it does nothing there.
"""
_ENDS = ("Stop", "StopFailure")
"""A turn is over. What was said last in it the program may yet have to write: it does so all tenths of a second."""
_OFTEN, _LONG = 0.02, 1.0
"""Seconds between two looks whether that is written, and after which nobody waits for it any more."""
_END = 1 << 20
"""Bytes of a transcript in which that is looked for."""


def hook() -> int:
    """Hand on what comes on stdin; print the answer to what asks. Of anything else that it did, the program would tell.

    It ends well and says nothing where no runner serves or takes it, and where it stops while somebody waits.
    """
    try:
        said = json.loads(sys.stdin.buffer.read())
        os.chdir(HOME)
        if isinstance(said, dict) and (answer := _told(said)):
            sys.stdout.buffer.write(answer)
            sys.stdout.flush()
    except (OSError, ValueError, RecursionError):
        pass  # see above
    return 0


def _told(said: dict[str, Any]) -> bytes:
    client = connect()
    if not client:
        return b""
    path = said.get("transcript_path")
    if said.get("hook_event_name") == _BEGINS and isinstance(path, str) and path:
        tail = {"do": "tail", "path": path.removeprefix(f"{USER}/")}
        client.sendall(json.dumps(tail).encode() + b"\n")
    if said.get("hook_event_name") in _ENDS:
        await_written(said)
    name = str(uuid.uuid4())  # the program gives no id of its own
    line = json.dumps({**said, "request_id": name}).encode() + b"\n"
    waits = said.get("hook_event_name") == _ASKS
    head = {"do": "hook", "request": name, "waits": waits, "length": len(line)}
    client.sendall(json.dumps(head).encode() + b"\n" + line)
    with client.makefile("rb") as replies:
        for reply in map(json.loads, replies):
            if reply.get("reply") == "hook":
                return replies.read(reply.get("length", 0))
    return b""


def await_written(said: dict[str, Any]) -> None:
    """Return when the transcript has what was said last in the turn, so that its end is told after that; or soon."""
    match said:
        case {"transcript_path": str() as path, "prompt_id": str() as turn, "last_assistant_message": str() as words}:
            until = time.monotonic() + _LONG
            while not _written(path, turn, words) and time.monotonic() < until:
                time.sleep(_OFTEN)


def _written(path: str, turn: str, words: str) -> bool:
    """Whether that stands behind what the turn was told last: the same may have been said before."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            end = os.pread(file, _END, max(0, os.fstat(file).st_size - _END))
        finally:
            os.close(file)
    except (OSError, ValueError):
        return False  # it is not there yet, or no such thing
    asked = end.rfind(_as_written(turn))
    return asked >= 0 and _as_written(words.strip()) in end[asked:].partition(b"\n")[2]


def _as_written(words: str) -> bytes:
    """How the program has them in JSON."""
    return json.dumps(words, ensure_ascii=False)[1:-1].encode(errors="backslashreplace")
