"""What helps a message that was not worked on to its end: the command that fits the agent it was said to."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.app.house import House, agent_deleted, create, set_credential
from tests.app.talking import line, program_started, say, with_first
from vibespace.app import agents, messages
from vibespace.app.mending import hint, waiting
from vibespace.domain.messages import Message
from vibespace.harness.events import Trouble

DEMO, FIRST = "vibespaces/demo", "vibespaces/demo/agents/claude-1"


@pytest.fixture(autouse=True)
async def demo(house: House) -> None:
    await house.ask(create())


async def helps(house: House, trouble: str, reason: str = "failed: no", agent: str = "claude-1") -> str:
    """A message to that agent that has ended so."""
    said = await house.ask(say("demo", agent, "hi"))
    found = house.feed.state.aggregates[said.uid]
    assert isinstance(found, Message)
    over = found.draft()
    over.reason, over.trouble = reason, trouble
    return hint(over, house.feed.state)


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (Trouble.MODEL, "'vibespace config set claude-1@demo --model MODEL'"),
        (Trouble.RATE_LIMIT, "Ask again later"),
        (Trouble.OVERLOADED, "Ask again later"),
        (Trouble.UNREACHABLE, "'vibespace info demo'"),
        (Trouble.CONTEXT, "'vibespace agent new-conversation claude-1@demo'"),
        (Trouble.BILLING, "account"),
    ],
)
async def test_each_trouble_has_what_mends_it(house: House, trouble: Trouble, words: str) -> None:
    """In one sentence, with the agent in it where a command needs it."""
    told = await helps(house, trouble)
    assert words in told
    assert told.endswith(".")


async def test_a_program_that_no_credential_is_for_is_logged_in_by_hand(house: House) -> None:
    """A program more is no reason to know of its keys."""
    house.feed.state.agent("demo", "claude-1").type = "another"
    assert await helps(house, Trouble.LOGIN) == "Log it in with 'vibespace credential login claude-1@demo'."


async def test_what_nobody_knows_has_no_advice(house: House) -> None:
    """What went well, a word of another build, and an agent that is gone."""
    assert [await helps(house, trouble) for trouble in ("", Trouble.OTHER, "of another build")] == ["", "", ""]
    said = await house.ask(say("demo", "claude-1", "hi"))
    found = house.feed.state.aggregates[said.uid]
    assert isinstance(found, Message)
    await house.ask(agent_deleted())
    assert hint(found, house.feed.state) == ""


async def test_who_waits_behind_an_open_question_is_told_of_it(house: House) -> None:
    """What waits for the agent to be idle, while that waits for a decision; what joins the turn does not wait."""
    for command in (say(), program_started(), with_first(messages.hand_message, "demo", "claude-1")):
        await house.ask(command)
    asked = {"kind": "approval_asked", "request": "r", "tool": "Bash", "input_hash": "h"}
    await house.ask(line("demo", "claude-1", {"kind": "turn_started", "turn": "t"}, asked))
    told = []
    for steers in (False, True):
        said = await house.ask(say(steers=steers))
        found = house.feed.state.aggregates[said.uid]
        assert isinstance(found, Message)
        told.append((waiting(found, house.feed.state), hint(found, house.feed.state)))
    assert told == [
        ("what the agent works on waits for a decision", "'vibespace approval list' shows it."),
        ("", ""),
    ]


@pytest.mark.parametrize(("agent", "waits"), [("claude-1", True), ("x", False)])
async def test_who_waits_behind_somebody_who_connects_is_told_of_it(house: House, agent: str, waits: bool) -> None:
    """Before the program is on the terminal, where that has it alone; neither who takes it over nor who joins a turn
    that still runs there waits.
    """
    await house.ask(partial(agents.create_agent, vibespace="demo", name="x", type="codex"))
    await house.ask(partial(messages.want_terminal, vibespace="demo", agent=agent))
    told = []
    for turn in (None, {"kind": "turn_started", "turn": "t"}):
        if turn:
            await house.ask(program_started("demo", agent))
            await house.ask(line("demo", agent, turn))
        for steers, takes_over in ((False, False), (True, False), (False, True)):
            said = await house.ask(say("demo", agent, steers=steers, takes_over=takes_over))
            found = house.feed.state.aggregates[said.uid]
            assert isinstance(found, Message)
            assert bool(waiting(found, house.feed.state)) == ("--take-over" in hint(found, house.feed.state))
            told.append(bool(waiting(found, house.feed.state)))
    assert told == [waits, waits, False, waits, False, False]


async def test_a_lost_turn_is_asked_for_again(house: House) -> None:
    """Whatever its program said before."""
    told = await helps(house, "", "lost: its program was killed by signal 9")
    assert told.startswith("Ask again: claude-1@demo goes on with the conversation")


async def test_the_login_that_it_has_is_the_one_to_replace(house: House) -> None:
    """None, that of all, of its vibespace, its own: the command is for the one that it uses."""
    assert await helps(house, "login") == (
        "Log it in with 'vibespace credential login claude-1@demo', "
        "or give it a key: 'vibespace credential set anthropic'."
    )
    for parent, flag in (("", ""), (DEMO, " --vibespace demo"), (FIRST, " --agent claude-1@demo")):
        await house.ask(set_credential(parent, sealed=f"v{len(parent)}"))
        assert (await helps(house, "login")).endswith(f": 'vibespace credential set anthropic{flag}'.")


async def test_what_it_was_created_with_cannot_be_set(house: House) -> None:
    """A credential would not be looked at beside that."""
    env: dict[str, Any] = {"env": ["ANTHROPIC_API_KEY", "HOME_PAGE"]}
    await house.ask(partial(agents.create_agent, vibespace="demo", name="own", type="claude-code", **env))
    assert "ANTHROPIC_API_KEY by --env" in await helps(house, "login", agent="own")


async def test_a_provider_of_codex_has_a_variable_of_its_own(house: House) -> None:
    """Which is told to its program in another way than OpenAI's key."""
    await house.ask(partial(agents.create_agent, vibespace="demo", name="x", type="codex"))
    told = await helps(house, "login", agent="x")
    assert "'vibespace credential set openai'" in told
    assert "'vibespace credential set environment --variable NAME'" in told


async def test_a_closed_network_leads_nowhere(house: House) -> None:
    """That is why."""
    await house.ask(create("closed", network="none"))
    said = await house.ask(say("closed", "claude-1", "hi"))
    found = house.feed.state.aggregates[said.uid]
    assert isinstance(found, Message)
    over = found.draft()
    over.reason, over.trouble = "failed: no", "unreachable"
    assert "--network none" in hint(over, house.feed.state)
