"""The one writer: a thread that decides commands, one after the other, and commits whatever has queued up at once.

A command is a function of a Transaction. It raises an `errors.Error` to refuse, and then nothing of it is recorded and
nobody else in the batch notices. Callers are answered after the commit; a commit that fails for another reason than a
full disk ends the process, because what is on disk is then not known (crash-only).
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from queue import Empty, SimpleQueue
from typing import NamedTuple, NoReturn, TypeVar
from uuid import UUID

from eventsourcing.persistence import PersistenceError, StoredEvent

from vibespace.app.live import State
from vibespace.app.log import Log
from vibespace.app.recorder import Recorded
from vibespace.domain.aggregate import Aggregate, Origin, acting
from vibespace.errors import Error, Exhausted, Internal, InvalidArgument, Unavailable

_BATCH = 500
"""Most commands in one commit: bounds how long the first of them waits for the last."""

_log = logging.getLogger(__name__)
A = TypeVar("A", bound=Aggregate)


class Transaction:
    """What one command sees, and the drafts on which it is tried."""

    def __init__(self, state: State, new_id: Callable[[], UUID], mask: Callable[[str], str]) -> None:
        """`mask` takes secret values out of text that others wrote, before a decision records it."""
        self.state = state
        self.new_id = new_id
        self.mask = mask
        self.drafts: dict[UUID, Aggregate] = {}

    def change(self, aggregate: A) -> A:
        """A draft of `aggregate`; what it decides is recorded when the command returns."""
        draft = self.drafts.setdefault(aggregate.id, aggregate.draft())
        assert isinstance(draft, type(aggregate))
        return draft

    def add(self, aggregate: A) -> A:
        """A new one."""
        self.drafts[aggregate.id] = aggregate
        return aggregate


Command = Callable[[Transaction], Aggregate]
"""Decides, and returns what it was about: the first thing it changed, if it changed any."""
F = TypeVar("F", bound=Callable[..., Aggregate])


def makes_room(command: F) -> F:
    """A command that leads to less on the disk: it is decided when the disk is full too, and lives on the reserve."""
    vars(command)["makes_room"] = True
    return command


class Request(NamedTuple):
    """Who asks, and which request it is: an Origin that has no time yet."""

    actor: str
    request_id: str = ""
    digest: str = ""
    cause: str = ""

    def at(self, time: datetime) -> Origin:
        """The origin of what is decided now."""
        return Origin(time, self.actor, self.request_id, self.digest, self.cause)


class Outcome(NamedTuple):
    """What came of a command."""

    uid: UUID
    """Of the resource it was about."""
    position: int
    """Of the last event it led to, or of the log when it led to none."""


@dataclass
class Batch:
    """What one commit changed, in the order of the log."""

    recorded: list[Recorded] = field(default_factory=list)
    changes: list[tuple[Aggregate, int, Origin]] = field(default_factory=list)
    """What State.take is given, once for each aggregate that a command changed."""


@dataclass
class _Waiting:
    command: Command
    request: Request
    future: asyncio.Future[Outcome]
    outcome: Outcome | Error | None = None


class Writer:
    """Takes commands on the event loop, decides and commits on its own thread, publishes on the loop again."""

    def __init__(
        self,
        log: Log,
        state: State,
        publish: Callable[[Batch], None],
        now: Callable[[], datetime],
        new_id: Callable[[], UUID],
        mask: Callable[[str], str] = str,
    ) -> None:
        """`state` becomes the writer's own. `publish` is called on the loop, after each commit, before callers hear."""
        self._log = log
        self._state = state
        self._publish = publish
        self._now = now
        self._new_id = new_id
        self._mask = mask
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, name="writer", daemon=True)
        self._closed = False
        self._thread.start()

    async def run(self, command: Command, request: Request) -> Outcome:
        """Decide `command` and return when what it recorded is on disk. Raises what the command raises."""
        if self._closed:
            raise Unavailable("STOPPING", "The daemon is stopping.", hint="Try again.")
        waiting = _Waiting(command, request, self._loop.create_future())
        self._queue.put(waiting)
        return await waiting.future

    async def close(self) -> None:
        """Commit what is queued and end the thread."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        while batch := self._next_batch():
            work = [waiting for waiting in batch if waiting is not None]
            if work:
                self._decide_and_commit(work)
            if len(work) < len(batch):
                return

    def _next_batch(self) -> list[_Waiting | None]:
        batch = [self._queue.get()]
        try:
            while len(batch) < _BATCH and batch[-1] is not None:
                batch.append(self._queue.get_nowait())
        except Empty:
            pass
        return batch

    def _decide_and_commit(self, work: list[_Waiting]) -> None:
        try:
            batch = self._commit(work)
        except BaseException as e:  # whatever it was, what the batch has half done to the state is not known
            _end_process(e)
        self._loop.call_soon_threadsafe(self._answer, batch, work)

    def _commit(self, work: list[_Waiting], *, again: bool = True) -> Batch:
        """Where the disk is found to be full, what makes room is tried `again` in the room that is then given back."""
        batch = Batch()
        events: list[StoredEvent] = []
        has_room = self._log.reserve.has_room()
        for waiting in work:
            if not (has_room or hasattr(getattr(waiting.command, "func", waiting.command), "makes_room")):
                waiting.outcome = _full()
                continue
            try:
                waiting.outcome = self._decide(waiting, batch, events)
            except Error as e:
                waiting.outcome = e
        if events:
            try:
                batch.recorded = self._log.append(events)
            except PersistenceError as e:
                if not _disk_full(e):
                    raise
                self._log.reserve.give_back()
                self._state = self._log.load()
                return self._commit(work, again=False) if again else self._refuse(work)
        return batch

    def _refuse(self, work: list[_Waiting]) -> Batch:
        """The disk is full, and everyone in the batch hears it."""
        for waiting in work:
            waiting.outcome = _full()
        return Batch()

    def _decide(self, waiting: _Waiting, batch: Batch, events: list[StoredEvent]) -> Outcome:
        """Try one command; its events join `events`, and the state moves on as if they were written."""
        state, request = self._state, waiting.request
        if request.request_id and (known := state.requests.get(request.request_id)):
            if known.digest != request.digest:
                raise InvalidArgument(
                    "REQUEST_ID_REUSED",
                    "This request_id was used before, for another request.",
                    field="request_id",
                )
            return Outcome(known.uid, known.position)
        origin = request.at(self._now())
        about, changed = self._try(waiting.command, origin)
        for aggregate, stored in changed:
            events.extend(stored)
            change = (aggregate, state.position + len(stored), origin)
            state.take(*change)
            batch.changes.append(change)
        return Outcome(about.id, state.position)

    def _try(self, command: Command, origin: Origin) -> tuple[Aggregate, list[tuple[Aggregate, list[StoredEvent]]]]:
        """What `command` is about, and what it changes with the events of each; nothing has been touched yet."""
        transaction = Transaction(self._state, self._new_id, self._mask)
        try:
            with acting(origin):
                about = command(transaction)
            changed = [(draft, self._events(draft)) for draft in transaction.drafts.values()]
        except Error:
            raise
        except Exception as e:  # a defect in one command must not end the one writer
            raise Internal("COMMAND_DEFECT", "The daemon met a defect of its own; nothing was recorded.") from e
        return about, [(draft, stored) for draft, stored in changed if stored]

    def _events(self, draft: Aggregate) -> list[StoredEvent]:
        """What `draft` decided. Raises ValueError where it is not about the newest version: the log takes any."""
        known = self._state.aggregates.get(draft.id)
        stored = [self._log.encode(event) for event in draft.collect_events()]
        if stored and stored[0].originator_version != (known.version if known else 0) + 1:
            raise ValueError(f"{draft.id} is not what was decided about")
        return stored

    def _answer(self, batch: Batch, work: list[_Waiting]) -> None:
        if batch.recorded:
            try:
                self._publish(batch)
            except Exception as e:  # what everybody reads would no longer be what is on disk
                _end_process(e)
        for waiting in work:
            if waiting.future.done():  # the caller has gone; what it asked for is done all the same
                continue
            if isinstance(waiting.outcome, Error):
                waiting.future.set_exception(waiting.outcome)
            elif waiting.outcome:
                waiting.future.set_result(waiting.outcome)


def _full() -> Exhausted:
    hint = "Make room and try again; what takes things away, such as 'vibespace delete', is possible all the same."
    return Exhausted("DISK_FULL", "The disk is full: nothing was recorded.", hint=hint)


def _disk_full(error: PersistenceError) -> bool:
    cause = error.__cause__
    # Errors of the sqlite3 module itself have no code.
    return isinstance(cause, sqlite3.Error) and getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL


def _end_process(error: BaseException) -> NoReturn:
    _log.critical("the log could not be written", exc_info=error)
    os._exit(70)  # EX_SOFTWARE; not sys.exit: nothing may run that believes in the state
