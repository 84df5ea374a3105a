"""Drives one agent's program: what it says goes into the log, and it is told what it is to be told."""

from __future__ import annotations

import asyncio
import logging
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
from vibespace.errors import Error, FailedPrecondition, Internal, NotFound
from vibespace.harness.base import Harness, Settings
from vibespace.harness.events import Delta, Event, Stream, Text, TurnEnded
from vibespace.net.base import Programs, Record
from vibespace.reconcile import doors
from vibespace.reconcile.conversations import (
    Action,
    End,
    Fail,
    Hand,
    Lose,
    Requeue,
    Settle,
    Start,
    Tell,
    View,
    Withdraw,
    Write,
    plan,
    session_for,
)
from vibespace.reconcile.lines import Lines, note, told
from vibespace.reconcile.live import Live

_UNDER_WAY = 200
"""Records on their way into the log at once."""
_TURN = 50
"""Records that are read before others have theirs."""
_PAUSES = (0.2, 1.0, 5.0, 20.0)
"""Seconds before the way to a program is tried again."""
_MOST_TRIES = 6
"""Times that it is tried before who waits is told; after this many seconds in between, the next counts as the first."""
_LASTING = 60.0
_LINES = ("stdout", "stderr", "transcript", "hook", "input", "mark")
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
        self._spoilt: set[Place] = set()
        """Lines whose consequences meet a defect of ours: they are kept, and nothing follows from them."""

    async def run(self) -> None:
        """Until cancelled, or until there is neither a program nor anything to tell one."""
        tries = 0
        while (agent := self._agent()) and is_wanted(self._tools.feed, self._uid):
            begun = asyncio.get_running_loop().time()
            try:
                await self._attach(agent)
            except Error as e:
                _log.info("the program of %s is not reached: %s", self._uid, e.message)
                tries = 0 if asyncio.get_running_loop().time() - begun > _LASTING else tries + 1
                if isinstance(e, FailedPrecondition) or tries >= _MOST_TRIES:
                    await self._withdraw(e.sentence)
                    tries = 0
                await asyncio.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])

    async def _attach(self, agent: Agent) -> None:
        transcript = self._tools.feed.state.transcript(self._uid)
        self._recorded = transcript.place if transcript else Place(0, 0)
        runs = bool(transcript and transcript.running)
        # A program that runs is read from its beginning: so its parser is what it was.
        after = Place(self._recorded.epoch, 0) if runs else self._recorded
        self._known, self._seen, self._live = self._recorded, after, Live()
        self._lines = Lines(self._uid, self._harness, self._tools.mask, self._tools.blobs)
        self._read_ones: asyncio.Queue[_Read] = asyncio.Queue(_UNDER_WAY)
        self._changed = asyncio.Event()
        self._attachment = await self._tools.programs.attach(self._uid, after, self._tools.directory(agent))
        hello = self._attachment.hello
        self._awaited = Place(*hello.last)
        if runs and self._awaited < self._recorded and not hello.running:
            await self._lose(self._recorded)  # its journal has less than the log: its exit will not be heard of
        tasks = [asyncio.create_task(work()) for work in (self._read, self._record, self._act, self._follow)]
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
            left = [self._read_ones.get_nowait().recording for _ in range(self._read_ones.qsize())]
            await asyncio.gather(*filter(None, left), return_exceptions=True)

    def _agent(self) -> Agent | None:
        found = self._tools.feed.state.aggregates.get(UUID(self._uid))
        return found if isinstance(found, Agent) else None

    async def _follow(self) -> None:
        stamp = self._stamp()
        while True:
            await self._tools.feed.news()
            if (now := self._stamp()) != stamp:
                stamp = now
                self._changed.set()

    def _stamp(self) -> tuple[object, ...]:
        """Another one whenever something about the agent has changed."""
        state = self._tools.feed.state
        conversation = state.conversations.get(self._uid)
        about = (UUID(self._uid), conversation.id if conversation else None)
        waiting = (*state.messages.get(self._uid, ()), *state.approvals.get(self._uid, ()))
        return tuple((uid, state.positions.get(uid)) for uid in (*about, *waiting) if uid)

    # What it says

    async def _read(self) -> None:
        """Each record on its way into the log, in order."""
        read, on_terminal = 0, False
        async for record in self._attachment.records():
            if record.kind == "start":
                on_terminal = _begun(record).on_terminal
                self._lines.begin()
            # What we drive ourselves has told us already.
            events = () if record.kind == "transcript" and not on_terminal else self._lines.read(record)
            await self._read_ones.put(_Read(record, events, await self._begin(record, events)))
            read += 1
            if read % _TURN == 0:
                await asyncio.sleep(0)

    async def _begin(self, record: Record, events: Sequence[Event]) -> asyncio.Task[Outcome] | None:
        """Its way into the log; None where nothing of it is to be there, or is there already."""
        place = Place(record.epoch, record.seq)
        if place <= self._known or (record.kind == "transcript" and not events):
            return None
        self._show(events)
        command = await self._lines.command(record, events, self._recorded, alone=place in self._spoilt)
        if command is None:
            return None
        self._recorded = place
        return asyncio.create_task(self._tools.writer.run(command, Request(f"agent:{self._uid}")))

    async def _record(self) -> None:
        """What is in the log is so: only then is it acted upon. One that does not get there stops all after it."""
        while True:
            read = await self._read_ones.get()
            place = Place(read.record.epoch, read.record.seq)
            if read.recording:
                try:
                    await read.recording
                except Internal:
                    self._spoilt.add(place)
                    raise
            self._take(read.record, read.events)
            self._seen = place
            if read.events or read.record.kind not in _LINES or place >= self._awaited:
                self._changed.set()

    def _take(self, record: Record, events: Sequence[Event]) -> None:
        match record.kind:
            case "start":
                self._live = _begun(record)
            case "connected":
                self._live.connect()
            case "disconnected":
                self._live.listens = False
            case "input":
                self._live.written.add(record.data.partition(b"\n")[0].decode())
        self._live.saw(events)
        if record.kind == "exit":
            self._live.running = False
            asked = self._tools.feed.state.messages.get(self._uid)
            failed = asked and not (self._live.worked or self._live.on_terminal)
            self._failures = self._failures + 1 if failed else 0

    async def _lose(self, place: Place) -> None:
        after, self._recorded = place, Place(place.epoch, place.seq + 1)
        lost = partial(transcripts.end_program, agent_uid=self._uid, place=self._recorded, after=after)
        await self._tools.writer.run(partial(lost, how={"lost": True}), Request("daemon"))

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

    # What it is told

    async def _act(self) -> None:
        while True:
            self._changed.clear()
            if self._seen >= self._awaited:
                view = self._view()
                action = plan(view)
                if action is None and not self._live.running and not is_wanted(self._tools.feed, self._uid):
                    return
                if action and await self._do(action, view):
                    continue
            await self._changed.wait()

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
            live=self._live,
            failures=self._failures,
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
                words = f": {self._lines.last_words}" if self._lines.last_words else ""
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
        session, resumed = session_for(conversation), conversation.begun
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
        environment = {name: value for name, value in command.env.items() if name not in agent.env}
        start = {"conversation": conversation.uid, "resumed": resumed, "on_terminal": on_terminal}
        if record := self._harness.record(session, view.directory):
            await self._attachment.tail(record)
        epoch = await self._attachment.start(
            command.argv,
            environment | given,
            socket=command.socket,
            files=doors.FILES | dict(command.files),
            note=start | {"settings": stored(view.settings)},
            beyond=self._recorded.epoch,
        )
        self._awaited = Place(epoch, 1)
        await self._attachment.trim(epoch, 0)

    async def _end(self, *, at_once: bool) -> None:
        if not at_once:
            await self._attachment.end_input()
            with suppress(TimeoutError):
                async with asyncio.timeout(_FAREWELL):
                    await self._until_over()
        if self._live.running:
            await self._attachment.end()
        await self._until_over()
        self._failures = 0

    async def _until_over(self) -> None:
        while self._live.running:
            self._changed.clear()
            await self._changed.wait()

    async def _write(self, action: Write) -> bool:
        written = await self._attachment.write(action.name, action.line + b"\n", secret=action.secret)
        if written == "refused":
            return False  # its end is on the way, or its connection
        self._live.written.add(action.name)
        if action.message and written == "uncertain":
            await self._run(partial(messages.queue_again, message=action.message))
        if action.approval:
            await self._run(partial(approvals.answered, uid=action.approval.id, agent_uid=self._uid))
        return True

    async def _tell(self, action: Tell) -> None:
        """Who asked on the terminal; where he has decided there, the program tells how."""
        self._live.written.add(action.name)
        if await self._attachment.answer(action.request, action.words):
            await self._run(partial(approvals.answered, uid=action.approval.id, agent_uid=self._uid))

    async def _withdraw(self, reason: str) -> None:
        await self._run(partial(messages.withdraw, agent_uid=self._uid, reason=reason))

    async def _run(self, command: Command) -> None:
        with suppress(NotFound):  # it is over meanwhile
            await self._tools.writer.run(command, Request("daemon"))


@dataclass(frozen=True)
class _Read:
    """A record, what it tells, and its way into the log."""

    record: Record
    events: Sequence[Event]
    recording: asyncio.Task[Outcome] | None


def _begun(record: Record) -> Live:
    """A program of which nothing is known but how it was started."""
    on_terminal = bool(note(record.data).get("on_terminal"))
    return Live(record.epoch, running=True, on_terminal=on_terminal, listens=not told(record.data).get("socket"))


def is_wanted(feed: Feed, agent_uid: str) -> bool:
    """There is a program, or something to tell one, or somebody who wants one."""
    state = feed.state
    transcript, conversation = state.transcript(agent_uid), state.conversations.get(agent_uid)
    wanted = bool(conversation and conversation.wants_terminal)
    return wanted or bool(state.messages.get(agent_uid) or (transcript and transcript.running))
