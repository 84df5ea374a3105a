"""What is done with the history: append, read, find and fold it, keep what makes a start quick, and audit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

from eventsourcing.persistence import DatetimeAsISO, JSONTranscoder, Mapper, PersistenceError, StoredEvent

from vibespace.app import checkpoint as checkpoints
from vibespace.app import head as heads
from vibespace.app import past
from vibespace.app.audit import MISSING, UNREADABLE, Audit, Damage
from vibespace.app.checkpoint import Checkpoint
from vibespace.app.head import Head
from vibespace.app.index import UNUSABLE, Index, Wanted
from vibespace.app.live import State
from vibespace.app.logfile import claim, readable, unusable
from vibespace.app.recorder import GENESIS, NO_END, PAGE, Recorded, Recorder, link
from vibespace.app.reserve import Reserve
from vibespace.domain.aggregate import Aggregate, Origin
from vibespace.errors import Error


class Log:
    """The history: append and read. Beside its file lies what is kept with it: checkpoint, head, index.db, reserve."""

    def __init__(self, path: Path) -> None:
        """Open the log at `path`, or begin one. Raises FailedPrecondition LOG_UNUSABLE for what is not ours."""
        self._path = path
        self.checkpoint = path.with_name("checkpoint")
        self.head = path.with_name("head")
        self.reserve = Reserve(path.with_name("reserve"))
        self._index = Index(path.with_name("index.db"), path)
        self.checkpointed = 0
        """Place of the checkpoint that is there."""
        self.reserve.release()
        with readable(path):
            claim(path, self.head)
            self._recorder = Recorder(path)
            self._recorder.create_table()
        transcoder = JSONTranscoder()
        transcoder.register(DatetimeAsISO())
        self._mapper: Mapper[UUID] = Mapper(transcoder)

    @property
    def position(self) -> int:
        """Of the newest event; 0 when there is none."""
        return self._recorder.position

    @property
    def hash(self) -> bytes:
        """Of the newest event, over all before it."""
        return self._recorder.hash

    def encode(self, event: Any) -> StoredEvent:
        """A domain event as it will be written."""
        return self._mapper.to_stored_event(event)

    def append(self, events: Sequence[StoredEvent]) -> list[Recorded]:
        """Write `events`, all or none; when it returns they are on disk. From the writer's thread only."""
        return self._recorder.append(events)

    def read(self, after: int, limit: int = PAGE) -> list[Recorded]:
        """Up to `limit` events after position `after`. From any thread."""
        return self._recorder.read(after, limit)

    def find(self, wanted: Wanted, after: int, until: int, limit: int = PAGE) -> list[Recorded]:
        """Up to `limit` events that are `wanted`, after position `after` and up to `until`. From any thread."""
        try:
            return self._recorder.pick(self._index.find(wanted, after, until, limit))
        except UNUSABLE:
            every = self._recorder.read_all(after, until)
            return list(islice((r for r in every if wanted.has(r.body["subject"], r.topic)), limit))

    def position_at(self, time: datetime, newest: int) -> int:
        """Of the last event that was written at `time` or before, of those up to `newest`; 0 when there is none.

        Where the clock was set back, there are several such places: it is one of them.
        """
        before, after = 0, newest + 1
        while after - before > 1:
            middle = (before + after) // 2
            [event] = self.read(middle - 1, 1)
            before, after = (middle, after) if datetime.fromisoformat(event.time) <= time else (before, middle)
        return before

    def fold(self, until: int | None = None) -> State:
        """What was true after the event at `until`, or after the newest."""
        state = State()
        if (begun := self._begin()) and (until is None or begun.state.position <= until):
            state = begun.state
        for recorded in self._recorder.read_all(state.position, until):
            apply(state, recorded, self._mapper.to_domain_event(recorded.stored))
        return state

    def replay(self, until: int) -> State:
        """As `fold`, but for what only the present needs: so that it need not read of what was gone by then."""
        state = State()
        with readable(self._path):
            if (begun := self._begin()) and begun.state.position <= until:
                return self.fold(until)
            try:
                with self._index.filled(until) as index:
                    wanted = past.positions(index, until)
            except UNUSABLE:
                return self.fold(until)
            for start in range(0, len(wanted), PAGE):
                for recorded in self._recorder.pick(wanted[start : start + PAGE]):
                    apply(state, recorded, self._mapper.to_domain_event(recorded.stored))
        state.position = until
        return state

    def load(self) -> State:
        """What is true now; from here on `append` continues the log. What a checkpoint spares is not looked at.

        Raises FailedPrecondition LOG_UNUSABLE where an event is missing, or is not as it was written.
        """
        with readable(self._path):
            begun = self._begin() or Checkpoint(State(), GENESIS)
            self.checkpointed = begun.state.position
            state, position, previous = begun.state, begun.state.position, begun.hash
            try:
                for recorded in self._recorder.read_all(position):
                    position += 1
                    previous = link(previous, position, recorded.stored)
                    if (position, previous) != (recorded.position, recorded.hash):
                        raise ValueError("it is not as it was written")
                    apply(state, recorded, self._mapper.to_domain_event(recorded.stored))
            except PersistenceError:
                raise
            except Exception as e:  # whatever is met in what is no event of ours
                raise self._damaged(position, e) from e
            self._recorder.position, self._recorder.hash = position, previous
        return state

    def write_checkpoint(self, state: State, hash: bytes) -> None:
        """Write `state`, which ends with the event that has `hash`, where the next start begins."""
        checkpoints.write(self.checkpoint, Checkpoint(state, hash))
        self.checkpointed = state.position
        self._index.fill(state.position)

    def write_head(self, newest: Head) -> None:
        """Remember that `newest` was written, unless an event is missed: what told of it must stay."""
        if self.lost(newest.log_id) is None:
            heads.write(self.head, newest)

    def lost(self, log_id: str) -> Head | None:
        """An event that is known to have been in this log, and is not."""
        known = heads.read(self.head)
        if known is None or known.log_id != log_id:
            return None
        with readable(self._path):
            return None if self._recorder.hash_at(known.position) == known.hash else known

    def audit(self) -> Audit[Recorded]:
        """To be given what `examine` reads, in order."""
        return Audit(link, GENESIS, self._recorder.places)

    def examine(self, audit: Audit[Recorded], until: int) -> bool:
        """Give `audit` the next rows up to position `until`; False when there are no more. From any thread."""
        try:
            rows = self._recorder.examine(audit.position, until)
        except PersistenceError as e:
            audit.found.append(Damage(audit.position + 1, UNREADABLE, f"From here on nothing can be read: {e}."))
            return False
        audit.take(rows)
        if not rows and audit.position < until < NO_END:
            audit.found.append(Damage(audit.position + 1, MISSING, "From here on nothing is there."))
        return bool(rows)

    def _begin(self) -> Checkpoint | None:
        """The checkpoint, if it is one of this log."""
        found = checkpoints.read(self.checkpoint)
        return found if found and self._recorder.hash_at(found.state.position) == found.hash else None

    def _damaged(self, position: int, error: Exception) -> Error:
        audit = self.audit()
        while self.examine(audit, NO_END):
            pass
        if damages := audit.finish():
            first = damages[0]
            return unusable(self._path, f"position {first.position}: {first.kind}: {first.message.rstrip('.')}")
        why = f"the event at position {position} is as it was written, but this vibespace cannot read it: {error}"
        return unusable(self._path, why, "Upgrade vibespace: it may be of a newer one.")

    def close(self) -> None:
        """Let go of the file."""
        self._recorder.datastore.close()


def apply(state: State, recorded: Recorded, event: Any) -> None:
    """One event of the past, into `state`."""
    aggregate: Aggregate = event.mutate(state.aggregates.get(recorded.uid))
    origin = Origin(event.timestamp, event.actor, event.request_id, event.digest, event.cause)
    state.take(aggregate, recorded.position, origin)
