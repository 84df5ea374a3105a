"""Answers ConversationService."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import grpc

from vibespace.app import messages as commands
from vibespace.app.blobs import Blobs
from vibespace.app.deltas import Deltas
from vibespace.app.feed import Feed
from vibespace.app.writer import Outcome, Request, Writer
from vibespace.daemon import mutations
from vibespace.daemon.convert_conversations import conversation_message, message_message
from vibespace.daemon.principal import principal, request_of
from vibespace.daemon.reaching import running
from vibespace.daemon.transcripts import TranscriptStream
from vibespace.domain import names
from vibespace.domain.agents import Agent
from vibespace.domain.approvals import ASKED
from vibespace.domain.conversations import Conversation
from vibespace.domain.messages import Message
from vibespace.errors import Error, Unavailable
from vibespace.v1 import conversations_pb2 as v1
from vibespace.v1.conversations_pb2_grpc import ConversationServiceServicer

_log = logging.getLogger(__name__)
Context = grpc.aio.ServicerContext[Any, Any]


class ConversationServicer(ConversationServiceServicer):
    """Translates; the commands decide, and the drivers carry the words."""

    def __init__(
        self, feed: Feed, writer: Writer, deltas: Deltas, blobs: Blobs, terminal: Callable[[Agent], Sequence[str]]
    ) -> None:
        """`terminal` is what to run inside to have an agent's program on a terminal; empty while it is not there."""
        self._feed = feed
        self._writer = writer
        self._deltas = deltas
        self._blobs = blobs
        self._terminal = terminal
        self._waiting: Counter[str] = Counter()
        """By agent's uid: how many wait for its terminal."""
        self._leaving: set[asyncio.Task[Outcome]] = set()

    async def SendMessage(self, request: v1.SendMessageRequest, context: Context) -> v1.SendMessageResponse:
        vibespace, agent = names.parse_agent(request.parent, "parent")
        commands.check_text(request.text)
        if mutations.is_new(self._feed, request):
            await running(self._feed, vibespace, agent)
        command = partial(
            commands.say,
            vibespace=vibespace,
            agent=agent,
            text=request.text,
            author=principal.get().actor,
            steers=request.steer,
            is_command=request.is_command,
            takes_over=request.take_over,
        )
        found, cursor = await mutations.run(self._feed, self._writer, command, request_of(request), Message)
        return v1.SendMessageResponse(message=message_message(found, self._feed.state), cursor=cursor)

    async def StreamTranscript(
        self, request: v1.StreamTranscriptRequest, context: Context
    ) -> AsyncIterator[v1.StreamTranscriptResponse]:
        stream = TranscriptStream(self._feed, self._deltas, self._blobs, request)
        async for response in stream.responses():
            yield response

    async def OpenTerminal(
        self, request: v1.OpenTerminalRequest, context: Context
    ) -> AsyncIterator[v1.OpenTerminalResponse]:
        vibespace, name = names.parse_agent(request.name)
        agent, _ = await running(self._feed, vibespace, name)
        actor = Request(principal.get().actor)
        want = partial(commands.want_terminal, vibespace=vibespace, agent=name, takes_over=request.take_over)
        self._waiting[agent.uid] += 1
        try:
            async for response in self._until_open(agent, partial(self._writer.run, want, actor)):
                yield response
        finally:
            self._waiting[agent.uid] -= 1
            if not self._waiting[agent.uid]:
                del self._waiting[agent.uid]
                # Nobody is left for whom it is kept from what else is said to the agent.
                leave = partial(commands.leave_terminal, vibespace=vibespace, agent=name)
                leaving = asyncio.create_task(self._writer.run(leave, actor))
                self._leaving.add(leaving)
                leaving.add_done_callback(self._left)

    async def _until_open(
        self, agent: Agent, want: Callable[[], Awaitable[Outcome]]
    ) -> AsyncIterator[v1.OpenTerminalResponse]:
        """`want` asks for it, which is done all the same when the caller goes."""
        vibespace, name = agent.vibespace, agent.name
        told, stood = "", self._on_terminal(agent)
        await want()
        asked = self._conversation(agent)
        while True:
            agent, _ = await running(self._feed, vibespace, name)
            if command := self._terminal(agent):
                yield v1.OpenTerminalResponse(command=command)
                return
            conversation = self._conversation(agent)
            if conversation is None or not conversation.wants_terminal:
                moved = conversation is not None and asked is not None and conversation.id != asked.id
                if not (stood or moved):
                    raise Unavailable(
                        "TERMINAL_ENDED",
                        f"The program of '{name}' ended at once.",
                        hint=f"'vibespace events --vibespace {vibespace} --type transcript' has what it said.",
                    )
                stood = False  # it was over, or left for another, which was not known yet when this was asked for
                await want()
                asked = self._conversation(agent)
                continue
            waiting = self._why(agent, conversation)
            if waiting != told:
                told = waiting
                yield v1.OpenTerminalResponse(waiting=waiting)
            else:  # while something is told, it may have opened
                await self._feed.news()

    def _why(self, agent: Agent, conversation: Conversation) -> str:
        """What is waited for."""
        asked = self._feed.state.approvals.get(agent.uid, {}).values()
        if any(each.state == ASKED for each in asked):
            return f"what {agent.name} works on waits for a decision, see 'vibespace approval list'"
        return f"{agent.name} is at work" if conversation.working else "its program is starting"

    def _conversation(self, agent: Agent) -> Conversation | None:
        return self._feed.state.conversations.get(agent.uid)

    def _on_terminal(self, agent: Agent) -> bool:
        conversation = self._conversation(agent)
        return conversation is not None and conversation.on_terminal

    def _left(self, leaving: asyncio.Task[Outcome]) -> None:
        self._leaving.discard(leaving)
        if not leaving.cancelled() and isinstance(error := leaving.exception(), Error):
            _log.info("a terminal was not given up: %s", error.message)

    async def InterruptAgent(self, request: v1.InterruptAgentRequest, context: Context) -> v1.InterruptAgentResponse:
        vibespace, agent = names.parse_agent(request.name)
        command = partial(commands.interrupt, vibespace=vibespace, agent=agent)
        return v1.InterruptAgentResponse(**await self._run(command, request))

    async def CreateConversation(
        self, request: v1.CreateConversationRequest, context: Context
    ) -> v1.CreateConversationResponse:
        vibespace, agent = names.parse_agent(request.parent, "parent")
        command = partial(commands.new_conversation, vibespace=vibespace, agent=agent)
        return v1.CreateConversationResponse(**await self._run(command, request))

    async def _run(self, command: Any, request: Any) -> dict[str, Any]:
        found, cursor = await mutations.run(self._feed, self._writer, command, request_of(request), Conversation)
        return {"conversation": conversation_message(found), "cursor": cursor}
