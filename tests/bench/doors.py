"""Claude Code itself, from one door to the other and back: what a hand-over takes beside the program's own start."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from collections.abc import Sequence
from time import perf_counter

from tests.bench import agents, engine, place
from tests.bench.agents import NAME
from tests.bench.pairing import Figure, Wanted, added, in_turns
from tests.bench.talking import Talk
from tests.models.anthropic import Anthropic
from tests.models.script import say
from vibespace.domain import repositories
from vibespace.harness.base import Settings
from vibespace.harness.claude_code import ClaudeCode
from vibespace.harness.claude_parser import ClaudeParser
from vibespace.harness.events import TurnStarted
from vibespace.v1.agents_pb2 import ExecRequest, ExecStart, Terminal, TerminalSize
from vibespace.v1.conversations_pb2 import MESSAGE_STATE_DONE, OpenTerminalRequest

TURNS = 9
KEY = agents.KEYS[0]
WORD = "Flour"
"""What the model says, so that a screen with the conversation has it."""
PROGRAM = "/opt/claude/claude"
_PATIENCE = 300
"""Seconds for all turns."""

Both = tuple[float, float]
"""Milliseconds there, and back."""


async def rows() -> list[Figure]:
    """Of the same home, with two conversations: that of the agent, and one of a program that `exec` starts."""
    model = Anthropic({KEY: [say(WORD)] * (2 * TURNS + 3)})
    async with engine.shared() as found, model.serving("0.0.0.0") as url:
        port = url.rpartition(":")[2]
        config = json.dumps({"network": {"allow": [f"0.0.0.0/0:{port}"]}})
        async with place.daemon(found.host, found.image, config=config) as daemon:
            print("  a conversation changes doors, and its program is started at each …", file=sys.stderr)
            env = agents.environment(f"http://{agents.MACHINE}:{port}", KEY)
            await daemon.create("bench", [f"{name}={value}" for name, value in env.items()])
            try:
                await daemon.running("bench")
                talk, alone = Talk(daemon, NAME), _Alone(daemon)
                async with asyncio.timeout(_PATIENCE):
                    await _answered(talk)
                    turns = await in_turns(lambda: _handed_over(daemon, talk), alone.started, TURNS)
            finally:
                await daemon.delete("bench")
    assert model.surprises == [], model.surprises
    there, back = ([(ours[way], floor[way]) for ours, floor in turns] for way in (0, 1))
    wanted = Wanted(300, unit="ms")
    return [
        added("connect → Claude's own screen, over its own start", wanted, there),
        added("its screen left → turn of a message that waits, over its own start", wanted, back),
    ]


async def _handed_over(daemon: place.Daemon, talk: Talk) -> Both:
    """To a terminal, where somebody leaves it while a message waits; returns when that is answered."""
    command: Sequence[str] = ()
    begin = perf_counter()
    async for response in daemon.conversations.OpenTerminal(OpenTerminalRequest(name=NAME)):
        command = response.command or command
    screen = await Command.begun(daemon, command, terminal=True)
    await screen.until(WORD)
    there = perf_counter() - begin
    await screen.write("/exit")
    await screen.until("/exit")
    answering = asyncio.create_task(_answered(talk, waits := asyncio.Event()))
    await waits.wait()
    begin = perf_counter()
    await screen.write("\r")
    told = await answering
    await screen.over()
    return there * 1e3, (told - begin) * 1e3


async def _answered(talk: Talk, waits: asyncio.Event | None = None) -> float:
    """When its turn has begun; returns when it is over. `waits` is set once it was accepted."""
    sent, told = await talk.say("Of what?"), 0.0
    if waits:
        waits.set()
    async for response in talk.follow(sent.cursor):
        if not told and any(block.HasField("turn_started") for block in response.blocks):
            told = perf_counter()
        for message in response.messages:
            if message.uid == sent.message.uid and message.reason:
                assert message.state == MESSAGE_STATE_DONE, message
                return told
    raise AssertionError("the transcript ended")


class _Alone:
    """The program as its harness starts it, in the agent's container, on a conversation of its own."""

    def __init__(self, daemon: place.Daemon) -> None:
        self._daemon = daemon
        self._harness = ClaudeCode()
        self._conversation = str(uuid.uuid4())
        self._begun = False

    async def started(self) -> Both:
        """Driven by us first, which begins the conversation."""
        back = await self._driven()
        return await self._on_terminal(), back

    async def _on_terminal(self) -> float:
        argv = self._harness.terminal(
            Settings(), self._conversation, resume=True, hook="true", directory=repositories.ROOT, env={}
        ).argv
        begin = perf_counter()
        screen = await Command.begun(self._daemon, (PROGRAM, *argv[1:]), terminal=True)
        await screen.until(WORD)
        took = perf_counter() - begin
        await screen.write("/exit")
        await screen.until("/exit")
        await screen.write("\r")
        await screen.over()
        return took * 1e3

    async def _driven(self) -> float:
        argv = self._harness.headless(Settings(), self._conversation, resume=self._begun).argv
        lines = (*self._harness.greet("greet"), self._harness.say("", "Of what?", str(uuid.uuid4()), "say"))
        parser = ClaudeParser()
        begin = perf_counter()
        program = await Command.begun(self._daemon, (PROGRAM, *argv[1:]))
        await program.write("".join(f"{line.decode()}\n" for line in lines))
        while not any(isinstance(event, TurnStarted) for event in parser.feed(await program.line())):
            pass
        took = perf_counter() - begin
        while json.loads(await program.line())["type"] != "result":
            pass
        await program.end()
        self._begun = True
        return took * 1e3


class Command:
    """One that runs in the agent's container, by Exec."""

    def __init__(self, daemon: place.Daemon) -> None:
        self._call = daemon.agents.Exec()
        self._responses = aiter(self._call)
        self._said = b""

    @classmethod
    async def begun(cls, daemon: place.Daemon, command: Sequence[str], *, terminal: bool = False) -> Command:
        self = cls(daemon)
        joined = Terminal(type="xterm", size=TerminalSize(columns=120, rows=40)) if terminal else None
        await self._call.write(ExecRequest(start=ExecStart(name=NAME, command=command, terminal=joined)))
        return self

    async def write(self, text: str) -> None:
        await self._call.write(ExecRequest(stdin=text.encode()))

    async def until(self, word: str) -> None:
        """It has said that since the last time."""
        while word.encode() not in self._said:
            await self._more()
        self._said = self._said.partition(word.encode())[2]

    async def line(self) -> bytes:
        while b"\n" not in self._said:
            await self._more()
        line, _, self._said = self._said.partition(b"\n")
        return line

    async def end(self) -> None:
        """Nothing more is said to it; returns when it has ended."""
        await self._call.write(ExecRequest(stdin_closed=True))
        await self.over()

    async def over(self) -> None:
        while not (await anext(self._responses)).HasField("exit"):
            pass
        await self._call.done_writing()

    async def _more(self) -> None:
        response = await anext(self._responses)
        assert not response.HasField("exit"), f"it ended after {self._said!r} with {response.exit}"
        self._said += response.stdout or response.stderr
