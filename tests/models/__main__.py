"""`python -m tests.models`: the models of the demo, until its input ends.

Its first line says the ports of this machine's loopback on which they listen, for Claude Code and for Codex. Then each
line of its input, the name that ssh has for an agent and one of the ports, comes back when the agent reaches it.
"""

from __future__ import annotations

import asyncio
import re
import sys
from contextlib import AsyncExitStack

from tests.models.anthropic import Anthropic
from tests.models.endpoint import Answer, Asked
from tests.models.openai import OpenAI
from tests.models.script import Call, Turn, say
from tests.models.ways import way

KEY = "demo-key-that-opens-nothing"


def bash(command: str) -> Call:
    """As Claude Code runs it."""
    return Call("Bash", {"command": command, "description": "Write and commit"})


def command(command: str) -> Call:
    """As Codex does."""
    return Call("exec_command", {"cmd": command})


def named(asked: Asked) -> Turn:
    """The file that was first asked for; only what comes with a request is known."""
    found = re.search(r"into (\w+\.md)", "\n".join(asked.texts("user")))
    return say(f"You asked me for {found[1]}." if found else "I do not remember that you asked for anything.")


SPARE: list[Answer] = [say("That is all that this model was told to say.")] * 100
CLAUDE = [
    say(
        "I write NOTES.md and commit it.",
        bash(
            "echo 'A computer of its own for every coding agent.' >NOTES.md && git add NOTES.md && "
            "git commit --quiet --message 'Add notes' && git log --oneline -1"
        ),
    ),
    say("NOTES.md is written and committed."),
    named,
    *SPARE,
]
CODEX = [
    say(
        "I write POEM.md and commit it.",
        command(
            "printf '%s\\n' 'Walls as thin as air' 'and a door that I may ask' 'Somebody said yes' >POEM.md && "
            "git add POEM.md && git commit --quiet --message 'Add a poem' && git log --oneline -1"
        ),
    ),
    say("POEM.md is written and committed."),
    named,
    *SPARE,
]


async def main() -> None:
    """Serve, and open ways."""
    async with (
        Anthropic({KEY: CLAUDE}).serving() as claude,
        OpenAI({KEY: CODEX}).serving() as codex,
        AsyncExitStack() as ways,
    ):
        print(*(url.rpartition(":")[2] for url in (claude, codex)), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            agent, port = line.split()
            await ways.enter_async_context(way(agent, int(port)))
            print(line, end="", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
