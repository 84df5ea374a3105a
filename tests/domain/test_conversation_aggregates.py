"""What transcripts, conversations, messages and approvals decide: exactly the events expected, and none twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from tests.domain.test_aggregates import Row, after
from tests.domain.things import ORIGIN, asked, decided, settled
from vibespace.domain.aggregate import Aggregate, acting
from vibespace.domain.approvals import ALLOWED, DENIED, Approval
from vibespace.domain.conversations import Conversation
from vibespace.domain.messages import Message
from vibespace.domain.transcripts import Place, Transcript
from vibespace.errors import Error

Step = Callable[[Any], None]
WHOSE: dict[str, Any] = {"agent_uid": str(UUID(int=3)), "vibespace": "demo", "agent": "claude-1"}


def new_transcript() -> Transcript:
    with asked():
        return settled(Transcript.create(UUID(int=4), **WHOSE))


def new_conversation() -> Conversation:
    with asked():
        return settled(Conversation.create(UUID(int=5), **WHOSE, program_session="s"))


def new_message(*, is_command: bool = False) -> Message:
    said = {"author": "device:u", "text": "hi", "steers": False, "is_command": is_command, "takes_over": False}
    with asked():
        return settled(Message.create(UUID(int=6), **WHOSE, **said))


def new_approval(rules: tuple[str, ...] = ("Bash(ls)",), timeout: str = "", seconds: float = 0) -> Approval:
    """Asked so many seconds before whatever is done with it."""
    fields: dict[str, Any] = {"request": "r", "turn": "t", "tool": "Bash", "input": "{}", "input_hash": "h", "why": ""}
    with acting(ORIGIN._replace(time=ORIGIN.time - timedelta(seconds=seconds))):
        return settled(Approval.create(UUID(int=7), **WHOSE, **fields, rules=list(rules), timeout=timeout))


def late() -> Approval:
    return new_approval(timeout="90s", seconds=90)


def started(epoch: int, seq: int, before: tuple[int, int] = (0, 0)) -> Step:
    def step(transcript: Transcript) -> None:
        transcript.start_program(
            Place(epoch, seq),
            Place(*before),
            conversation="c",
            resumed=False,
            on_terminal=False,
            settings={"model": "x"},
            keys=("k",),
        )

    return step


def line(epoch: int, seq: int, before: tuple[int, int]) -> Step:
    def step(transcript: Transcript) -> None:
        blocks = [{"kind": "text", "text": "hi"}]
        transcript.read_line(Place(epoch, seq), Place(*before), source="stdout", line="{}", blocks=blocks)

    return step


def ended(epoch: int, seq: int, before: tuple[int, int]) -> Step:
    return lambda t: t.end_program(Place(epoch, seq), Place(*before), {"code": 0})


def finished(c: Conversation) -> None:
    c.end_turn("t", "done", "", {"input": 1}, None)


def working(c: Conversation) -> None:
    c.start_turn("t")


def allow(a: Approval) -> None:
    a.decide(ALLOWED, "h")


running: Callable[[], Transcript] = after(new_transcript, started(1, 1))
busy: Callable[[], Conversation] = after(new_conversation, working)


def interrupted() -> Conversation:
    """A while ago."""
    with acting(ORIGIN._replace(time=ORIGIN.time - timedelta(seconds=5))):
        conversation = busy()
        conversation.interrupt()
    return settled(conversation)


handed: Callable[[], Message] = after(new_message, Message.hand)
taken: Callable[[], Message] = after(new_message, Message.hand, lambda m: m.acknowledge("t"))
command: Callable[[], Message] = after(partial(new_message, is_command=True), Message.hand)
ENDS: dict[str, Step] = {
    "done": lambda m: m.finish("done"),
    "failed": lambda m: m.fail("gone"),
    "uncertain": Message.lose,
}
STARTED = {"conversation": "c", "resumed": False, "on_terminal": False, "settings": {"model": "x"}, "keys": ["k"]}
LINE = {"source": "stdout", "line": "{}", "blocks": [{"kind": "text", "text": "hi"}], "blob": ""}

DECISIONS: dict[str, Row] = {
    "transcript: a program starts": (
        new_transcript,
        started(1, 1),
        [("transcript.program_started", {"epoch": 1, "seq": 1} | STARTED)],
    ),
    "transcript: the same start": (running, started(1, 1), []),
    "transcript: its next life": (
        running,
        started(2, 1, (1, 1)),
        [("transcript.program_started", {"epoch": 2, "seq": 1} | STARTED)],
    ),
    "transcript: a line": (
        running,
        line(1, 2, (1, 1)),
        [("transcript.line_read", {"epoch": 1, "seq": 2} | LINE)],
    ),
    "transcript: the same line": (after(running, line(1, 2, (1, 1))), line(1, 2, (1, 1)), []),
    "transcript: an older line": (after(running, line(1, 5, (1, 1))), line(1, 3, (1, 2)), []),
    "transcript: a line of an older life": (after(running, started(2, 1, (1, 1))), line(1, 9, (1, 8)), []),
    "transcript: an end": (
        running,
        ended(1, 2, (1, 1)),
        [("transcript.program_ended", {"epoch": 1, "seq": 2, "how": {"code": 0}})],
    ),
    "transcript: the same end": (after(running, ended(1, 2, (1, 1))), ended(1, 2, (1, 1)), []),
    "transcript: other settings": (
        running,
        lambda t: t.take_settings({"model": "y"}),
        [("transcript.settings_taken", {"settings": {"model": "y"}})],
    ),
    "transcript: the same settings": (running, lambda t: t.take_settings({"model": "x"}), []),
    "transcript: settings of no program": (new_transcript, lambda t: t.take_settings({"model": "y"}), []),
    "transcript: settings of one that ended": (
        after(running, ended(1, 2, (1, 1))),
        lambda t: t.take_settings({"model": "y"}),
        [],
    ),
    "conversation: entered": (
        new_conversation,
        lambda c: c.enter("s"),
        [("conversation.entered", {"program_session": "s"})],
    ),
    "conversation: entered twice": (after(new_conversation, lambda c: c.enter("s")), lambda c: c.enter("s"), []),
    "conversation: entered under another id": (
        after(new_conversation, lambda c: c.enter("s")),
        lambda c: c.enter("made up"),
        [("conversation.entered", {"program_session": "made up"})],
    ),
    "conversation: a turn": (new_conversation, working, [("conversation.turn_started", {"turn": "t"})]),
    "conversation: the same turn": (busy, working, []),
    "conversation: another turn": (
        busy,
        lambda c: c.start_turn("u"),
        [("conversation.turn_started", {"turn": "u"})],
    ),
    "conversation: a turn ends": (
        busy,
        finished,
        [
            (
                "conversation.turn_ended",
                {"turn": "t", "reason": "done", "detail": "", "usage": {"input": 1}, "cost": None},
            )
        ],
    ),
    "conversation: work ends": (after(busy, finished), Conversation.end_work, [("conversation.work_ended", {})]),
    "conversation: no work ends": (new_conversation, Conversation.end_work, []),
    "conversation: interrupt": (
        busy,
        Conversation.interrupt,
        [("conversation.interrupt_requested", {"turn": "t", "insists": False})],
    ),
    "conversation: interrupt twice": (
        interrupted,
        Conversation.interrupt,
        [("conversation.interrupt_requested", {"turn": "t", "insists": True})],
    ),
    "conversation: interrupt again and again": (after(interrupted, Conversation.interrupt), Conversation.interrupt, []),
    "conversation: interrupt at the same time": (after(busy, Conversation.interrupt), Conversation.interrupt, []),
    "conversation: interrupt what it has left running": (
        after(busy, finished),
        Conversation.interrupt,
        [("conversation.interrupt_requested", {"turn": "", "insists": True})],
    ),
    "conversation: interrupt what it was handed": (
        new_conversation,
        lambda c: c.interrupt(handed=True),
        [("conversation.interrupt_requested", {"turn": "", "insists": True})],
    ),
    "conversation: interrupted before it works, its program ends": (
        after(new_conversation, lambda c: c.interrupt(handed=True)),
        Conversation.end_work,
        [("conversation.work_ended", {})],
    ),
    "conversation: interrupt the next turn": (
        after(busy, Conversation.interrupt, finished, lambda c: c.start_turn("u")),
        Conversation.interrupt,
        [("conversation.interrupt_requested", {"turn": "u", "insists": False})],
    ),
    "conversation: terminal wanted": (
        new_conversation,
        Conversation.want_terminal,
        [("conversation.terminal_requested", {})],
    ),
    "conversation: wanted twice": (after(new_conversation, Conversation.want_terminal), Conversation.want_terminal, []),
    "conversation: on a terminal": (
        new_conversation,
        Conversation.attach_terminal,
        [("conversation.terminal_attached", {})],
    ),
    "conversation: on it already": (
        after(new_conversation, Conversation.attach_terminal),
        Conversation.attach_terminal,
        [],
    ),
    "conversation: wanted no more": (
        after(new_conversation, Conversation.want_terminal),
        Conversation.detach_terminal,
        [("conversation.terminal_detached", {})],
    ),
    "conversation: not on a terminal": (new_conversation, Conversation.detach_terminal, []),
    "conversation: superseded": (
        after(busy, finished, Conversation.end_work),
        Conversation.supersede,
        [("conversation.superseded", {})],
    ),
    "conversation: switched at work": (busy, Conversation.switch, [("conversation.superseded", {})]),
    "message: handed": (new_message, Message.hand, [("message.handed", {})]),
    "message: handed twice": (handed, Message.hand, []),
    "message: queued again": (handed, Message.queue_again, [("message.queued_again", {})]),
    "message: waits already": (new_message, Message.queue_again, []),
    "message: what was taken up waits no more": (taken, Message.queue_again, []),
    "message: gone on with": (taken, Message.resume, [("message.resumed", {})]),
    "message: gone on with twice": (after(taken, Message.resume), Message.resume, []),
    "message: a command is not gone on with": (command, Message.resume, []),
    "message: taken up": (handed, lambda m: m.acknowledge("t"), [("message.acknowledged", {"turn": "t"})]),
    "message: taken up unasked": (new_message, lambda m: m.acknowledge("t"), [("message.acknowledged", {"turn": "t"})]),
    "message: taken up twice": (taken, lambda m: m.acknowledge("t"), []),
    "message: done": (
        taken,
        lambda m: m.finish("failed", "x", "login"),
        [("message.done", {"reason": "failed", "detail": "x", "trouble": "login"})],
    ),
    "message: failed": (new_message, lambda m: m.fail("gone"), [("message.failed", {"reason": "gone"})]),
    "message: lost": (handed, Message.lose, [("message.uncertain", {})]),
    "approval: allowed": (
        new_approval,
        allow,
        [("approval.decided", {"verdict": ALLOWED, "always": False, "reason": ""})],
    ),
    "approval: allowed unseen": (
        new_approval,
        lambda a: a.decide(ALLOWED, "", always=True),
        [("approval.decided", {"verdict": ALLOWED, "always": True, "reason": ""})],
    ),
    "approval: denied": (
        new_approval,
        lambda a: a.decide(DENIED, "h", reason="no"),
        [("approval.decided", {"verdict": DENIED, "always": False, "reason": "no"})],
    ),
    "approval: allowed in time": (
        lambda: new_approval(timeout="90s", seconds=89.9),
        allow,
        [("approval.decided", {"verdict": ALLOWED, "always": False, "reason": ""})],
    ),
    "approval: timed out": (
        late,
        Approval.time_out,
        [("approval.decided", {"verdict": DENIED, "always": False, "reason": "nobody decided within 90s"})],
    ),
    "approval: timed out twice": (after(late, Approval.time_out), Approval.time_out, []),
    "approval: its time is not over": (lambda: new_approval(timeout="90s", seconds=89.9), Approval.time_out, []),
    "approval: waits as long as it takes": (lambda: new_approval(seconds=1e9), Approval.time_out, []),
    "approval: that was ended by a 0": (lambda: new_approval(timeout="0", seconds=1e9), Approval.time_out, []),
    "approval: no time-out after its end": (after(late, lambda a: a.expire("gone")), Approval.time_out, []),
    "approval: no time-out after its answer": (after(late, Approval.answer), Approval.time_out, []),
    "approval: ours is answered": (
        after(new_approval, allow),
        Approval.answer,
        [("approval.answered", {"verdict": ALLOWED})],
    ),
    "approval: the terminal was before us": (
        after(new_approval, lambda a: a.decide(DENIED, "h")),
        lambda a: a.answer(ALLOWED),
        [("approval.answered", {"verdict": ALLOWED})],
    ),
    "approval: answered on the terminal": (
        new_approval,
        lambda a: a.answer(DENIED),
        [("approval.answered", {"verdict": DENIED})],
    ),
    "approval: answered, unknown how": (new_approval, Approval.answer, [("approval.answered", {"verdict": ""})]),
    "approval: answered twice": (after(new_approval, Approval.answer), Approval.answer, []),
    "approval: expired": (new_approval, lambda a: a.expire("gone"), [("approval.expired", {"reason": "gone"})]),
    "approval: decided, never told": (
        after(new_approval, allow),
        lambda a: a.expire("gone"),
        [("approval.expired", {"reason": "gone"})],
    ),
    "approval: expired twice": (after(new_approval, lambda a: a.expire("gone")), lambda a: a.expire("late"), []),
    "approval: no answer after its end": (after(new_approval, lambda a: a.expire("gone")), Approval.answer, []),
    "approval: no end after its answer": (after(new_approval, Approval.answer), lambda a: a.expire("gone"), []),
} | {f"message: {then} after {first}": (after(taken, ENDS[first]), ENDS[then], []) for first in ENDS for then in ENDS}


@pytest.mark.parametrize(("make", "decide", "expected"), DECISIONS.values(), ids=DECISIONS.keys())
def test_decisions(
    make: Callable[[], Aggregate], decide: Callable[[Any], None], expected: list[tuple[str, dict[str, Any]]]
) -> None:
    """A decision leads to exactly these events, with who, when and why on each; already so is quiet."""
    aggregate = make()
    with asked():
        decide(aggregate)
    assert decided(aggregate) == expected


REFUSALS: dict[str, tuple[Callable[[], Aggregate], Step, str]] = {
    "a line is left out": (running, line(1, 3, (1, 2)), "TRANSCRIPT_MOVED"),
    "a start after another place": (running, started(2, 1, (1, 5)), "TRANSCRIPT_MOVED"),
    "an end after another place": (running, ended(1, 9, (1, 8)), "TRANSCRIPT_MOVED"),
    "interrupt nothing": (new_conversation, Conversation.interrupt, "AGENT_IDLE"),
    "interrupt what is over": (after(busy, finished, Conversation.end_work), Conversation.interrupt, "AGENT_IDLE"),
    "supersede on a terminal": (
        after(new_conversation, Conversation.attach_terminal),
        Conversation.supersede,
        "ON_TERMINAL",
    ),
    "supersede at work": (busy, Conversation.supersede, "AGENT_WORKING"),
    "supersede while something it began runs": (after(busy, finished), Conversation.supersede, "AGENT_WORKING"),
    "decide twice": (after(new_approval, allow), allow, "APPROVAL_DECIDED"),
    "decide what was answered": (after(new_approval, lambda a: a.answer(DENIED)), allow, "APPROVAL_DECIDED"),
    "decide too late": (after(new_approval, lambda a: a.expire("gone")), allow, "APPROVAL_EXPIRED"),
    "decide when its time is over": (late, allow, "APPROVAL_TIMED_OUT"),
    "decide what was denied by then": (after(late, Approval.time_out), allow, "APPROVAL_DECIDED"),
    "decide something else": (new_approval, lambda a: a.decide(ALLOWED, "other"), "INPUT_CHANGED"),
    "always by no rule": (lambda: new_approval(()), lambda a: a.decide(ALLOWED, "h", always=True), "RULES_MISSING"),
}


@pytest.mark.parametrize(("make", "decide", "reason"), REFUSALS.values(), ids=REFUSALS.keys())
def test_refusals(make: Callable[[], Aggregate], decide: Step, reason: str) -> None:
    """What is not allowed raises with its reason and decides nothing."""
    aggregate = make()
    with asked(), pytest.raises(Error) as e:
        decide(aggregate)
    assert e.value.reason == reason
    assert decided(aggregate) == []


@pytest.mark.parametrize(
    ("make", "words", "hint"),
    [
        (after(new_approval, Approval.answer), "decided already, on the program's own interface.", "--type transcript"),
        (after(new_approval, lambda a: a.answer(DENIED)), "decided already: it is denied.", "--type approval"),
        (late, "Nobody decided within 90s: it is denied.", "vibespace config set"),
    ],
)
def test_why_it_can_be_decided_no_more(make: Callable[[], Approval], words: str, hint: str) -> None:
    """It is said how it was decided, as far as that is known, and what can be done."""
    approval = make()
    with asked(), pytest.raises(Error) as e:
        allow(approval)
    assert words in e.value.message
    assert hint in e.value.hint
