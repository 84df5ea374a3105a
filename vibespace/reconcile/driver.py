"""Drives one agent's program: hears what it says, and tells it what it is to be told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID

from vibespace.app import approvals, messages, transcripts
from vibespace.app.feed import Feed
from vibespace.app.settings import settings_of, stored
from vibespace.app.writer import Command, Request
from vibespace.domain.agents import Agent
from vibespace.domain.conversations import Conversation
from vibespace.domain.transcripts import Place
from vibespace.errors import Error, FailedPrecondition, NotFound
from vibespace.reconcile import doors
from vibespace.reconcile.actions import (
    Action,
    End,
    Fail,
    Hand,
    Lose,
    Requeue,
    Settle,
    Start,
    Tell,
    Withdraw,
    Write,
)
from vibespace.reconcile.conversations import plan, session_for
from vibespace.reconcile.hearing import Hearing
from vibespace.reconcile.tools import Tools
from vibespace.reconcile.view import View

_PAUSES = (0.2, 1.0, 5.0, 20.0)
"""Seconds before the way to a program is tried again."""
_MOST_TRIES = 6
"""Times that it is tried before who waits is told."""
_LASTING = 60.0
"""After so many seconds of it, or when anything came of it, its failure counts as the first."""
_FAREWELL = 5.0
"""Seconds that a program has to end by itself once nothing more is said to it."""

_log = logging.getLogger(__name__)


class Driver:
    """One agent's."""

    def __init__(self, agent: Agent, tools: Tools) -> None:
        self._uid = agent.uid
        self._tools = tools
        self._harness = tools.harnesses[agent.type]
        self._failures = 0
        self._has_ended = False
        self._spoilt: set[Place] = set()
        """Lines whose consequences meet a defect of ours: they are kept, and nothing follows from them."""

    async def run(self) -> None:
        """Until cancelled, or until there is neither a program nor anything to tell one."""
        try:
            await self._drive()
        finally:
            self._tools.feed.hold(self._uid, None)

    async def _drive(self) -> None:
        tries = 0
        while (agent := self._agent()) and is_wanted(self._tools.feed, self._uid):
            begun, known = asyncio.get_running_loop().time(), self._recorded()
            try:
                await self._attach(agent)
            except Error as e:
                _log.info("the program of %s is not reached: %s", self._uid, e.message)
                lasted = asyncio.get_running_loop().time() - begun > _LASTING
                tries = 1 if lasted or self._recorded() > known else tries + 1
                if e.reason == "DISK_FULL":
                    self._tools.feed.hold(self._uid, e)  # it goes on by itself when there is room
                elif isinstance(e, FailedPrecondition) or tries % _MOST_TRIES == 0:
                    await self._withdraw(e.sentence)
                await self._pause(_PAUSES[min(tries, len(_PAUSES)) - 1])

    async def _pause(self, seconds: float) -> None:
        """Where there is no room, until somebody else finds some: who asks then is not told that there is none."""
        feed = self._tools.feed
        if self._uid not in feed.held:
            await asyncio.sleep(seconds)
            return
        position = feed.state.position
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while feed.state.position == position:
                    await feed.news()

    async def _attach(self, agent: Agent) -> None:
        self._tools.feed.hold(self._uid, None)  # as far as is known
        self._hearing = hearing = Hearing(self._uid, self._harness, self._tools, self._spoilt, self._ended)
        self._attachment = await self._tools.programs.attach(self._uid, hearing.seen, self._tools.directory(agent))
        hello = self._attachment.hello
        try:
            await hearing.await_all(hello.last, running=hello.running)
            await _first(hearing.read(self._attachment), hearing.record(), self._act(), self._follow())
        finally:
            self._tools.feed.hear(self._uid, heard=False)
            await self._attachment.close()
            await hearing.close()

    def _ended(self) -> None:
        """The program is over."""
        live = self._hearing.live
        self._failures = 0 if live.worked or live.on_terminal else self._failures + 1
        self._has_ended = not live.logged_out  # one that has no login is not begun again before somebody asks

    def _agent(self) -> Agent | None:
        found = self._tools.feed.state.aggregates.get(UUID(self._uid))
        return found if isinstance(found, Agent) else None

    def _recorded(self) -> Place:
        """What the log has of the program."""
        transcript = self._tools.feed.state.transcript(self._uid)
        return transcript.place if transcript else Place(0, 0)

    async def _follow(self) -> None:
        stamp = self._stamp()
        while True:
            await self._tools.feed.news()
            if (now := self._stamp()) != stamp:
                stamp = now
                self._hearing.changed.set()

    def _stamp(self) -> tuple[object, ...]:
        """Another one whenever something about the agent has changed."""
        state = self._tools.feed.state
        conversation = state.conversations.get(self._uid)
        about = (UUID(self._uid), conversation.id if conversation else None)
        waiting = (*state.messages.get(self._uid, ()), *state.approvals.get(self._uid, ()))
        return tuple((uid, state.positions.get(uid)) for uid in (*about, *waiting) if uid)

    async def _act(self) -> None:
        while True:
            self._hearing.changed.clear()
            if self._hearing.is_current:
                self._tools.feed.hear(self._uid, heard=True)
                view = self._view()
                action = plan(view)
                if action is None and not self._hearing.live.running and not is_wanted(self._tools.feed, self._uid):
                    return
                if action and await self._do(action, view):
                    continue
            await self._hearing.changed.wait()

    def _view(self) -> View:
        state, agent = self._tools.feed.state, self._agent()
        if agent is None:
            raise NotFound("AGENT_NOT_FOUND", "That agent is gone.")
        transcript = state.transcript(self._uid)
        return View(
            harness=self._harness,
            settings=self._tools.settings(agent),
            in_force=settings_of(transcript.settings if transcript else {}),
            generation=agent.generation,
            conversation=state.conversations.get(self._uid),
            messages=list(state.messages.get(self._uid, {}).values()),
            approvals=list(state.approvals.get(self._uid, {}).values()),
            started_for=transcript.conversation if transcript else "",
            resumed=bool(transcript and transcript.resumed),
            on_terminal=bool(transcript and transcript.on_terminal),
            directory=self._tools.directory(agent),
            env=self._tools.environment(agent),
            keys=self._tools.keys(agent),
            keys_in_force=transcript.keys if transcript else (),
            live=self._hearing.live,
            failures=self._failures,
            ended=self._has_ended,
        )

    async def _do(self, action: Action, view: View) -> bool:
        """Whether to look at once for what is next; else something has to change first."""
        match action:
            case Start(on_terminal):
                await self._start(view, on_terminal=on_terminal)
            case End(at_once):
                await self._end(at_once=at_once)
            case Write():
                return await self._write(action)
            case Tell():
                await self._tell(action)
            case Hand(message):
                await self._run(partial(messages.hand_message, message=message))
            case Requeue(message):
                await self._run(partial(messages.queue_again, message=message))
            case Fail(message, reason):
                await self._run(partial(messages.fail_message, message=message, reason=reason))
            case Lose(message):
                await self._run(partial(messages.lose_message, message=message))
            case Withdraw(reason):
                words = f": {self._hearing.last_words}" if self._hearing.last_words else ""
                await self._withdraw(reason + words)
                self._failures = 0
            case Settle():
                settle = partial(transcripts.take_settings, agent_uid=self._uid, settings=stored(view.settings))
                await self._run(settle)
        return True

    async def _start(self, view: View, *, on_terminal: bool) -> None:
        agent, conversation = self._agent(), view.conversation
        assert agent is not None
        assert conversation is not None
        session, resumed = await self._look(conversation, view.directory)
        given = dict(view.env)
        command = self._harness.headless(view.settings, session, resume=resumed, env=given)
        if on_terminal:
            command = doors.in_tmux(
                self._harness.terminal(
                    view.settings,
                    session,
                    resume=resumed,
                    hook=self._attachment.hook,
                    directory=view.directory,
                    env={**self._tools.values(agent), **given},
                )
            )
        elif self._harness.shares and not resumed:
            command = doors.alone(command)
        environment = {name: value for name, value in command.env.items() if name not in agent.env}
        start = {"conversation": conversation.uid, "resumed": resumed, "on_terminal": on_terminal}
        epoch = await self._attachment.start(
            command.argv,
            environment | given,
            socket=command.socket,
            files=doors.FILES | dict(command.files),
            note=start | {"settings": stored(view.settings), "keys": list(view.keys)},
            beyond=self._hearing.recorded.epoch,
        )
        self._hearing.awaited = Place(epoch, 1)
        await self._attachment.trim(epoch, 0)

    async def _look(self, conversation: Conversation, directory: str) -> tuple[str, bool]:
        """What the program is to call the conversation, and whether that is resumed.

        One in which nothing was said Claude Code does not resume, and one of which it keeps a file it does not begin:
        such a one goes on under another name, as after /clear.
        """
        session = session_for(conversation)
        if not (kept := self._harness.record(session, directory)):
            return session, conversation.begun
        match await self._attachment.tail(kept.path, kept.mark):
            case "found":
                return session, True
            case "":
                return session, conversation.begun
            case "missing" if not conversation.begun:
                return session, False
        session = str(self._tools.new_id())
        if kept := self._harness.record(session, directory):
            await self._attachment.tail(kept.path, kept.mark)
        return session, False

    async def _end(self, *, at_once: bool) -> None:
        if not at_once:
            await self._attachment.end_input()
            with suppress(TimeoutError):
                async with asyncio.timeout(_FAREWELL):
                    await self._until_over()
        if self._hearing.live.running:
            await self._attachment.end()
        await self._until_over()
        self._failures = 0

    async def _until_over(self) -> None:
        while self._hearing.live.running:
            self._hearing.changed.clear()
            await self._hearing.changed.wait()

    async def _write(self, action: Write) -> bool:
        written = await self._attachment.write(action.name, action.line + b"\n", secret=action.secret)
        if written == "refused":
            return False  # its end is on the way, or its connection
        self._hearing.live.written.add(action.name)
        if action.message and written == "uncertain":
            await self._run(partial(messages.queue_again, message=action.message))
        if action.approval:
            await self._run(partial(approvals.answered, uid=action.approval.id, agent_uid=self._uid))
        return True

    async def _tell(self, action: Tell) -> None:
        """Who asked on the terminal; where he has decided there, the program tells how."""
        self._hearing.live.written.add(action.name)
        if await self._attachment.answer(action.request, action.words):
            await self._run(partial(approvals.answered, uid=action.approval.id, agent_uid=self._uid))

    async def _withdraw(self, reason: str) -> None:
        await self._run(partial(messages.withdraw, agent_uid=self._uid, reason=reason))

    async def _run(self, command: Command) -> None:
        with suppress(NotFound):  # it is over meanwhile
            await self._tools.writer.run(command, Request("daemon"))


async def _first(*works: Coroutine[Any, Any, None]) -> None:
    """Return, or raise, as the first of them does; by then all have ended."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def is_wanted(feed: Feed, agent_uid: str) -> bool:
    """There is a program, or something to tell one, or somebody who wants one."""
    state = feed.state
    transcript, conversation = state.transcript(agent_uid), state.conversations.get(agent_uid)
    wanted = bool(conversation and conversation.wants_terminal)
    return wanted or bool(state.messages.get(agent_uid) or (transcript and transcript.running))
