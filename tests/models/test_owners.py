"""The real Claude Code behind the `claude` that is first in PATH: a conversation has one owner."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from uuid import uuid4

import pytest

from tests.models.anthropic import Anthropic
from tests.models.programs import Event, Program, beside, running
from tests.models.script import Turn, say

pytestmark = pytest.mark.containers

KEY = "key-of-one"
STREAMS = "-p --input-format stream-json --output-format stream-json --verbose"


def container(image: str, url: str, command: str) -> AbstractAsyncContextManager[Program]:
    return running(
        image,
        command,
        ANTHROPIC_BASE_URL=url,
        ANTHROPIC_API_KEY=KEY,
        CLAUDE_CODE_MAX_RETRIES="1",
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
    )


def model(*answers: Turn) -> Anthropic:
    return Anthropic({KEY: list(answers)})


async def typed(program: Program, *words: str) -> tuple[int, list[str]]:
    """The exit code of `claude` with these words beside it, and in which conversations it was."""
    async with beside(program, "claude", *words, "-p", "hello", "--output-format", "json") as other:
        code, said = await other.end()
        return code, [str(event["session_id"]) for event in said]


async def told(program: Program, text: str) -> str:
    """In which conversation it is when it has done that."""

    def is_over(event: Event) -> bool:
        return bool(event["type"] == "result")

    program.tell({"type": "user", "message": {"role": "user", "content": text}})
    return str((await program.until(is_over))[-1]["session_id"])


async def test_a_living_program_is_the_owner(agent_image: str) -> None:
    """It keeps its lock through its whole life, and its register says what it has come to by /clear; copies pass."""
    ours = str(uuid4())
    scripted = model(say("One."), say("Two."), say("Three."), say("Four."))
    async with (
        scripted.serving() as url,
        container(agent_image, url, f"exec claude {STREAMS} --session-id {ours}") as program,
    ):
        assert await told(program, "one") == ours
        for words in (("--continue",), ("--resume", ours), (f"-r{ours}",), ("--resume", "one")):
            assert await typed(program, *words) == (1, [])
        moved = await told(program, "/clear")
        assert moved != ours
        assert await told(program, "two") == moved
        for words in (("--continue",), ("--resume", ours), ("--resume", moved)):
            assert await typed(program, *words) == (1, [])
        code, (copy,) = await typed(program, "--resume", moved, "--fork-session")
        assert (code, copy in (ours, moved)) == (0, False)
        assert await typed(program, "--resume", copy) == (0, [copy])
    assert scripted.surprises == []


async def test_continue_takes_the_latest(agent_image: str) -> None:
    """By the time at which its file was written to, as the `claude` that is first in PATH supposes."""
    older, newer = str(uuid4()), str(uuid4())
    scripted = model(*[say("Yes.")] * 4)
    async with scripted.serving() as url, container(agent_image, url, "echo '{}'; exec cat") as program:
        await program.until(lambda _: True)
        for name in (older, newer):
            assert await typed(program, "--session-id", name) == (0, [name])
        assert await typed(program, "-c") == (0, [newer])
        async with beside(program, "sh", "-c", f"touch ~/.claude/projects/*/{older}.jsonl") as touching:
            assert (await touching.end())[0] == 0
        assert await typed(program, "-c") == (0, [older])
        await program.end()
    assert scripted.surprises == []
