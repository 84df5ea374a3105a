"""Agents whose program is to be told something, as the plan is shown them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from tests.domain.things import asked, settled
from tests.harness.echo import Echo
from vibespace.domain.approvals import Approval
from vibespace.domain.conversations import Conversation
from vibespace.domain.messages import Message
from vibespace.harness.base import Harness, Settings
from vibespace.harness.events import (
    ApprovalAsked,
    TurnStarted,
)
from vibespace.reconcile.live import Live
from vibespace.reconcile.view import View

AGENT: dict[str, Any] = {"agent_uid": str(UUID(int=3)), "vibespace": "demo", "agent": "claude-1"}
RULES = ("Bash(ls)",)
Change = Callable[[Any], None]


def made(aggregate: Any, *changes: Change) -> Any:
    with asked():
        for change in changes:
            change(aggregate)
    return settled(aggregate)


def conversation(*changes: Change) -> Conversation:
    with asked():
        found = Conversation.create(UUID(int=5), **AGENT, program_session="")
    return made(found, *changes)  # type: ignore[no-any-return]  # what was made


def message(number: int, *changes: Change, **more: Any) -> Message:
    plain = {"author": "local", "steers": False, "is_command": False, "takes_over": False}
    fields = plain | {"text": f"words {number}"} | more
    with asked():
        found = Message.create(UUID(int=100 + number), **AGENT, **fields)
    return made(found, *changes)  # type: ignore[no-any-return]  # what was made


def approval(*changes: Change) -> Approval:
    shown = {"tool": "Bash", "input": "{}", "input_hash": "h", "rules": list(RULES), "why": "", "timeout": ""}
    with asked():
        found = Approval.create(UUID(int=200), **AGENT, request="r-1", turn="t", **shown)
    return made(found, *changes)  # type: ignore[no-any-return]  # what was made


def running(*events: Any, written: tuple[str, ...] = (), **more: Any) -> Live:
    live = Live(1, running=True, written=set(written), **more)
    live.saw(events)
    return live


def view(harness: Harness | None = None, **more: Any) -> View:
    fields: dict[str, Any] = {
        "harness": harness or Echo(),
        "settings": Settings(),
        "in_force": Settings(),
        "generation": 1,
        "conversation": conversation(),
        "messages": [],
        "approvals": [],
        "started_for": str(UUID(int=5)),
        "resumed": False,
        "on_terminal": False,
        "directory": "/vibespace",
        "env": {},
        "keys": (),
        "keys_in_force": [],
        "live": running(),
        "failures": 0,
        "ended": False,
    }
    return View(**(fields | more))


def finished(c: Conversation) -> None:
    c.end_turn("t", "completed", "", {}, None)


HANDED: Change = lambda m: m.hand()  # noqa: E731 (read beside the others)
TURN = TurnStarted(id="t", turn="t")
ASKED = ApprovalAsked(id="r-1", request="r-1", call="c", tool="Bash", input={"command": "ls"}, rules=RULES, turn="t")
