"""A message that joined another's turn, where that is lost with its program: the end of both is one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.app.house import House, create
from tests.app.talking import line, program_ended, program_started, say, with_first, withdraw
from vibespace.app import messages
from vibespace.app.writer import Command
from vibespace.domain.messages import ACKNOWLEDGED, DONE, FAILED, QUEUED, UNCERTAIN, Message

WHOSE = ("demo", "claude-1")
AGAIN = "t2"


@pytest.fixture(autouse=True)
async def lost(house: House) -> None:
    """One was being worked on, another had joined it, a third waits; the program goes away."""
    await house.ask(create())
    for text in ("one", "two", "three"):
        await house.ask(say(text=text, steers=text == "two"))
    await house.ask(program_started())
    one, two, _ = waiting(house)
    for message in (one, two):
        await house.ask(partial(messages.hand_message, message=message))
    begun = {"kind": "turn_started", "turn": "t"}
    await house.ask(line(*WHOSE, begun, taken(one.uid), taken(two.uid)))
    await house.ask(program_ended(*WHOSE))
    assert [(each.text, each.state) for each in waiting(house)] == [
        ("one", QUEUED),
        ("two", ACKNOWLEDGED),
        ("three", QUEUED),
    ]


def waiting(house: House) -> list[Message]:
    return list(house.feed.state.messages.get(house.feed.state.agent(*WHOSE).uid, {}).values())


def taken(message: str, turn: str = "t") -> dict[str, Any]:
    return {"kind": "text", "message": message, "turn": turn}


def ended(house: House) -> list[tuple[str, str, str]]:
    over = [gone.aggregate for gone in house.feed.state.gone.values() if isinstance(gone.aggregate, Message)]
    return [(each.text, each.state, each.reason) for each in over]


async def resume(house: House) -> None:
    """The next program is told to go on."""
    await house.ask(program_started())
    await house.ask(with_first(messages.hand_message, *WHOSE))
    begun = {"kind": "turn_started", "turn": AGAIN}
    await house.ask(line(*WHOSE, begun, taken(waiting(house)[0].delivery, AGAIN)))


async def test_they_end_together(house: House) -> None:
    """With the turn in which the first is gone on with."""
    await resume(house)
    await house.ask(line(*WHOSE, {"kind": "turn_ended", "turn": AGAIN, "reason": "completed"}))
    assert ended(house) == [("one", DONE, "completed"), ("two", DONE, "completed")]
    assert [each.text for each in waiting(house)] == ["three"]


async def test_they_are_lost_together(house: House) -> None:
    """When that program goes away as well."""
    await resume(house)
    await house.ask(program_ended(*WHOSE, signal=9))
    words = "lost: its program was killed by signal 9"
    assert ended(house) == [("one", DONE, words), ("two", DONE, words)]
    assert [(each.text, each.state) for each in waiting(house)] == [("three", QUEUED)]


async def test_a_program_that_took_nothing_up_changes_nothing(house: House) -> None:
    """They wait for the next."""
    await house.ask(program_started())
    await house.ask(with_first(messages.hand_message, *WHOSE))
    await house.ask(program_ended(*WHOSE))
    assert [each.state for each in waiting(house)] == [QUEUED, ACKNOWLEDGED, QUEUED]
    await resume(house)
    await house.ask(line(*WHOSE, {"kind": "turn_ended", "turn": AGAIN, "reason": "completed"}))
    assert [text for text, _, _ in ended(house)] == ["one", "two"]


async def test_nothing_joins_itself(house: House) -> None:
    """Where the program calls the turn that it goes on in as it did the first: its end is an end."""
    await house.ask(program_started())
    await house.ask(with_first(messages.hand_message, *WHOSE))
    begun, other = ({"kind": "turn_started", "turn": turn} for turn in ("t", "u"))
    await house.ask(line(*WHOSE, begun, taken(waiting(house)[0].delivery), other))
    await house.ask(program_ended(*WHOSE))
    assert [(text, how) for text, how, _ in ended(house)] == [("one", DONE), ("two", DONE)]


ENDS: dict[str, tuple[Callable[[Message], Command], str, str]] = {
    "it cannot be worked on": (lambda one: partial(messages.fail_message, message=one, reason="no"), FAILED, DONE),
    "nobody knows": (lambda one: partial(messages.lose_message, message=one), UNCERTAIN, UNCERTAIN),
    "somebody interrupts": (lambda _: partial(messages.interrupt, vibespace="demo", agent="claude-1"), DONE, DONE),
    "the program drops it": (lambda one: line(*WHOSE, {"kind": "message_dropped", "id": one.delivery}), FAILED, DONE),
    "there is no program": (lambda _: withdraw(*WHOSE), FAILED, DONE),
}


@pytest.mark.parametrize(("end", "first", "other"), ENDS.values(), ids=ENDS.keys())
async def test_what_ends_the_first_ends_the_other(
    house: House, end: Callable[[Message], Command], first: str, other: str
) -> None:
    """Before anything goes on with it: nobody waits for a turn that never comes, and what was worked on is lost."""
    await house.ask(program_started())
    await house.ask(end(waiting(house)[0]))
    assert [(text, how) for text, how, _ in ended(house)][:2] == [("one", first), ("two", other)]
