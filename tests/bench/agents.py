"""Claude Code itself, in a container, on a model that says what is written down: how soon an answer begins, and what
keeping the program takes; and one more agent in a vibespace that runs.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from time import perf_counter

from tests.bench import engine, place, processes
from tests.bench.pairing import Figure, Wanted, added, alone, in_turns, paired
from tests.bench.talking import Talk
from tests.models import programs
from tests.models.anthropic import Anthropic
from tests.models.script import say
from vibespace.engine import bodies
from vibespace.engine.base import AgentSpec
from vibespace.harness.base import Settings
from vibespace.harness.claude_code import ClaudeCode
from vibespace.harness.claude_parser import ClaudeParser
from vibespace.harness.events import TurnStarted
from vibespace.v1.agents_pb2 import CreateAgentRequest
from vibespace.v1.conversations_pb2 import MESSAGE_STATE_DONE

TURNS, JOINS = 15, 7
KEYS = ("sk-ant-scripted-0123456789-of-ours", "sk-ant-scripted-0123456789-of-floor")
MACHINE = "host.containers.internal"
NAME = "vibespaces/bench/agents/claude-1"
_PATIENCE = 300
"""Seconds for all turns of a row."""


async def rows() -> list[Figure]:
    async with engine.shared() as found, engine.bare(found) as bare:
        return [*await _answers(found, bare), await _joining(found, bare)]


async def _answers(found: engine.Engine, bare: engine.Bare) -> list[Figure]:
    model = Anthropic({key: [say("Here I am.")] * (TURNS + 1) for key in KEYS})
    async with model.serving("0.0.0.0") as url:
        port = url.rpartition(":")[2]
        config = json.dumps({"network": {"allow": [f"0.0.0.0/0:{port}"]}})
        async with place.daemon(found.host, found.image, config=config) as daemon:
            print("  an agent is asked, and its program on a bare pipe …", file=sys.stderr)
            env = environment(f"http://{MACHINE}:{port}", KEYS[0])
            await daemon.create("bench", [f"{name}={value}" for name, value in env.items()])
            try:
                await daemon.running("bench")
                talk = Talk(daemon, NAME)
                async with asyncio.timeout(_PATIENCE), _bare(found.image, f"http://127.0.0.1:{port}") as program:
                    turns = await in_turns(lambda: _asked(talk), lambda: _told(program), TURNS)
                memory = processes.private(_runner(await _container(bare, await daemon.agent_uid(NAME))))
            finally:
                await daemon.delete("bench")
    assert model.surprises == [], model.surprises
    return [
        added("message sent → its turn begun at a watcher, over a bare pipe", Wanted(30, unit="ms"), turns),
        alone("the runner beside a program, private memory", Wanted(12, unit="MB"), memory),
    ]


async def _asked(talk: Talk) -> float:
    """Milliseconds; returns when the turn is over."""
    begin, told = perf_counter(), 0.0
    sent = await talk.say("Who is there?")
    async for response in talk.follow(sent.cursor):
        if not told and any(block.HasField("turn_started") for block in response.blocks):
            told = perf_counter()
        for message in response.messages:
            if message.uid == sent.message.uid and message.reason:
                assert message.state == MESSAGE_STATE_DONE, message
                return (told - begin) * 1e3
    raise AssertionError("the transcript ended")


async def _told(program: programs.Program) -> float:
    parser, harness = ClaudeParser(), ClaudeCode()

    def begins(line: programs.Event) -> bool:
        return any(isinstance(event, TurnStarted) for event in parser.feed(json.dumps(line).encode()))

    begin = perf_counter()
    program.tell(json.loads(harness.say("", "Who is there?", str(uuid.uuid4()), "say")))
    await program.until(begins)
    told = perf_counter()
    await program.until(lambda line: bool(line["type"] == "result"))
    return (told - begin) * 1e3


@asynccontextmanager
async def _bare(image: str, url: str) -> AsyncIterator[programs.Program]:
    """The program as its harness starts it, greeted, in a container that shares this machine's network."""
    harness = ClaudeCode()
    command = harness.headless(Settings(), str(uuid.uuid4()), resume=False)
    variables = {**command.env, **environment(url, KEYS[1])}
    async with programs.running(image, f"exec {shlex.join(command.argv)}", **variables) as program:
        for line in harness.greet("greet"):
            program.tell(json.loads(line))
        await program.until(lambda line: bool(line["type"] == "control_response"))
        yield program


def environment(url: str, key: str) -> dict[str, str]:
    """By which the program speaks with that model, and with nobody else."""
    return {
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": key,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }


async def _container(bare: engine.Bare, agent_uid: str) -> int:
    """The pid of its first process, on this machine."""
    found = await bare.call("GET", f"/containers/{bodies.container_name(agent_uid)}/json")
    return int(found["State"]["Pid"])


def _runner(container: int) -> int:
    """What keeps the program there: it serves."""
    inside = Path(f"/proc/{container}/ns/pid").readlink()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it is gone
            if (entry / "ns/pid").readlink() == inside and b"serve" in (entry / "cmdline").read_bytes().split(b"\0"):
                return int(entry.name)
    raise LookupError("there is no runner")


async def _joining(found: engine.Engine, bare: engine.Bare) -> Figure:
    """From `agent create` to the first command answered, against the same container on a network that is there."""
    print("  agents join a vibespace …", file=sys.stderr)
    numbers = count(2)
    async with place.daemon(found.host, found.image) as daemon:
        await daemon.create("bench")
        try:
            await daemon.running("bench")
            first = await bare.make()
            try:
                async with asyncio.timeout(_PATIENCE):
                    turns = await in_turns(
                        lambda: _joined(daemon, f"claude-{next(numbers)}"), lambda: _floor(bare, first), JOINS
                    )
            finally:
                await bare.remove(first)
        finally:
            await daemon.delete("bench")
    return paired("agent create → first exec answered", Wanted(1.5), turns, "ms")


async def _joined(daemon: place.Daemon, agent: str) -> float:
    parent = NAME.partition("/agents/")[0]
    begin = perf_counter()
    request = CreateAgentRequest(parent=parent, agent_id=agent, request_id=str(uuid.uuid4()))
    await daemon.agents.CreateAgent(request)
    told = await daemon.execute(f"{parent}/agents/{agent}", "true")
    await daemon.delete_agent(f"{parent}/agents/{agent}")
    return (told - begin) * 1e3


async def _floor(bare: engine.Bare, first: AgentSpec) -> float:
    begin = perf_counter()
    spec = await bare.join(first)
    key = spec.authorized_key
    async with await engine.ssh(await bare.port(spec.agent_uid), key, spec.host_key) as connection:
        await connection.run("true", check=True)
        told = perf_counter()
    await bare.leave(spec)
    return (told - begin) * 1e3
