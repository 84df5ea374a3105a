"""Messages to an agent that somebody has on a terminal, over a whole daemon: they wait, or take over."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from tests.daemon.echoing import DONE, Talk, echoing, home_of, prepare, said
from tests.daemon.running import PRIMARY, Running
from vibespace.app import messages
from vibespace.app.writer import Outcome, Request, Writer
from vibespace.domain.conversations import Conversation
from vibespace.engine.fake_world import World
from vibespace.reconcile import doors
from vibespace.v1 import approvals_pb2 as p
from vibespace.v1 import conversations_pb2 as c
from vibespace.v1.cursor_pb2 import Cursor


@pytest.fixture(autouse=True)
def _no_tmux(monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody types, and that he looks, is a file of the echo's: tests/reconcile/test_doors.py has tmux."""
    monkeypatch.setattr(doors, "in_tmux", lambda command: command)


def talk(demo: Running) -> Talk:
    return Talk(demo.channel)


async def connect(talk: Talk) -> list[str]:
    """What to run to have it on a terminal; it is waited for."""
    opening = talk.stub.OpenTerminal(c.OpenTerminalRequest(name=PRIMARY))
    return [word async for response in opening for word in response.command]


def types(inside: Path, text: str) -> None:
    """Somebody, on the terminal."""
    (inside / "typing").write_text(text)
    (inside / "typing").rename(inside / "typed")


async def program_starts(talk: Talk) -> int:
    return [block.WhichOneof("block") for block in await talk.transcript()].count("program_started")


async def test_a_message_that_takes_over_is_next(talk: Talk, demo: Running, inside: Path) -> None:
    """One that does not waits, also while nothing is at work; both run once one does, in the order in which they were
    said; then the terminal can be had again.
    """
    assert (await talk.ask("say hello")).said == ["hello"]
    assert await connect(talk)
    waits = await talk.say("say waits")
    assert "is on a terminal" in waits.message.reason
    assert "'vibespace ask --take-over'" in waits.message.hint
    types(inside, "say typed")
    await talk.until("work_ended", waits.cursor)
    assert [m.state for held in demo.feed.state.messages.values() for m in held.values()] == ["queued"]
    over = await talk.say("say over", take_over=True)
    assert (over.message.reason, over.message.hint) == ("", "")
    assert [(await talk.outcome(sent)).said for sent in (waits, over)] == [["waits"], ["over"]]
    assert said(await talk.transcript()) == ["hello", "typed", "waits", "over"]
    assert not [held for held in demo.feed.state.conversations.values() if held.wants_terminal]
    assert await connect(talk)
    here = Cursor(log_id=demo.feed.log_id, position=demo.feed.state.position)
    types(inside, "say again")
    assert (await talk.until("text", here)).text.text == "again"
    assert await program_starts(talk) == 4


async def test_what_is_at_work_on_the_terminal_is_not_taken_away(talk: Talk, inside: Path) -> None:
    """The message runs when the turn there is over, whole."""
    assert await connect(talk)
    types(inside, "say begun\nwait go\nsay typed")
    await talk.until("text")
    over = await talk.say("say over", take_over=True)
    (inside / "go").touch()
    told = await talk.outcome(over)
    assert (told.state, told.said) == (DONE, ["over"])
    everything = await talk.transcript()
    assert said(everything) == ["begun", "typed", "over"]
    assert [b.turn_ended.reason for b in everything if b.HasField("turn_ended")] == ["completed", "completed"]


async def test_an_open_question_on_the_terminal_is_work(talk: Talk, demo: Running, inside: Path) -> None:
    """It waits for its decision, and the message for that."""
    assert await connect(talk)
    types(inside, "call echo yes\nsay typed")
    await demo.until(lambda feed: feed.state.approvals)
    over = await talk.say("say over", take_over=True)
    [approval] = (await talk.approvals.ListApprovals(p.ListApprovalsRequest())).approvals
    await talk.approvals.AllowApproval(p.AllowApprovalRequest(name=approval.uid))
    assert (await talk.outcome(over)).said == ["over"]
    results = [b.tool_result.text for b in await talk.transcript() if b.HasField("tool_result")]
    assert (results, said(await talk.transcript())) == (["yes\n"], ["typed", "over"])


async def test_who_waits_for_a_terminal_waits_for_the_message_too(talk: Talk, demo: Running, inside: Path) -> None:
    """It comes before the terminal; what takes nothing over comes after it."""
    first = await talk.say("wait go\nsay first")
    await talk.until("turn_started")
    opening = asyncio.create_task(connect(talk))
    await demo.until(lambda feed: any(held.wants_terminal for held in feed.state.conversations.values()))
    over = await talk.say("say over", take_over=True)
    await talk.say("say last")
    (inside / "go").touch()
    assert [(await talk.outcome(sent)).said for sent in (first, over)] == [["first"], ["over"]]
    assert await opening
    assert said(await talk.transcript()) == ["first", "over"]
    assert await program_starts(talk) == 2


async def test_who_hangs_up_while_that_is_recorded(talk: Talk, demo: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is kept for nobody."""
    await talk.say("wait go")
    await talk.until("turn_started")
    run, recorded = Writer.run, asyncio.Event()

    async def without_answer(self: Writer, command: partial[Conversation], request: Request) -> Outcome:
        outcome = await run(self, command, request)
        if command.func is messages.want_terminal:
            recorded.set()
            await asyncio.Event().wait()
        return outcome

    monkeypatch.setattr(Writer, "run", without_answer)
    opening = asyncio.create_task(connect(talk))
    await recorded.wait()
    assert [held.wants_terminal for held in demo.feed.state.conversations.values()] == [True]
    opening.cancel()
    await demo.until(lambda feed: not any(held.wants_terminal for held in feed.state.conversations.values()))


async def test_a_daemon_that_ends_before_it_was_taken(home: Path, world: World) -> None:
    """The next one takes it over, once what is at work is done."""
    async with echoing(home, world) as first:
        await prepare(first)
        talk, inside = Talk(first.channel), home_of(first, world)
        assert await connect(talk)
        types(inside, "say begun\nwait go\nsay typed")
        await talk.until("text")
        over = await talk.say("say over", take_over=True)
    async with echoing(home, world) as second:
        talk = Talk(second.channel)
        (inside / "go").touch()
        assert (await talk.outcome(over)).said == ["over"]
        assert said(await talk.transcript()) == ["begun", "typed", "over"]
