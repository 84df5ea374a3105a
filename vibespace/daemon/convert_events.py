"""Recorded events -> protos, of which the latest are kept."""

from __future__ import annotations

import json
from datetime import datetime
from functools import lru_cache

from vibespace.app.recorder import Recorded
from vibespace.daemon.convert import since_epoch
from vibespace.v1 import events_pb2 as v1

_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def event_message(recorded: Recorded, log_id: str) -> v1.Event:
    """One event of the history. Cached if it is not huge: all who follow get the same message; nobody may change it."""
    size = len(recorded.state)
    told = _small_message if size <= _SMALL else _large_message if size <= _LARGE else _event_message
    return told(recorded, log_id)


def _event_message(recorded: Recorded, log_id: str) -> v1.Event:
    body = recorded.body
    event = v1.Event(
        actor=body["actor"],
        cause=body["cause"],
        request_id=body["request_id"],
        type=recorded.topic,
        subject=body["subject"],
        uid=str(recorded.uid),
        data=_json(recorded.data),
    )
    # In place: whoever follows from far behind waits for thousands of these.
    event.cursor.log_id, event.cursor.position = log_id, recorded.position
    event.time.seconds, event.time.nanos = since_epoch(datetime.fromisoformat(recorded.time))
    return event


_SMALL, _LARGE = 4 << 10, 64 << 10
# Apart, so that what they take is bounded: a line of an agent's program is up to 40 KiB, what it asks much more.
_small_message = lru_cache(maxsize=1024)(_event_message)
_large_message = lru_cache(maxsize=64)(_event_message)
