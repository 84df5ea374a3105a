"""The runner with the real Codex, inside: over the socket at which a person's terminal attaches too."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest

from tests.models.openai import OpenAI
from tests.models.programs import Program, beside, running
from tests.models.script import Call, Gate, Turn, say
from tests.models.test_codex import MODEL, SET, SETTINGS
from vibespace.harness.base import Answer, Settings
from vibespace.harness.codex import SOCKET, Codex
from vibespace.harness.events import (
    ApprovalAnswered,
    ApprovalAsked,
    ConversationSwitched,
    Delta,
    Event,
    ToolResult,
    TurnEnded,
    WorkEnded,
)
from vibespace.net.runner_zip import packed

pytestmark = pytest.mark.containers

E = TypeVar("E", bound=Event)

CODEX = Codex()
INSIDE = f'{SET}\nbase64 -d <<< "$RUNNER" > ~/runner.pyz\nexec /usr/bin/python3 -I -S ~/runner.pyz attach'
BRIDGE = """
import os, sys, threading
from vibespace.runner.websocket import WebSocket
socket = WebSocket(os.path.expanduser("~/" + sys.argv[1]))
socket.open()
def send():
    for line in sys.stdin.buffer:
        socket.send(line.strip())
threading.Thread(target=send, daemon=True).start()
while True:
    sys.stdout.buffer.write(b"".join(socket.receive()) + b"\\n")
    sys.stdout.flush()
"""


class Kept:
    """A program that a runner keeps inside, and what its parser makes of it."""

    def __init__(self, attached: Program) -> None:
        self.attached = attached
        self._parser = CODEX.parser()
        self.events: list[Event] = []
        self.records: list[tuple[str, bytes]] = []
        self.replies: list[dict[str, Any]] = []

    async def frame(self) -> None:
        head = (await self.attached.until(lambda _: True))[0]
        data = await self.attached.exactly(head.get("length", 0))
        assert "error" not in head, head
        if "reply" in head:
            self.replies.append(head)
        if "record" in head:
            self.records.append((head["record"], data))
        if head.get("record") == "stdout":
            self.events += self._parser.feed(data)

    async def record(self, kind: str) -> bytes:
        while True:
            found = [data for each, data in self.records if each == kind]
            if found:
                return found[0]
            await self.frame()

    async def ask(self, request: dict[str, Any], data: bytes = b"") -> dict[str, Any]:
        before = len(self.replies)
        self.attached.tell({**request, "length": len(data)}, data)
        while len(self.replies) == before:
            await self.frame()
        return self.replies[-1]

    async def say(self, name: str, *lines: bytes) -> None:
        for number, line in enumerate(lines):
            reply = await self.ask({"do": "input", "input": f"{name}-{number}"}, line + b"\n")
            assert reply["state"] == "written"

    async def event(self, kind: type[E], wanted: Callable[[E], bool] = lambda _: True) -> E:
        while True:
            for event in self.events:
                if isinstance(event, kind) and wanted(event):
                    return event
            await self.frame()


@asynccontextmanager
async def opened(image: str, gate: Gate) -> AsyncIterator[tuple[Kept, str]]:
    """Codex with a conversation, and a model that asks for a command and then speaks through the gate."""
    call = say("I look.", Call("exec_command", {"cmd": "echo from the mill"}))
    model = OpenAI({"one": [call, Turn(["grain flour"], gate)]})
    settings = Settings(model=MODEL)
    command = CODEX.headless(settings, "", resume=False)
    runner = base64.b64encode(packed()).decode()
    async with (
        model.serving() as url,
        running(image, INSIDE, SETTINGS=SETTINGS % url, SCRIPTED_KEY="one", RUNNER=runner) as attached,
    ):
        kept = Kept(attached)
        start = {"do": "start", "argv": command.argv, "env": {}, "cwd": "/", "socket": command.socket}
        assert (await kept.ask(start))["started"]
        await kept.record("connected")
        await kept.say("greet", *CODEX.greet("g"))
        await kept.say("open", *CODEX.open(settings, "", "/tmp", "o"))
        thread = (await kept.event(ConversationSwitched)).conversation
        await kept.say("name", *CODEX.name(thread, "mill", "n"))
        await kept.say("say", CODEX.say(thread, "what?", "m-1", "r-1"))
        yield kept, thread
    assert model.surprises == []


async def test_a_turn_with_a_second_client(agent_image: str) -> None:
    """Greeted, asked, answered by the other client, ended: both are told all, and the other may go in mid-turn."""
    gate = Gate()
    async with opened(agent_image, gate) as (kept, thread):
        asked = await kept.event(ApprovalAsked)
        bridge = ("/usr/bin/python3", "-uc", BRIDGE, SOCKET)
        async with beside(kept.attached, *bridge, PYTHONPATH="/home/agent/runner.pyz") as other:
            hello = {"clientInfo": {"name": "t", "version": "1"}, "capabilities": {"experimentalApi": True}}
            other.tell({"id": 1, "method": "initialize", "params": hello})
            await other.until(lambda said: said.get("id") == 1)
            other.tell({"method": "initialized"})
            other.tell({"id": 2, "method": "thread/resume", "params": {"threadId": thread}})
            asks = "item/commandExecution/requestApproval"
            told = (await other.until(lambda said: said.get("method") == asks))[-1]
            other.tell({"id": told["id"], "result": {"decision": "accept"}})
            assert (await kept.event(ApprovalAnswered)).request == asked.request
            assert "from the mill" in (await kept.event(ToolResult)).text
            await gate.arrived()
            gate.allow()
            await other.until(lambda said: said.get("method") == "item/agentMessage/delta")
            await kept.event(Delta, lambda delta: delta.text == "grain ")
        gate.allow()
        await kept.event(WorkEnded)
        assert [event.reason for event in kept.events if isinstance(event, TurnEnded)] == ["completed"]
        assert "disconnected" not in dict(kept.records)


async def test_close_ends_it_well(agent_image: str) -> None:
    """As the end of a stdin would, between two turns: what it has said was heard."""
    gate = Gate()
    gate.allow(2)
    async with opened(agent_image, gate) as (kept, _):
        await kept.say("yes", CODEX.answer(await kept.event(ApprovalAsked), Answer(True)))
        await kept.event(WorkEnded)
        await kept.ask({"do": "close"})
        assert json.loads(await kept.record("exit")) == {"code": 0}
        assert [event.reason for event in kept.events if isinstance(event, TurnEnded)] == ["completed"]
