"""`python -m tests.models`: the model of the demo, until its input ends. It prints the port that it listens on."""

from __future__ import annotations

import asyncio
import sys

from tests.models.anthropic import Anthropic
from tests.models.script import Call, Turn, say

KEY = "demo-key-that-opens-nothing"
COMMIT = (
    "echo 'Made by an agent in its own computer.' > NOTES.md && git add NOTES.md && "
    "git -c user.name=claude-1 -c user.email=claude-1@demo.invalid commit --quiet --message 'Add notes' && "
    "git log --oneline -1"
)
SCRIPT = [
    say("I write NOTES.md and commit it.", Call("Bash", {"command": COMMIT, "description": "Write and commit notes"})),
    say("NOTES.md is written and committed."),
    say("You asked for notes, and I committed NOTES.md."),
]


async def main() -> None:
    """Serve where containers come from another network."""
    spare: list[Turn] = [say("That is all that this model was told to say.")] * 100
    async with Anthropic({KEY: [*SCRIPT, *spare]}).serving("0.0.0.0") as url:
        print(url.rpartition(":")[2], flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
