"""One agent: what its program tells of it, and how what was said to it stands."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from tests.app.house import House
from tests.app.talking import FIRST
from vibespace.domain.messages import Message
from vibespace.errors import Error

WHOSE = ("demo", "claude-1")
ASKED: dict[str, Any] = {"kind": "approval_asked", "request": "r", "tool": "Bash", "input_hash": "h"}
ENTERED: dict[str, Any] = {"kind": "conversation_switched", "conversation": "s1"}
BEGUN: dict[str, Any] = {"kind": "turn_started", "turn": "t"}
TAKEN: dict[str, Any] = {"kind": "text", "message": FIRST, "turn": "t"}


def states(house: House) -> list[str]:
    """Of the messages that wait for the agent."""
    uid = house.feed.state.agent(*WHOSE).uid
    return [message.state for message in house.feed.state.messages.get(uid, {}).values()]


def topics(house: House, after: int) -> list[str]:
    return [recorded.topic for recorded in house.log.read(after)]


async def refused(house: House, command: Any) -> Error:
    """Why it is; nothing of it is in the log."""
    before = house.log.position
    with pytest.raises(Error) as e:
        await house.ask(command)
    assert house.log.position == before
    return e.value


def gone_message(house: House, message: UUID) -> Message:
    over = house.feed.state.gone[message].aggregate
    assert isinstance(over, Message)
    return over
