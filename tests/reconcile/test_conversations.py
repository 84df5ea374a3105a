"""What is done next about an agent's program: the plan, without any program."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.domain.things import ORIGIN
from tests.reconcile.views import (
    ASKED,
    HANDED,
    TURN,
    Change,
    approval,
    conversation,
    finished,
    message,
    running,
    view,
)
from vibespace.domain.aggregate import acting
from vibespace.domain.approvals import ALLOWED, DENIED
from vibespace.domain.conversations import Conversation
from vibespace.domain.messages import Message
from vibespace.harness.base import Settings
from vibespace.harness.claude_code import ClaudeCode
from vibespace.harness.codex import KEY, Codex
from vibespace.harness.events import (
    Delta,
    Error,
    Reason,
    Replied,
    Stream,
    Text,
    ToolCall,
    Trouble,
    TurnEnded,
    TurnStarted,
    Unparsed,
)
from vibespace.reconcile.actions import (
    End,
    Fail,
    Hand,
    Requeue,
    Settle,
    Start,
    Tell,
    Withdraw,
    Write,
)
from vibespace.reconcile.conversations import MOST_TRIES, is_limit, plan
from vibespace.reconcile.doors import INTERRUPT, LEAVE
from vibespace.reconcile.live import Live


def test_nothing_is_begun_for_nobody() -> None:
    """A program is for who has something to say, or wants to see it."""
    assert plan(view(conversation=None, live=Live())) is None
    assert plan(view(live=Live())) is None
    assert plan(view(live=Live(), messages=[message(1)])) == Start()
    wanted = conversation(lambda c: c.want_terminal())
    assert plan(view(live=Live(), conversation=wanted)) == Start(on_terminal=True)
    assert plan(view(Codex(), live=Live(), conversation=wanted)) == Start()


def test_a_program_that_always_ends_is_given_up() -> None:
    """Who waits is told, with a message or for the terminal."""
    waiting: list[dict[str, Any]] = [
        {"messages": [message(1)]},
        {"conversation": conversation(lambda c: c.want_terminal())},
    ]
    for more in waiting:
        assert isinstance(plan(view(live=Live(), failures=MOST_TRIES, **more)), Withdraw)


def test_a_program_that_terminals_share_is_begun_again_when_it_has_ended() -> None:
    """Whoever is attached to it waits for the next one, and nobody is told of him; not for ever, if it always ends."""
    over: dict[str, Any] = {"live": Live(), "ended": True}
    assert plan(view(Codex(), **over)) == Start()
    assert plan(view(ClaudeCode(), **over)) is None
    assert plan(view(Codex(), **over, failures=MOST_TRIES)) is None
    assert plan(view(Codex(), live=Live())) is None


def test_messages_are_handed_one_after_the_other() -> None:
    """Recorded first, then written once; the next when the agent is idle again."""
    assert plan(view(messages=[message(1), message(2)])) == Hand(message(1))
    first = message(1, HANDED)
    write = plan(view(messages=[first, message(2)]))
    assert isinstance(write, Write)
    assert (write.message, b"words 1" in write.line) == (first, True)
    assert plan(view(messages=[first, message(2)], live=running(written=(write.name,)))) is None
    taken = message(1, HANDED, lambda m: m.acknowledge("t"))
    assert plan(view(messages=[taken, message(2)], live=running(TURN, written=(write.name,)))) is None
    assert plan(view(messages=[message(2)], live=running(TURN))) is None
    over = running(TURN, TurnEnded(id="t", turn="t", reason=Reason.COMPLETED))
    assert plan(view(messages=[message(2)], live=over)) == Hand(message(2))


def test_who_steers_does_not_wait() -> None:
    """Into the turn, once a model is at work in it: a person's command alone is answered by none. When it is over by
    then, the message waits for one of its own.
    """
    steering = message(1, steers=True)
    assert plan(view(messages=[steering], live=running(TURN))) is None
    for answers in (Text(id="m", text="hi", by_user=True, turn="t"), Delta(block="b", stream=Stream.TEXT, text="h")):
        assert plan(view(messages=[steering], live=running(TURN, answers))) == Hand(steering)
    handed = message(1, HANDED, steers=True)
    refused = running(Replied(id="x", request=f"message-{handed.uid}-1-1", refusal="no turn"))
    assert plan(view(messages=[handed], live=refused)) == Requeue(handed)
    plain = message(2, HANDED)
    refused = running(Replied(id="x", request=f"message-{plain.uid}-1-1", refusal="no room"))
    assert plan(view(messages=[plain], live=refused)) == Fail(plain, "no room")


def hear(live: Live, sent: Write, refusal: str = "") -> str:
    """It was written, and answered by Codex; what was asked of that."""
    live.wrote(sent.name)
    asked = json.loads(sent.line)
    live.saw([Replied(id="x", request=str(asked.get("id", "")).rpartition(" ")[2], refusal=refusal)])
    return str(asked["method"])


def test_a_steer_that_came_too_late_is_said_in_a_turn_of_its_own() -> None:
    """The refusal of the first try is none of the next, which has its own."""
    live, late = running(TURN, conversation="c"), message(1, HANDED, steers=True)
    refusals = {"turn/steer": "no active turn to steer", "turn/start": "no room"}
    again = message(1, HANDED, Message.queue_again, HANDED, steers=True)
    asked = []
    for each, then in ((late, Requeue(late)), (again, Fail(again, "no room"))):
        while isinstance(action := plan(view(Codex(), messages=[each], live=live)), Write):
            asked.append(hear(live, action, refusals.get(json.loads(action.line)["method"], "")))
        assert action == then
        live.saw([TurnEnded(id="t", turn="t", reason=Reason.COMPLETED)])
    assert asked[-3:] == ["turn/steer", "thread/items/list", "turn/start"]


def test_what_codex_cannot_take_now_waits() -> None:
    """As while somebody has it make its memory shorter on its terminal, of which it was not known yet."""
    live, plain = running(conversation="c"), message(1, HANDED)
    refusal = "failed to submit turn input: ActiveTurnNotSteerable { turn_kind: Compact }"
    while isinstance(action := plan(view(Codex(), messages=[plain], live=live)), Write):
        hear(live, action, refusal if json.loads(action.line)["method"] == "turn/start" else "")
    assert action == Requeue(plain)


def test_a_steer_that_its_turn_did_not_take_up_is_said_in_one_of_its_own() -> None:
    """Codex has accepted it, and forgets it when somebody ends the turn on its terminal; it is looked for first."""
    live, steering = running(TURN, conversation="c"), message(1, HANDED, steers=True)
    again = message(1, HANDED, Message.queue_again, HANDED, steers=True)
    asked = []
    for each, then in ((steering, Requeue(steering)), (again, None)):
        while isinstance(action := plan(view(Codex(), messages=[each], live=live)), Write):
            asked.append(hear(live, action))
        assert action is None
        live.saw([TurnEnded(id="t", turn="t", reason=Reason.INTERRUPTED)])
        assert plan(view(Codex(), messages=[each], live=live)) == then
        live.saw([TurnStarted(id="t-2", turn="t-2")])
        assert plan(view(Codex(), messages=[each], live=live)) == then
    assert [method for method in asked if method.startswith("t")][-3:] == [
        "turn/steer",
        "thread/items/list",
        "turn/start",
    ]


def test_what_is_never_taken_up_is_failed() -> None:
    """By a program that lives, and does not listen."""
    again: list[Change] = [HANDED, lambda m: m.queue_again()] * (2 * MOST_TRIES + 1)
    assert isinstance(plan(view(messages=[message(1, *again)])), Fail)


@pytest.mark.parametrize("verdict", [ALLOWED, DENIED])
def test_decisions_are_told(verdict: str) -> None:
    """About what was asked, as the program asked it; on a terminal to the hook that asked."""
    decided = approval(lambda a: a.decide(verdict, "h", always=verdict == ALLOWED))
    told = plan(view(approvals=[decided], live=running(TURN, ASKED)))
    assert isinstance(told, Write)
    assert told.approval == decided
    live = running(TURN, replace(ASKED, terminal=True), on_terminal=True)
    told = plan(view(ClaudeCode(), approvals=[decided], live=live, on_terminal=True))
    assert isinstance(told, Tell)
    assert (told.request, b'"behavior": "allow"' in told.words) == ("r-1", verdict == ALLOWED)
    assert plan(view(approvals=[decided], live=running(TURN))) is None
    assert plan(view(approvals=[approval()], live=running(TURN, ASKED))) is None


def test_what_is_not_known_is_declined() -> None:
    """The program waits for an answer all the same; nothing that was decided is one."""
    decided = approval(lambda a: a.decide(ALLOWED, "h"))
    declined = plan(view(approvals=[decided], live=running(TURN, Unparsed(why="unknown kind", request="r-1"))))
    assert isinstance(declined, Write)
    assert (declined.approval, b'"allow": false' in declined.line) == (None, True)


def test_interrupts_end_the_turn_and_insisting_the_program() -> None:
    """The second time it is not asked any more."""

    def turn(c: Conversation) -> None:
        c.start_turn("t")

    interrupted = conversation(turn, lambda c: c.interrupt())
    stop = plan(view(conversation=interrupted, live=running(TURN)))
    assert isinstance(stop, Write)
    assert plan(view(conversation=interrupted, live=running(TURN, written=(stop.name,)))) is None
    with acting(ORIGIN._replace(time=ORIGIN.time + timedelta(minutes=1))):  # not at the same time
        insisted = interrupted.draft()
        insisted.interrupt()
    assert plan(view(conversation=insisted, live=running(TURN))) == End(at_once=True)
    unbegun = conversation(lambda c: c.interrupt(handed=True))
    assert plan(view(conversation=unbegun, live=running())) == End(at_once=True)


def test_who_has_a_terminal_is_interrupted_there_and_asked_there() -> None:
    """What runs it takes words of ours, and no line that is for the program."""
    turned = conversation(lambda c: c.start_turn("t"), lambda c: c.interrupt())
    there: dict[str, Any] = {"conversation": turned, "on_terminal": True}
    stop = plan(view(ClaudeCode(), **there, live=running(TURN, on_terminal=True)))
    assert isinstance(stop, Write)
    assert stop.line == INTERRUPT
    unknown = running(TURN, Unparsed(why="unknown kind", request="r-1"), on_terminal=True, written=(stop.name,))
    assert plan(view(ClaudeCode(), **there, live=unknown)) is None


def test_a_terminal_waits_for_an_idle_program() -> None:
    """And a conversation that has begun anew does too."""
    wanted = conversation(lambda c: c.want_terminal())
    assert plan(view(conversation=wanted, live=running(TURN))) is None
    assert plan(view(conversation=wanted)) == End()
    assert plan(view(conversation=wanted, messages=[message(1, HANDED)], live=running(written=("1-message",)))) != End()
    assert plan(view(started_for="another")) == End()
    assert plan(view(conversation=wanted, on_terminal=True, messages=[message(1)])) is None


def test_a_message_takes_over_from_who_has_a_terminal() -> None:
    """Once nothing is at work there, and not before: who has it is told, then the program ends. Others wait."""
    there = conversation(lambda c: c.attach_terminal())
    over = message(2, takes_over=True)
    waiting = [message(1), over]
    terminal = running(on_terminal=True)
    here: dict[str, Any] = {"conversation": there, "on_terminal": True, "live": terminal}
    assert plan(view(**here, messages=[message(1)])) is None
    told = plan(view(**here, messages=waiting))
    assert told == Write("1-leave-0", LEAVE)
    left = running(on_terminal=True, written=("1-leave-0",))
    assert plan(view(**here | {"live": left}, messages=waiting)) == End()
    for work in ({"live": running(TURN, on_terminal=True)}, {"live": running(ASKED, on_terminal=True)}):
        assert plan(view(**here | work, messages=waiting)) is None
    behind = conversation(lambda c: c.attach_terminal(), lambda c: c.start_turn("t"), finished)
    assert plan(view(**here | {"conversation": behind}, messages=waiting)) is None
    decided = approval(lambda a: a.decide(DENIED, "h"))
    asking = running(replace(ASKED, terminal=True), on_terminal=True)
    assert isinstance(plan(view(ClaudeCode(), **here | {"live": asking}, approvals=[decided], messages=waiting)), Tell)


def test_a_message_that_takes_over_comes_before_a_terminal() -> None:
    """That somebody wants again, or wants while something is at work; where both are at once, it is like any other."""
    wanted = conversation(lambda c: c.want_terminal())
    over = message(1, takes_over=True)
    assert plan(view(conversation=wanted, live=Live(), messages=[over])) == Start()
    assert plan(view(conversation=wanted, messages=[over])) == Hand(over)
    assert plan(view(conversation=wanted, messages=[message(1)])) == End()
    handed = message(1, HANDED, takes_over=True)
    assert (
        plan(view(conversation=wanted, live=running(written=(f"1-message-{handed.uid}-1",)), messages=[handed])) is None
    )
    opened = running(written=("1-greet-0", "1-greet-1", "1-open-0", "1-name-thread-0"), conversation="thread")
    opened.replied["open-1"] = ""
    assert plan(view(Codex(), conversation=wanted, live=opened, messages=[over])) == Hand(over)


def test_who_was_refused_its_login_is_started_anew() -> None:
    """Once it is idle, for the next message; not while it tries again, nor where somebody sits at its terminal."""
    lost = Error(id="e", trouble=Trouble.LOGIN, text="log in", turn="t")
    over = TurnEnded(id="t", turn="t", reason=Reason.FAILED)
    assert plan(view(live=running(TURN, lost, over))) == End()
    assert plan(view(live=running(TURN, lost, over), messages=[message(1)])) == End()
    assert plan(view(live=running(TURN, lost))) is None
    assert plan(view(live=running(TURN, replace(lost, retrying=True), over))) is None
    assert plan(view(live=running(TURN, replace(lost, trouble=Trouble.MODEL), over))) is None
    assert plan(view(live=running(TURN, lost, over, replace(TURN, turn="u"), replace(over, turn="u")))) is None
    wanted = conversation(lambda c: c.want_terminal())
    assert plan(view(Codex(), conversation=wanted, live=running(TURN, lost, over))) != End()


def test_settings_come_into_force() -> None:
    """By a line, once the program has taken it; else between two of its lives."""
    changed: dict[str, Any] = {"settings": Settings(model="b"), "in_force": Settings(model="a"), "generation": 7}
    told = plan(view(**changed))
    assert isinstance(told, Write)
    assert plan(view(**changed, live=running(written=(told.name,)))) is None
    assert (
        plan(view(**changed, live=running(Replied(id="x", request="settings-7-1"), written=(told.name,)))) == Settle()
    )
    more: dict[str, Any] = {**changed, "settings": Settings(model="b", effort="high")}
    for replies in range(3):
        live, greeting = running(written=("1-greet-0", "1-name-0"), conversation="c"), Replied(request="greet-1")
        live.saw([greeting])
        lines: list[Write] = []
        while isinstance(action := plan(view(ClaudeCode(), **more, live=live)), Write):
            live.written.add(action.name)
            lines.append(action)
        for line in lines[:replies]:
            live.saw([Replied(request=json.loads(line.line)["request_id"])])
        assert (len(lines), plan(view(ClaudeCode(), **more, live=live))) == (2, Settle() if replies == 2 else None)
    refused = running(Replied(id="x", request="settings-7-1", refusal="no"), written=(told.name,))
    assert plan(view(**changed, live=refused)) == End()
    prompt: dict[str, Any] = {"settings": Settings(system_prompt="b"), "generation": 7}
    greeted = running(written=("1-greet-0",))
    assert plan(view(ClaudeCode(), **prompt, live=greeted)) == End()
    busy = conversation(lambda c: c.start_turn("t"))
    assert plan(view(ClaudeCode(), **prompt, conversation=busy, live=running(TURN, written=("1-greet-0",)))) is None


def test_other_credentials_are_another_process() -> None:
    """What a process was started with it has to its end: it ends between two turns, and with it what waits is heard."""
    changed: dict[str, Any] = {"keys": ("b",), "keys_in_force": ["a"], "messages": [message(1)]}
    assert plan(view(**changed)) == End()
    assert plan(view(**changed | {"keys_in_force": ["b"]})) == Hand(message(1))
    busy = conversation(lambda c: c.start_turn("t"))
    assert plan(view(**changed, conversation=busy, live=running(TURN))) is None
    handed = changed | {"messages": [message(1, HANDED)]}
    assert plan(view(**handed, live=running(written=("1-message-1",)))) != End()


def test_nobody_is_logged_in_amid_a_turn() -> None:
    """Codex ends it over that: a key that it was not started with is for its next life, and over another connection it
    is given its own again when it is idle.
    """

    def secret_of(live: Live, *started_with: str) -> bool:
        found = plan(view(Codex(), env={KEY: "k"}, keys=("k",), keys_in_force=[*started_with], live=live))
        assert isinstance(found, Write)
        return found.secret

    live = running(written=("1-greet-1-0", "1-greet-1-1"), listens=False)
    live.connect()
    assert secret_of(live, "k")
    assert not secret_of(live)
    live.saw([TURN])
    assert not secret_of(live, "k")
    live.saw([TurnEnded(id="t", turn="t", reason=Reason.COMPLETED)])
    assert secret_of(live, "k")


def test_rounds_are_counted_where_the_program_does_not() -> None:
    """One more than is allowed ends the turn, once."""
    call = ToolCall(id="c", call="c", tool="Bash", input={}, turn="t")
    limited: dict[str, Any] = {"settings": Settings(max_turns=2), "in_force": Settings(max_turns=2)}
    assert plan(view(**limited, live=running(TURN, call, call))) is None
    stop = plan(view(**limited, live=running(TURN, call, call, call)))
    assert isinstance(stop, Write)
    assert plan(view(**limited, live=running(TURN, call, call, call, written=(stop.name,)))) is None
    there = plan(view(ClaudeCode(), **limited, live=running(TURN, call, call, call), on_terminal=True))
    assert isinstance(there, Write)
    assert (there.line, is_limit(there.name, "t")) == (INTERRUPT, True)
    greeted = running(TURN, call, call, call, written=("1-greet-0",))
    assert plan(view(ClaudeCode(), **limited, live=greeted)) is None
    helper = replace(call, parent="c-0")
    assert plan(view(**limited, live=running(TURN, call, call, helper))) is None
