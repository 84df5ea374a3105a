"""Drives one agent's program: what it says goes into the log, and it is told what it is to be told."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from vibespace.app import approvals, messages, transcripts
from vibespace.app.blobs import Blobs
from vibespace.app.deltas import Deltas
from vibespace.app.feed import Feed
from vibespace.app.settings import settings_of, stored
from vibespace.app.writer import Command, Outcome, Request, Writer
from vibespace.domain.agents import Agent
from vibespace.domain.transcripts import Place
from vibespace.errors import Error, NotFound
from vibespace.harness.base import Harness, Settings
from vibespace.harness.events import Delta, Event, Stream, Text, TurnEnded
from vibespace.net.base import Programs, Record
from vibespace.reconcile import doors
from vibespace.reconcile.conversations import (
    End,
    Fail,
    Hand,
    Live,
    Lose,
    Settle,
    Start,
    Tell,
    View,
    Write,
    plan,
    session_for,
)
from vibespace.reconcile.lines import Lines

_UNDER_WAY = 200
"""Records on their way into the log at once."""
_TURN = 50
"""Records that are read before others have theirs."""
_PAUSES = (0.2, 1.0, 5.0, 20.0)
"""Seconds before the way to a program is tried again."""
_FAREWELL = 5.0
"""Seconds that a program has to end by itself once nothing more is said to it."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tools:
    """What every driver needs."""

    feed: Feed
    writer: Writer
    programs: Programs
    harnesses: Mapping[str, Harness]
    blobs: Blobs
    deltas: Deltas
    mask: Callable[[str], str]
    settings: Callable[[Agent], Settings]
    values: Callable[[Agent], Mapping[str, str]]
    """What its container's environment has of its own."""
    environment: Callable[[Agent], Mapping[str, str]]
    """What the program's process gets besides what its container has."""
    directory: Callable[[Agent], str]
    """Where it begins."""


class Driver:
    """One agent's."""

    def __init__(self, agent: Agent, tools: Tools) -> None:
        self._uid = agent.uid
        self._tools = tools
        self._harness = tools.harnesses[agent.type]
        self._failures = 0

    async def run(self) -> None:
        """Until cancelled, or until there is neither a program nor anything to tell one."""
        tries = 0
        while (agent := self._agent()) and is_wanted(self._tools.feed, self._uid):
            begun = asyncio.get_running_loop().time()
            try:
                await self._attach(agent)
            except Error as e:
                _log.info("the program of %s is not reached: %s", self._uid, e.message)
                if asyncio.get_running_loop().time() - begun > _PAUSES[-1]:
                    tries = 0
                await asyncio.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
                tries += 1

    async def _attach(self, agent: Agent) -> None:
        transcript = self._tools.feed.state.transcript(self._uid)
        self._recorded = transcript.place if transcript else Place(0, 0)
        # A program that runs is read from its beginning: so its parser is what it was.
        after = Place(self._recorded.epoch, 0) if transcript and transcript.running else self._recorded
        self._live, self._seen = Live(), after
        self._lines = Lines(self._uid, self._harness, self._tools.mask, self._tools.blobs)
        self._under_way: deque[asyncio.Task[Outcome]] = deque()
        self._changed = asyncio.Event()
        self._attachment = await self._tools.programs.attach(self._uid, after, self._tools.directory(agent))
        self._awaited = Place(*self._attachment.hello.last)
        tasks = [asyncio.create_task(work()) for work in (self._read, self._act, self._follow)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await self._attachment.close()
            self._tools.deltas.forget(self._uid)
            await asyncio.gather(*self._under_way, return_exceptions=True)

    def _agent(self) -> Agent | None:
        found = self._tools.feed.state.aggregates.get(UUID(self._uid))
        return found if isinstance(found, Agent) else None

    async def _follow(self) -> None:
        while True:
            await self._tools.feed.news()
            self._changed.set()

    # What it says

    async def _read(self) -> None:
        read = 0
        async for record in self._attachment.records():
            place = Place(record.epoch, record.seq)
            if record.kind == "start":
                self._live = _begun(record)
                self._lines.begin()
            elif record.kind == "connected":
                self._live.connect()
            elif record.kind == "disconnected":
                self._live.listens = False
            elif record.kind == "input":
                self._live.written.add(record.data.partition(b"\n")[0].decode())
            # What we drive ourselves has told us already.
            silent = record.kind == "transcript" and not self._live.on_terminal
            events = () if silent else self._lines.read(record)
            self._live.saw(events)
            self._show(events)
            if record.kind == "exit":
                self._live.running = False
                worked = self._live.worked or self._live.on_terminal
                self._failures = 0 if worked else self._failures + 1
            if not silent and place > self._recorded:
                await self._take(record, events, place)
            self._seen = place
            self._changed.set()
            read += 1
            if read % _TURN == 0:
                await asyncio.sleep(0)

    async def _take(self, record: Record, events: Sequence[Event], place: Place) -> None:
        if command := await self._lines.command(record, events, self._recorded):
            self._recorded = place
            await self._record(command)

    def _show(self, events: Sequence[Event]) -> None:
        """What is just being said, until it is whole."""
        for event in events:
            match event:
                case Delta(stream=Stream.TEXT):
                    self._tools.deltas.add(self._uid, event.turn, event.block, event.text)
                case Text(block=block) if block:
                    self._tools.deltas.end(self._uid, block)
                case TurnEnded():
                    self._tools.deltas.end(self._uid)

    async def _record(self, command: Command) -> None:
        """On its way; they arrive in this order, and one that cannot stops all after it."""
        running = self._tools.writer.run(command, Request(f"agent:{self._uid}"))
        self._under_way.append(asyncio.create_task(running))
        while self._under_way and (self._under_way[0].done() or len(self._under_way) > _UNDER_WAY):
            await self._under_way.popleft()

    # What it is told

    async def _act(self) -> None:
        while True:
            self._changed.clear()
            if self._seen >= self._awaited:
                if not self._live.running:
                    await self._settled()  # what is begun next depends on what its end led to
                view = self._view()
                action = plan(view)
                if action is None and not self._live.running and not is_wanted(self._tools.feed, self._uid):
                    return
                if action and await self._do(action, view):
                    continue
            await self._changed.wait()

    async def _settled(self) -> None:
        """All that was read is in the log."""
        while self._under_way:
            await self._under_way.popleft()

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
            live=self._live,
            failures=self._failures,
        )

    async def _do(self, action: Start | End | Write | Tell | Hand | Fail | Lose | Settle, view: View) -> bool:
        """Whether to look at once for what is next; else something has to change first."""
        match action:
            case Start(on_terminal):
                await self._start(view, on_terminal=on_terminal)
            case Tell():
                await self._attachment.answer(action.request, action.words)
                self._live.written.add(action.name)
                await self._run(partial(approvals.answered, uid=action.approval.id, agent_uid=self._uid))
            case End():
                await self._end()
            case Write():
                return await self._write(action)
            case Hand(message):
                await self._run(partial(messages.hand_message, message=message))
            case Fail(message, reason):
                words = f": {self._lines.last_words}" if self._lines.last_words else ""
                await self._run(partial(messages.fail_message, message=message, reason=reason + words))
                self._failures = 0
            case Settle():
                settle = partial(transcripts.take_settings, agent_uid=self._uid, settings=stored(view.settings))
                await self._run(settle)
            case Lose(message):
                await self._run(partial(messages.lose_message, message=message))
        return True

    async def _start(self, view: View, *, on_terminal: bool) -> None:
        agent, conversation = self._agent(), view.conversation
        assert agent is not None
        assert conversation is not None
        session, resumed = session_for(conversation), conversation.begun
        given = dict(self._tools.environment(agent))
        command = self._harness.headless(view.settings, session, resume=resumed)
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
        environment = {name: value for name, value in command.env.items() if name not in agent.env}
        note = {"conversation": conversation.uid, "resumed": resumed, "on_terminal": on_terminal}
        if record := self._harness.record(session, view.directory):
            await self._attachment.tail(record)
        epoch = await self._attachment.start(
            command.argv,
            environment | given,
            socket=command.socket,
            files=doors.FILES | dict(command.files),
            note=note | {"settings": stored(view.settings)},
        )
        self._awaited = Place(epoch, 1)
        await self._attachment.trim(epoch, 0)

    async def _end(self) -> None:
        await self._attachment.end_input()
        with suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL):
                while self._live.running:
                    self._changed.clear()
                    await self._changed.wait()
        if self._live.running:
            await self._attachment.end()
            self._awaited = Place(self._live.epoch, self._seen.seq + 1)
        self._failures = 0

    async def _write(self, action: Write) -> bool:
        written = await self._attachment.write(action.name, action.line + b"\n")
        if written == "refused":
            return False  # its end is on the way
        self._live.written.add(action.name)
        if action.message and written == "uncertain":
            await self._run(partial(messages.queue_again, message=action.message))
        if action.approval:
            await self._run(partial(approvals.answered, uid=action.approval.id, agent_uid=self._uid))
        return True

    async def _run(self, command: Command) -> None:
        with suppress(NotFound):  # it is over meanwhile
            await self._tools.writer.run(command, Request("daemon"))


def _begun(record: Record) -> Live:
    """A program of which nothing is known but how it was started."""
    started = json.loads(record.data)
    note = started.get("note") or {}
    return Live(
        record.epoch, running=True, on_terminal=bool(note.get("on_terminal")), listens=not started.get("socket")
    )


def is_wanted(feed: Feed, agent_uid: str) -> bool:
    """There is a program, or something to tell one, or somebody who wants one."""
    state = feed.state
    transcript, conversation = state.transcript(agent_uid), state.conversations.get(agent_uid)
    wanted = bool(conversation and conversation.wants_terminal)
    return wanted or bool(state.messages.get(agent_uid) or (transcript and transcript.running))
