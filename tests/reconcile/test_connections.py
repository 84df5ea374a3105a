"""What a program is told over each of its connections, and what becomes of what was said over one that is lost."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest

from tests.reconcile.views import (
    ASKED,
    HANDED,
    TURN,
    Change,
    approval,
    conversation,
    message,
    running,
    view,
)
from vibespace.domain.approvals import ALLOWED
from vibespace.harness.base import Settings
from vibespace.harness.claude_code import ClaudeCode
from vibespace.harness.codex import Codex
from vibespace.harness.events import (
    ConversationJoined,
    ConversationSwitched,
    Reason,
    Replied,
    SettingsStrayed,
    TurnEnded,
    Unparsed,
)
from vibespace.harness.reading import encode
from vibespace.reconcile.actions import (
    Fail,
    Hand,
    Lose,
    Write,
)
from vibespace.reconcile.conversations import plan

TURN_OVER = TurnEnded(id="t", turn="t", reason=Reason.COMPLETED)


def test_claude_is_said_it_again_and_codex_is_asked_first() -> None:
    """A repeat is ignored by the one; by the other it is looked for, and what cannot be found out is uncertain."""
    again = message(1, HANDED, lambda m: m.queue_again(), HANDED)
    greeted = running(written=("1-greet-0",), conversation=str(UUID(int=5)))
    said = plan(view(ClaudeCode(), messages=[again], live=greeted))
    assert isinstance(said, Write)
    assert said.message == again
    opened = running(written=("1-greet-0", "1-greet-1", "1-open-0", "1-name-thread-0"), conversation="thread")
    assert plan(view(Codex(), messages=[again], live=opened)) is None  # whoever tells that it is there already
    opened.replied["open-1"] = ""
    look = plan(view(Codex(), messages=[again], live=opened))
    assert isinstance(look, Write)
    assert (look.message, b"thread/items/list" in look.line) == (None, True)
    opened.written.add(look.name)
    assert plan(view(Codex(), messages=[again], live=opened)) is None
    request = f"look-{again.uid}-2-1"
    opened.replied[request] = "gone"
    assert plan(view(Codex(), messages=[again], live=opened)) == Lose(again)
    going_on = message(1, HANDED, lambda m: m.resume(), HANDED)
    for message_again, refusal in ((again, ""), (going_on, "gone")):
        opened.replied[f"look-{again.uid}-{message_again.tries}-1"] = refusal
        opened.written.add(f"1-look-{again.uid}-{message_again.tries}-0")
        said = plan(view(Codex(), messages=[message_again], live=opened))
        assert isinstance(said, Write)
        assert said.message == message_again


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


def test_codex_is_handed_messages_over_each_connection() -> None:
    """What it replies says that it is in the conversation, though it was there before."""
    parser, live = Codex().parser(), running(listens=False)
    for home in (conversation(), conversation(lambda c: c.enter("thread"))):
        live.connect()
        while isinstance(action := plan(view(Codex(), live=live, messages=[message(1)], conversation=home)), Write):
            live.written.add(action.name)
            if name := json.loads(action.line).get("id"):
                live.saw(parser.feed(encode({"id": name, "result": {"thread": {"id": "thread"}}})))
        assert (action, live.conversation) == (Hand(message(1)), "thread")


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
    assert methods == ["thread/name/set", "thread/resume", "thread/settings/update", "thread/items/list"]


def test_where_a_person_is_beside_the_conversation_is_opened_once() -> None:
    """While the agent's own turn goes on, and not again when the agent comes there."""
    here = conversation(lambda it: it.enter("t-1"), lambda it: it.start_turn("t"))
    written = ("1-greet-0", "1-greet-1", "1-open-0", "1-open-1", "1-name-t_1-0")
    live = running(ConversationSwitched(conversation="t-1", previous=""), TURN, written=written)
    live.saw([ConversationJoined(conversation="t-2")] * 2)
    methods: list[tuple[str, str]] = []
    names: list[str] = []
    while isinstance(action := plan(view(Codex(), conversation=here, live=live)), Write):
        live.written.add(action.name)
        asked_for = json.loads(action.line)
        names += filter(None, [asked_for["params"].get("name")])
        methods.append((asked_for["method"], asked_for["params"]["threadId"]))
        if methods[-1][0] == "thread/name/set":
            assert plan(view(Codex(), conversation=here, live=live)) is None
        live.saw([Replied(request=asked_for["id"].rpartition(" ")[2])])
    assert names == ["claude-1@demo t-2"]  # by which a person tells it from the others
    assert methods == [(f"thread/{word}", "t-2") for word in ("name/set", "resume", "settings/update", "items/list")]
    assert live.turn
    live.saw([TURN_OVER, ConversationSwitched(conversation="t-2", previous="t-1")])
    moved: dict[str, Any] = {"conversation": conversation(lambda it: it.enter("t-2")), "started_for": "another"}
    assert plan(view(Codex(), **moved, live=live, messages=[message(1)])) == Hand(message(1))


def test_where_a_person_is_beside_the_conversation_is_opened_over_each_connection() -> None:
    """It is forgotten when the agent leaves its own, not when that is told again."""
    live = running(ConversationSwitched(conversation="t-1", previous=""), ConversationJoined(conversation="t-2"))
    live.connect()
    live.saw([ConversationSwitched(conversation="t-1", previous="t-1")])
    assert live.beside == ["t-2"]
    live.saw([ConversationSwitched(conversation="t-2", previous="t-1")])
    assert live.beside == []


@pytest.mark.parametrize(("skips", "policy"), [(False, "untrusted"), (True, "never")])
def test_settings_that_were_replaced_are_told_again(skips: bool, policy: str) -> None:
    """Each time, once, before anything else is said there."""
    written = ("1-greet-0", "1-greet-1", "1-open-0", "1-open-1", "1-name-t_1-0")
    live = running(ConversationSwitched(conversation="t-1", previous=""), written=written)
    given: dict[str, Any] = {"conversation": conversation(lambda it: it.enter("t-1")), "live": live}
    settings = Settings(model="m", system_prompt="s", skip_permissions=skips)
    given |= {"settings": settings, "in_force": settings, "messages": [message(1)]}
    live.saw([Replied(request="name-t_1-1"), Replied(request="open-1")])
    for times in (1, 2):
        live.saw([SettingsStrayed(conversation="t-1")])
        action = plan(view(Codex(), **given))
        assert isinstance(action, Write)
        live.written.add(action.name)
        told = json.loads(action.line)
        assert (told["method"], told["params"]["threadId"]) == ("thread/settings/update", "t-1")
        assert told["params"]["approvalPolicy"] == policy
        assert told["params"]["collaborationMode"]["settings"]["developer_instructions"] == "s"
        assert action.name.endswith(f"-{times}-0")
        assert plan(view(Codex(), **given)) == Hand(message(1))


def test_settings_that_are_told_again_are_not_older_than_those_that_were_told() -> None:
    """Others are on their way, and nobody has heard that they arrived."""
    here = conversation(lambda it: it.enter("t-1"))
    live = running(ConversationSwitched(conversation="t-1", previous=""), written=("1-greet-0", "1-greet-1"))
    live.saw([Replied(request="name-t_1-1"), Replied(request="open-1")])
    live.written |= {"1-open-0", "1-open-1", "1-name-t_1-0", "1-settings-2-0"}
    live.saw([SettingsStrayed(conversation="t-1")])
    before, now = Settings(skip_permissions=True), Settings()
    action = plan(view(Codex(), conversation=here, live=live, settings=now, in_force=before, generation=2))
    assert isinstance(action, Write)
    assert json.loads(action.line)["params"]["approvalPolicy"] == "untrusted"


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
    assert [each.count("thread/items/list") for each in said] == [1, 2]  # the first asks what was said meanwhile
