"""What is done next about an agent's program: the plan, without any program."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from tests.domain.things import asked, settled
from tests.harness.echo import Echo
from vibespace.domain.approvals import ALLOWED, DENIED, Approval
from vibespace.domain.conversations import Conversation
from vibespace.domain.messages import Message
from vibespace.harness.base import Harness, Settings
from vibespace.harness.claude_code import ClaudeCode
from vibespace.harness.codex import Codex
from vibespace.harness.events import (
    ApprovalAsked,
    ConversationSwitched,
    Error,
    Reason,
    Replied,
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
    Lose,
    Requeue,
    Settle,
    Start,
    Tell,
    Withdraw,
    Write,
)
from vibespace.reconcile.conversations import MOST_TRIES, View, is_limit, plan
from vibespace.reconcile.doors import INTERRUPT, LEAVE
from vibespace.reconcile.live import Live

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
    """Into the turn; when that is over by then, the message waits for one of its own."""
    steering = message(1, steers=True)
    assert plan(view(messages=[steering], live=running(TURN))) == Hand(steering)
    handed = message(1, HANDED, steers=True)
    refused = running(Replied(id="x", request=handed.uid, refusal="no turn"))
    assert plan(view(messages=[handed], live=refused)) == Requeue(handed)
    plain = message(2, HANDED)
    refused = running(Replied(id="x", request=plain.uid, refusal="no room"))
    assert plan(view(messages=[plain], live=refused)) == Fail(plain, "no room")


def test_what_is_never_taken_up_is_failed() -> None:
    """By a program that lives, and does not listen."""
    again: list[Change] = [HANDED, lambda m: m.queue_again()] * (2 * MOST_TRIES + 1)
    assert isinstance(plan(view(messages=[message(1, *again)])), Fail)


def test_claude_is_said_it_again_and_codex_is_asked_first() -> None:
    """A repeat is ignored by the one; by the other it is looked for, and what cannot be found out is uncertain."""
    again = message(1, HANDED, lambda m: m.queue_again(), HANDED)
    greeted = running(written=("1-greet-0",), conversation=str(UUID(int=5)))
    said = plan(view(ClaudeCode(), messages=[again], live=greeted))
    assert isinstance(said, Write)
    assert said.message == again
    opened = running(written=("1-greet-0", "1-greet-1", "1-open-0", "1-name-thread-0"), conversation="thread")
    look = plan(view(Codex(), messages=[again], live=opened))
    assert isinstance(look, Write)
    assert (look.message, b"thread/items/list" in look.line) == (None, True)
    opened.written.add(look.name)
    assert plan(view(Codex(), messages=[again], live=opened)) is None
    request = f"look-{again.uid}-2-1"
    opened.replied[request] = "gone"
    assert plan(view(Codex(), messages=[again], live=opened)) == Lose(again)
    opened.replied[request] = ""
    said = plan(view(Codex(), messages=[again], live=opened))
    assert isinstance(said, Write)
    assert said.message == again


def test_codex_is_greeted_logged_in_and_opened_for_each_connection() -> None:
    """In this order; its key is secret, and taken before it is opened; after another connection it goes on with what it
    was in.
    """
    live = running(listens=False)
    key = {"OPENAI_API_KEY": "sk-one"}
    assert plan(view(Codex(), live=live, env=key, messages=[message(1)])) is None
    said: list[tuple[str, bool]] = []
    for begun in (False, True):
        live.connect()
        home = conversation(*([lambda c: c.enter("thread")] if begun else []))
        while isinstance(action := plan(view(Codex(), live=live, env=key, messages=[], conversation=home)), Write):
            said.append((json.loads(action.line)["method"], action.secret))
            assert key["OPENAI_API_KEY"] not in repr(action)
            live.written.add(action.name)
            if b"account/login" in action.line:
                assert plan(view(Codex(), live=live, env=key, messages=[], conversation=home)) is None
                live.saw([Replied(id="l", request=json.loads(action.line)["id"].partition(" ")[2])])
            if b"thread/start" in action.line or b"thread/resume" in action.line:
                live.saw([ConversationSwitched(id="s", conversation="thread", previous="")])
    greeting = [("initialize", False), ("initialized", False), ("account/login/start", True)]
    named = ("thread/name/set", False)
    begin = [*greeting, ("thread/start", False), named]
    again = [*greeting, ("thread/resume", False), ("thread/settings/update", False), named]
    assert said == [*begin, *again]


def test_a_conversation_that_codex_comes_to_is_opened_as_well() -> None:
    """Else nothing that is said in it would be told; first it is named, and nothing is said before it is open."""
    moved = conversation(lambda it: it.enter("t-2"))
    live = running(
        ConversationSwitched(conversation="t-2", previous="t-1"), written=("1-greet-0", "1-greet-1", "1-open-0")
    )
    waiting: dict[str, Any] = {"conversation": moved, "started_for": "another", "live": live, "messages": [message(1)]}
    methods = []
    while isinstance(action := plan(view(Codex(), **waiting)), Write) or action is None:
        assert action
        live.written.add(action.name)
        asked_for = json.loads(action.line)
        methods.append(asked_for["method"])
        assert asked_for["params"]["threadId"] == "t-2"
        if methods[-1] != "thread/settings/update":
            assert not isinstance(plan(view(Codex(), **waiting)), Hand)
            live.saw([Replied(request=asked_for["id"].rpartition(" ")[2])])
    assert action == Hand(waiting["messages"][0])
    assert methods == ["thread/name/set", "thread/resume", "thread/settings/update"]


def test_a_conversation_that_codex_has_lost_is_begun_anew() -> None:
    """Once: what cannot be had then is told."""
    known = conversation(lambda it: it.enter("t-1"))
    live = running(written=("1-greet-0", "1-greet-1", "1-open-0", "1-open-1"))
    lost: dict[str, Any] = {"conversation": known, "resumed": True, "live": live, "messages": [message(1)]}
    live.saw([Replied(request="open-1", refusal="no rollout found for thread id t-1")])
    begun = plan(view(Codex(), **lost))
    assert isinstance(begun, Write)
    assert json.loads(begun.line)["method"] == "thread/start"
    live.written.add(begun.name)
    assert plan(view(Codex(), **lost)) is None
    live.saw([Replied(request="anew-1")])
    assert isinstance(plan(view(Codex(), **lost)), Fail)


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


def test_another_connection_is_asked_anew() -> None:
    """What was to be said over the one before is not: what still waits is asked again."""
    live = running(TURN, ASKED, Unparsed(why="unknown kind", request="r-9"))
    live.connect()
    assert plan(view(approvals=[approval(lambda a: a.decide(ALLOWED, "h"))], live=live)) is None
    live.saw([ASKED])
    answer = plan(view(approvals=[approval(lambda a: a.decide(ALLOWED, "h"))], live=live))
    assert isinstance(answer, Write)
    assert answer.approval


def test_what_was_said_over_a_connection_that_is_lost_is_said_again() -> None:
    """What was asked is asked again under another name; a message is looked for first."""
    turn: tuple[Change, ...] = (lambda c: c.enter("thread"), lambda c: c.start_turn("t"), lambda c: c.interrupt())
    handed, named = message(1, HANDED), Settings(model="n")
    for more, method in (
        ({"conversation": conversation(*turn)}, "turn/interrupt"),
        ({"settings": named}, "thread/settings/update"),
        ({"messages": [handed]}, "turn/start"),
    ):
        said: list[list[str]] = []
        live = running(listens=False)
        for _ in range(2):
            live.connect()
            live.turn = "t" if method == "turn/interrupt" else ""
            said.append([])
            whole = {"conversation": conversation(lambda c: c.enter("thread")), "resumed": True, **more}
            while isinstance(action := plan(view(Codex(), live=live, **whole)), Write):
                asked_for = json.loads(action.line)
                said[-1].append(asked_for["method"])
                live.written.add(action.name)
                live.saw([ConversationSwitched(id="s", conversation="thread", previous="")])
                if asked_for["method"] == "thread/items/list" or "settings" not in action.name:
                    live.saw([Replied(id="r", request=str(asked_for.get("id", "")).rpartition(" ")[2])])
        assert [method in each for each in said] == [True, True], said
    assert "thread/items/list" in said[1]
    assert "thread/items/list" not in said[0]


def test_interrupts_end_the_turn_and_insisting_the_program() -> None:
    """The second time it is not asked any more."""

    def turn(c: Conversation) -> None:
        c.start_turn("t")

    interrupted = conversation(turn, lambda c: c.interrupt())
    stop = plan(view(conversation=interrupted, live=running(TURN)))
    assert isinstance(stop, Write)
    assert plan(view(conversation=interrupted, live=running(TURN, written=(stop.name,)))) is None
    insisted = conversation(turn, lambda c: c.interrupt(), lambda c: c.interrupt())
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


def test_a_helpers_conversation_is_not_the_agents() -> None:
    """Its turns neither begin nor end ours; what it asks waits as well."""
    here = ConversationSwitched(id="a", conversation="a", previous="")
    helper = TurnStarted(id="h", turn="h", conversation="b")
    live = running(here, replace(TURN, conversation="a"), helper, replace(ASKED, conversation="b"))
    assert (live.turn, list(live.asked)) == ("t", ["r-1"])
    live.saw([TurnEnded(id="h", turn="h", conversation="b", reason=Reason.COMPLETED)])
    assert (live.turn, live.asked) == ("t", {})
    live.saw([Text(id="m", text="words", by_user=True)])
    assert live.worked


def test_what_is_known_of_a_program_has_a_limit() -> None:
    """Whatever it asks and answers, and whatever is said to have been written to it; the newest count."""
    live = running(*(Unparsed(why="unknown kind", request=f"{number}") for number in range(2000)))
    live.saw([Replied(id="x", request=f"{number}", refusal="no" * 1000) for number in range(2000)])
    for number in range(60_000):
        live.wrote(f"1-x-{number}")
    live.wrote("n" * 201)
    live.saw([Unparsed(why="unknown kind", request="n" * 201), Replied(id="x", request="n" * 201)])
    assert (len(live.unknown), len(live.replied), len(live.written)) == (1000, 1000, 50_000)
    assert (live.unknown[-1], live.replied["1999"]) == ("1999", "no" * 500)
    assert max(map(len, (*live.unknown, *live.replied, *live.written))) < 200
