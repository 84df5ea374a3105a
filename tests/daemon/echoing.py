"""A daemon whose agents' program is echo_agent.py; `python -m tests.daemon.echoing` is the daemon's main with it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.daemon import echo_agent
from tests.daemon.running import PRIMARY, Running, create, quiet, serving
from tests.harness.echo import Echo
from vibespace.daemon import __main__ as composition
from vibespace.engine import bodies
from vibespace.engine.fake_world import World
from vibespace.harness.base import NOTHING, Command, Settings
from vibespace.reconcile import checkpoints
from vibespace.v1 import conversations_pb2 as c
from vibespace.v1.approvals_pb2_grpc import ApprovalServiceStub
from vibespace.v1.conversations_pb2_grpc import ConversationServiceStub
from vibespace.v1.cursor_pb2 import Cursor

DONE, FAILED = c.MESSAGE_STATE_DONE, c.MESSAGE_STATE_FAILED


class EchoAgent(Echo):
    """Its program is a file of the tests."""

    def headless(
        self, settings: Settings, conversation: str, *, resume: bool, env: Mapping[str, str] = NOTHING
    ) -> Command:
        return Command((sys.executable, "-u", echo_agent.__file__, conversation))

    def terminal(
        self, settings: Settings, conversation: str, *, resume: bool, hook: str, directory: str, env: Mapping[str, str]
    ) -> Command:
        return Command((sys.executable, "-u", echo_agent.__file__, "--terminal", conversation))


@dataclass(frozen=True)
class Told:
    """What came of a message."""

    message: c.Message
    blocks: list[c.Block]

    @property
    def state(self) -> int:
        """How far it came."""
        return self.message.state

    @property
    def reason(self) -> str:
        """Why it ended there."""
        return self.message.reason

    @property
    def said(self) -> list[str]:
        """By the agent."""
        return said(self.blocks)


def said(blocks: list[c.Block]) -> list[str]:
    """What the agent said in them."""
    return [block.text.text for block in blocks if block.HasField("text") and not block.text.by_user]


class Talk:
    """With one agent of a daemon."""

    def __init__(self, channel: grpc.aio.Channel, name: str = PRIMARY) -> None:
        self.channel = channel
        self.name = name
        self.stub = ConversationServiceStub(channel)
        self.approvals = ApprovalServiceStub(channel)

    async def say(self, text: str, **how: Any) -> c.SendMessageResponse:
        """Say it, and do not wait."""
        answer: c.SendMessageResponse = await self.stub.SendMessage(
            c.SendMessageRequest(parent=self.name, text=text, **how)
        )
        return answer

    async def outcome(self, sent: c.SendMessageResponse) -> Told:
        """What came of it, when it is over."""
        request = c.StreamTranscriptRequest(name=self.name, after=sent.cursor, until_message=sent.message.uid)
        blocks: list[c.Block] = []
        message = sent.message
        async for response in self.stub.StreamTranscript(request):
            blocks += response.blocks
            message = next((m for m in reversed(response.messages) if m.uid == message.uid), message)
        return Told(message, blocks)

    async def ask(self, text: str) -> Told:
        """Say it, and wait for what comes of it."""
        return await self.outcome(await self.say(text))

    async def transcript(self, after: Cursor | None = None) -> list[c.Block]:
        """All that it told up to the present."""
        request = c.StreamTranscriptRequest(name=self.name, after=after)
        return [block async for response in self.stub.StreamTranscript(request) for block in response.blocks]

    async def until(self, kind: str, after: Cursor | None = None) -> c.Block:
        """The first block of that kind, of text the agent's own; it is waited for."""
        call = self.stub.StreamTranscript(c.StreamTranscriptRequest(name=self.name, after=after, follow=True))
        async for response in call:
            for block in response.blocks:
                if block.WhichOneof("block") == kind and not block.text.by_user:
                    call.cancel()
                    return block
        raise AssertionError("the transcript ended")


@asynccontextmanager
async def echoing(home: Path, world: World) -> AsyncIterator[Running]:
    """Serve `home`, where agents are echoes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(composition, "HARNESSES", {"claude-code": EchoAgent()})
        async with serving(home, world) as running:
            yield running


async def prepare(running: Running) -> None:
    """Initialized, and with a vibespace `demo` that runs."""
    await running.init()
    await running.vibespaces.CreateVibespace(create())
    await running.until(quiet)


def home_of(running: Running, world: World) -> Path:
    """The primary's."""
    agent, vibespace = running.feed.state.agent("demo", "claude-1"), running.feed.state.vibespace("demo")
    return world.files(bodies.home_volume(vibespace.data_uid, agent.name))


if __name__ == "__main__":
    vars(composition)["HARNESSES"] = {"claude-code": EchoAgent()}
    vars(checkpoints)["EVERY"] = 20
    sys.exit(composition.main())
