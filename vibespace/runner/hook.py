"""What a program runs for each of its hooks."""

from __future__ import annotations

import json
import os
import sys
import uuid
from typing import Any

from vibespace.runner.places import HOME, USER, connect

_ASKS = "PermissionRequest"
_BEGINS = "SessionStart"
"""The program comes to a conversation, which may be another than before; until the hook is over it does nothing there.
"""


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
