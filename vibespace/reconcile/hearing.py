"""Hears what an agent's program says: it goes into the log in order, and amounts to what is known of the program."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from vibespace.app import transcripts
from vibespace.app.transcripts import Line
from vibespace.app.writer import Outcome, Request
from vibespace.domain.transcripts import Place
from vibespace.errors import Exhausted, Internal
from vibespace.harness.base import Harness
from vibespace.harness.events import Delta, Event, Stream, Text, TurnEnded, TurnStarted, WorkEnded
from vibespace.net.base import Attachment, Record, Room
from vibespace.reconcile import checkpoints
from vibespace.reconcile.checkpoints import Checkpoint
from vibespace.reconcile.lines import Lines, note, told
from vibespace.reconcile.live import Live
from vibespace.reconcile.tools import Tools
from vibespace.reconcile.untold import Untold

_UNDER_WAY = 200
"""Records on their way into the log at once."""
_LARGE = 256 * 1024
"""Bytes of a record that is waited for before the next is read."""
_TURNS = TurnStarted, TurnEnded, WorkEnded
_TURN = 50
"""Records that are read before others have theirs."""
_LINES = ("stdout", "stderr", "transcript", "hook", "input", "mark")


class Hearing:
    """Of one agent's program, for as long as its runner is attached to."""

    def __init__(self, agent_uid: str, harness: Harness, tools: Tools, spoilt: set[Place], ended: Callable[[], None]):
        """`spoilt` are lines whose consequences meet a defect of ours: they are kept, and nothing follows from them.

        `ended` is called when the program is over.
        """
        self._uid = agent_uid
        self._tools = tools
        self._spoilt = spoilt
        self._ended = ended
        self._lines = Lines(agent_uid, harness, tools.mask, tools.blobs)
        self._reading: asyncio.Queue[_Read] = asyncio.Queue(_UNDER_WAY)
        self.changed = asyncio.Event()
        """Something came that may have to be acted upon."""
        self.live = Live()
        transcript = tools.feed.state.transcript(agent_uid)
        self.recorded = transcript.place if transcript else Place(0, 0)
        """The newest that is in the log, or on its way there."""
        self._known = self.seen = self.awaited = self.recorded
        self._runs = bool(transcript and transcript.running)
        self._over = 0
        """The life of the program of which the journal has less than the log: nothing more of it is heard."""
        self._untold = Untold(self._lines, harness.named, lambda: tools.feed.state.messages.get(agent_uid, {}).values())
        self._resume()

    def _resume(self) -> None:
        """What runs, and of which nothing is kept, is read from its beginning: so its parser is what it was. The end of
        the one before it says what that has told, and not where this one is.
        """
        if self._runs:
            self._tools.deltas.hold(self._uid)
            self.seen = Place(self.recorded.epoch, 0)
        if kept := self._tools.checkpoints.read(self._uid, self.recorded, running=self._runs):
            self._lines.restore(kept.heard)
            self._untold.restore(kept.heard["told"])
            if self._runs and kept.place.epoch == self.recorded.epoch:
                self.seen, self.live = kept.place, Live.of(kept.live)

    @property
    def is_current(self) -> bool:
        """All that was there is in the log, and can be acted upon."""
        return self.seen >= self.awaited

    @property
    def last_words(self) -> str:
        """What the program wrote last on its standard error."""
        return self._lines.last_words

    async def read(self, attachment: Attachment) -> None:
        """Each record on its way into the log, in order."""
        read, since, on_terminal = 0, 0, self.live.on_terminal
        async for record in attachment.records():
            if isinstance(record, Room):
                self._tools.feed.hold(self._uid, None if record.left else _home_full())
                continue
            if record.epoch <= self._over:
                continue
            if record.kind == "start":
                on_terminal = _begun(record).on_terminal
                self._begin_life(record)
            events = await self._read(record, on_terminal=on_terminal)
            recording = await self._begin(record, events)
            read, since = read + 1, since + 1
            # Of what it is amid saying, pieces that are in no checkpoint were told.
            is_due = since >= checkpoints.EVERY and not self._tools.deltas.is_saying(self._uid)
            state = self._state() if is_due or record.kind == "exit" else None
            since = 0 if state else since
            await self._reading.put(_Read(record, events, recording, self.recorded, state))
            if len(record.data) > _LARGE:
                await self._reading.join()
            if read % _TURN == 0:
                await asyncio.sleep(0)

    async def _read(self, record: Record, *, on_terminal: bool) -> Sequence[Event]:
        """What it tells. What we drive ourselves tells all but by its transcript, while it runs."""
        if record.kind == "transcript" and not on_terminal:
            if self._runs:
                self._untold.keep(record)
                return ()
            await self._reading.join()
            return _without_turns(self._untold.tell(record))
        if record.kind == "transcript" and not self._runs:
            return _without_turns(self._lines.read(record))
        if record.kind == "start":
            self._runs = True
            self._untold.begin()
        if record.kind == "exit":
            self._runs = False
            await self._reading.join()
            missed = self._untold.end(cut=told(record.data).get("lost") is True)
            ended = self._lines.read(record)
            return [*_without_turns(missed.in_turn), *ended, *_without_turns(missed.after)]
        events = self._lines.read(record)
        if not on_terminal:
            self._untold.hear(events)
        return events

    def _begin_life(self, record: Record) -> None:
        """What those before it have told is known where the end of the last was heard."""
        if self._runs and record.epoch > self.recorded.epoch:
            self._lines.forget()
        else:
            self._lines.begin()

    def _state(self) -> dict[str, Any] | None:
        """What is to be known of what it said, to hear it on from here; None while that must not be kept."""
        lines, untold = self._lines.state(), self._untold.state()
        return None if lines is None or untold is None else {**lines, "told": untold}

    async def record(self) -> None:
        """What is in the log is so: only then is it acted upon. One that does not get there stops all after it."""
        while True:
            read = await self._reading.get()
            place = Place(read.record.epoch, read.record.seq)
            if read.recording:
                try:
                    await read.recording
                except Internal:
                    self._spoilt.add(place)
                    raise
            self._take(read.record, read.events)
            await self._keep(place, read)
            self.seen = place
            self._reading.task_done()
            if read.events or read.record.kind not in _LINES or self.is_current:
                self.changed.set()

    async def _keep(self, place: Place, read: _Read) -> None:
        """Of a life that is over, that alone is known which is to be heard on."""
        if read.state is None:
            return
        if live := self.live.told() if self.live.running else Live(place.epoch).told():
            kept = Checkpoint(place, read.recorded, read.state, live)
            await asyncio.to_thread(self._tools.checkpoints.write, self._uid, kept)

    async def await_all(self, last: tuple[int, int], *, running: bool) -> None:
        """The journal ends with `last`; where it has less than the log, an exit will not be heard of."""
        self.awaited = Place(*last)
        if self._runs and self.awaited < self.recorded and not running:
            after, self.recorded = self.recorded, Place(self.recorded.epoch, self.recorded.seq + 1)
            nothing = Line(self.recorded, after, "exit", "", (), ())
            lost = partial(transcripts.end_program, agent_uid=self._uid, line=nothing, how={"lost": True})
            await self._tools.writer.run(lost, Request("daemon"))
            self.live, self._runs = Live(), False
            self.seen, self._over = self.recorded, self.recorded.epoch
            self._lines.forget()
            self._tools.checkpoints.forget(self._uid)
            self._ended()

    async def close(self) -> None:
        """Return when all that was on its way into the log is there, or cannot be."""
        self._tools.deltas.forget(self._uid)
        left = [self._reading.get_nowait().recording for _ in range(self._reading.qsize())]
        await asyncio.gather(*filter(None, left), return_exceptions=True)

    async def _begin(self, record: Record, events: Sequence[Event]) -> asyncio.Task[Outcome] | None:
        """Its way into the log; None where nothing of it is to be there, or is there already."""
        place, command = Place(record.epoch, record.seq), None
        if place > self._known and (record.kind != "transcript" or events):
            self._tools.deltas.show(self._uid)
            command = await self._lines.command(record, events, self.recorded, alone=place in self._spoilt)
        if command is None:
            self._show(events)
            return None
        self.recorded = place
        self._show(events)  # what begins with this line is told after it
        return asyncio.create_task(self._tools.writer.run(command, Request(f"agent:{self._uid}")))

    def _take(self, record: Record, events: Sequence[Event]) -> None:
        match record.kind:
            case "start":
                self.live = _begun(record)
            case "connected":
                self.live.connect()
            case "disconnected":
                self.live.listens = False
            case "input":
                self.live.wrote(record.data.partition(b"\n")[0].decode(errors="replace"))
        self.live.saw(events)
        if record.kind == "exit":
            self.live.running = False
            self._tools.checkpoints.forget(self._uid)
            self._ended()

    def _show(self, events: Sequence[Event]) -> None:
        """What the agent is just saying, not its helpers, until it is whole."""
        deltas = self._tools.deltas
        for event in events:
            match event:
                case Delta(stream=Stream.TEXT, parent="") if self.live.is_here(event):
                    deltas.add(self._uid, event.turn, event.block, event.text, self.recorded)
                case Text(block=block) if block:
                    deltas.end(self._uid, block)
                case TurnEnded():
                    deltas.end_turn(self._uid, event.turn)


@dataclass(frozen=True)
class _Read:
    """A record, what it tells, and its way into the log."""

    record: Record
    events: Sequence[Event]
    recording: asyncio.Task[Outcome] | None
    recorded: Place
    """The last up to it that goes into the log."""
    state: Mapping[str, Any] | None
    """What is known after it, where that is to be kept."""


def _without_turns(events: Iterable[Event]) -> list[Event]:
    """Nothing is sure to tell their ends."""
    return [event for event in events if not isinstance(event, _TURNS)]


def _home_full() -> Exhausted:
    return Exhausted(
        "HOME_FULL",
        "The agent's home is full, and its program waits until there is room.",
        hint="Make room, as with 'vibespace exec'; what was said to the agent then goes on by itself.",
    )


def _begun(record: Record) -> Live:
    """A program of which nothing is known but how it was started."""
    on_terminal = note(record.data).get("on_terminal") is True
    return Live(record.epoch, running=True, on_terminal=on_terminal, listens=not told(record.data).get("socket"))
