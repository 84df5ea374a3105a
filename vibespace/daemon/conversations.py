"""Answers ConversationService."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import grpc

from vibespace.app import messages as commands
from vibespace.app.deltas import Deltas, Piece
from vibespace.app.feed import Feed
from vibespace.app.index import Wanted
from vibespace.app.recorder import Recorded
from vibespace.app.writer import Outcome, Request, Writer
from vibespace.daemon import convert, mutations
from vibespace.daemon.blocks import blocks_of
from vibespace.daemon.convert_conversations import conversation_message, message_message
from vibespace.daemon.merging import either
from vibespace.daemon.principal import principal, request_of
from vibespace.daemon.reaching import not_running, running
from vibespace.domain import names, states
from vibespace.domain.agents import Agent
from vibespace.domain.conversations import Conversation
from vibespace.domain.messages import Message
from vibespace.domain.states import State
from vibespace.domain.transcripts import transcript_id
from vibespace.errors import Error, InvalidArgument, NotFound, Unavailable
from vibespace.v1 import conversations_pb2 as v1
from vibespace.v1.conversations_pb2_grpc import ConversationServiceServicer

_log = logging.getLogger(__name__)
Context = grpc.aio.ServicerContext[Any, Any]


class ConversationServicer(ConversationServiceServicer):
    """Translates; the commands decide, and the drivers carry the words."""

    def __init__(self, feed: Feed, writer: Writer, deltas: Deltas, terminal: Callable[[Agent], Sequence[str]]) -> None:
        """`terminal` is what to run inside to have an agent's program on a terminal; empty while it is not there."""
        self._feed = feed
        self._writer = writer
        self._deltas = deltas
        self._terminal = terminal
        self._waiting: Counter[str] = Counter()
        """By agent's uid: how many wait for its terminal."""
        self._leaving: set[asyncio.Task[Outcome]] = set()

    async def SendMessage(self, request: v1.SendMessageRequest, context: Context) -> v1.SendMessageResponse:
        vibespace, agent = names.parse_agent(request.parent, "parent")
        commands.check_text(request.text)
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
        feed = self._feed
        agent = feed.state.agent(*names.parse_agent(request.name))
        after = feed.check(request.after.log_id, request.after.position) if request.HasField("after") else 0
        awaited = _uid(request.until_message) if request.until_message else None
        wanted = Wanted(vibespace=agent.vibespace)
        if awaited and self._is_over(agent, awaited) and after == feed.state.position:
            yield v1.StreamTranscriptResponse(
                messages=self._told(agent, [awaited]), cursor=convert.cursor(feed.log_id, after)
            )
            return
        follow, waits = request.follow or awaited is not None, awaited is not None
        events = feed.events(after, follow=follow, resumed=request.resumed, wanted=wanted)
        pieces = self._deltas.follow(agent.uid) if follow and request.deltas else None
        async for told in either(events, pieces):
            if isinstance(told, Piece):
                if not waits:
                    yield v1.StreamTranscriptResponse(deltas=[v1.Delta(**told._asdict())])
                continue
            page, upto = told
            shown, waits = self._from_turn(page, awaited, waits) if awaited else (page, False)
            yield self._page(agent, shown, upto)
            if awaited and upto == feed.state.position and self._is_over(agent, awaited):
                return

    def _page(self, agent: Agent, page: Sequence[Recorded], upto: int) -> v1.StreamTranscriptResponse:
        response = v1.StreamTranscriptResponse(cursor=convert.cursor(self._feed.log_id, upto))
        transcript, moved = transcript_id(agent.uid), dict[UUID, None]()
        for recorded in page:  # by uids: an earlier agent may have had its name
            if recorded.uid == transcript:
                response.blocks.extend(blocks_of(recorded, agent.uid, self._feed.log_id))
            elif recorded.topic.startswith("message."):
                moved[recorded.uid] = None
        response.messages.extend(self._told(agent, moved))
        return response

    def _told(self, agent: Agent, uids: Iterable[UUID]) -> list[v1.Message]:
        found = [self._message(uid) for uid in uids]
        its = [message for message in found if message and message.agent_uid == agent.uid]
        return [message_message(message, self._feed.state) for message in its]

    def _message(self, uid: UUID) -> Message | None:
        gone = self._feed.state.gone.get(uid)
        found = gone.aggregate if gone else self._feed.state.aggregates.get(uid)
        return found if isinstance(found, Message) else None

    def _from_turn(self, page: Sequence[Recorded], uid: UUID, waits: bool) -> tuple[Sequence[Recorded], bool]:
        """Of what happened while that message `waits`, only how far it got; and whether it still waits.

        One that joins a turn waits until it is acknowledged; any other has a turn of its own from when it is handed on,
        in which requests to a model may fail before it is acknowledged.
        """
        message = self._message(uid)
        begun = {"message.acknowledged"} | ({"message.handed"} if message and not message.steers else set())
        for number, recorded in enumerate(page if waits else ()):
            if recorded.uid == uid and recorded.topic in begun:
                return [*(one for one in page[:number] if one.uid == uid), *page[number:]], False
        return ([one for one in page if one.uid == uid] if waits else page), waits

    def _is_over(self, agent: Agent, uid: UUID) -> bool:
        """Nothing more will come of that message. Raises FailedPrecondition AGENT_NOT_RUNNING, NotFound."""
        message, state = self._message(uid), self._feed.state
        if message is None or message.agent_uid != agent.uid:
            raise NotFound("MESSAGE_NOT_FOUND", "There is no such message, or its agent is gone.")
        if message.gone:
            return True
        now = state.agent(agent.vibespace, agent.name)
        assert state.host is not None
        home = state.vibespace_of(now)
        condition = states.agent_state(now, home, state.host)
        if self._feed.engine_seen and condition not in (State.RUNNING, State.STARTING):
            reason = states.agent_reason(now, home, state.host)
            raise not_running(now, condition, state.host.resting, reason)
        return False

    async def OpenTerminal(
        self, request: v1.OpenTerminalRequest, context: Context
    ) -> AsyncIterator[v1.OpenTerminalResponse]:
        vibespace, name = names.parse_agent(request.name)
        agent, _ = await running(self._feed, vibespace, name)
        actor = Request(principal.get().actor)
        want = partial(commands.want_terminal, vibespace=vibespace, agent=name, takes_over=request.take_over)
        self._waiting[agent.uid] += 1
        try:
            await self._writer.run(want, actor)  # it is done all the same when the caller goes
            async for response in self._until_open(vibespace, name):
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

    async def _until_open(self, vibespace: str, name: str) -> AsyncIterator[v1.OpenTerminalResponse]:
        told = ""
        while True:
            agent, _ = await running(self._feed, vibespace, name)
            if command := self._terminal(agent):
                yield v1.OpenTerminalResponse(command=command)
                return
            conversation = self._feed.state.conversations.get(agent.uid)
            if conversation is None or not conversation.wants_terminal:
                raise Unavailable(
                    "TERMINAL_ENDED",
                    f"The program of '{name}' ended at once.",
                    hint=f"'vibespace events --vibespace {vibespace} --type transcript' has what it said.",
                )
            waiting = f"{name} is at work" if conversation.working else "its program is starting"
            if waiting != told:
                told = waiting
                yield v1.OpenTerminalResponse(waiting=waiting)
            await self._feed.news()

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


def _uid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InvalidArgument("UID_INVALID", f"{text[:60]!a} is no uid.", field="until_message") from None
