"""The moments of a commit at which a daemon can die: it kills itself there, as suddenly as from outside."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from typing import Any

from vibespace.app.feed import Feed
from vibespace.app.log import Log
from vibespace.app.recorder import Recorder

POINTS: dict[str, tuple[type[Any], str, bool]] = {
    "before the transaction": (Log, "append", True),
    "before the commit": (Recorder, "_append", False),
    "after the commit": (Log, "append", False),
    "before it is published": (Feed, "publish", True),
    "before it is answered": (Feed, "publish", False),
}
"""The method around which it dies, and whether before its work or after it."""


def arm(point: str, topic: str) -> None:
    """Die at `point` of the first commit that has an event of `topic` in it."""
    owner, name, before = POINTS[point]
    work: Callable[..., Any] = getattr(owner, name)

    def deadly(*arguments: Any) -> Any:
        last = arguments[-1]  # the events, or the batch that holds them
        events: Iterable[Any] = getattr(last, "recorded", last)
        hit = any(event.topic == topic for event in events)
        if hit and before:
            os.kill(os.getpid(), signal.SIGKILL)
        done = work(*arguments)
        if hit:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    setattr(owner, name, deadly)
