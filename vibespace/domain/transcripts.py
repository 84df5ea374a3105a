"""What an agent's program said, line by line, how far that was read, and which program runs. One an agent, for ever.

The log keeps the lines; the live state keeps only the place of the last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from eventsourcing.domain import event

from vibespace.domain import names
from vibespace.domain.aggregate import Aggregate
from vibespace.errors import Aborted

Block = dict[str, Any]
"""One thing that a line tells: `kind`, and what that kind says. See `reconcile/blocks.py`."""


class Place(NamedTuple):
    """Of a record in the journal of an agent's runner."""

    epoch: int
    """Which life of the program; 0 before the first."""
    seq: int


def transcript_id(agent_uid: str) -> UUID:
    """The id of an agent's transcript."""
    return uuid5(UUID(agent_uid), "transcript")


class Transcript(Aggregate):
    """Each event stands for one record of the runner's journal; none is left out, and none is there twice."""

    TOPIC = "transcript"

    class Event(Aggregate.Event):
        """See Aggregate.Event."""

    @event("Created", topic="transcript.begun")
    def __init__(self, agent_uid: str, vibespace: str, agent: str) -> None:
        self.agent_uid = agent_uid
        self.vibespace = vibespace
        self.agent = agent
        self.epoch = 0
        self.seq = 0
        self.running = False
        self.conversation = ""
        self.settings: dict[str, Any] = {}
        self.resumed = False
        self.on_terminal = False
        self.keys: list[str] = []

    @classmethod
    def name_subject(cls, **created: Any) -> str:
        return names.transcript_name(created["vibespace"], created["agent"])

    @property
    def subject(self) -> str:
        return names.transcript_name(self.vibespace, self.agent)

    @property
    def place(self) -> Place:
        """Of the last record that is in the log."""
        return Place(self.epoch, self.seq)

    def start_program(
        self,
        place: Place,
        after: Place,
        *,
        conversation: str,
        resumed: bool,
        on_terminal: bool,
        settings: dict[str, Any],
        keys: Sequence[str] = (),
    ) -> bool:
        """It was started with those settings, and with credentials of which `keys` are the marks; when `resumed`, it
        knows the conversation. See `read_line`.
        """
        if not self._is_next(place, after):
            return False
        self._start_program(
            epoch=place.epoch,
            seq=place.seq,
            conversation=conversation,
            resumed=resumed,
            on_terminal=on_terminal,
            settings=settings,
            keys=list(keys),
        )
        return True

    def take_settings(self, settings: dict[str, Any]) -> None:
        """The program that runs works by these from now on."""
        if self.running and self.settings != settings:
            self._take_settings(settings=settings)

    def read_line(
        self, place: Place, after: Place, *, source: str, line: str, blocks: Sequence[Block], blob: str = ""
    ) -> bool:
        """The record at `place` tells `blocks`; whether that is news. `line` may be cut when `blob` holds the whole.

        Raises Aborted TRANSCRIPT_MOVED when the last one that is in the log is not the one at `after`.
        """
        if not self._is_next(place, after):
            return False
        self._read_line(epoch=place.epoch, seq=place.seq, source=source, line=line, blocks=list(blocks), blob=blob)
        return True

    def end_program(
        self, place: Place, after: Place, how: dict[str, Any], *, blocks: Sequence[Block] = (), blob: str = ""
    ) -> None:
        """It has ended: `code`, or `signal`, or `lost`; and with it what `blocks` tell. See `read_line`."""
        if self._is_next(place, after):
            where = {"epoch": place.epoch, "seq": place.seq}
            if blocks:
                self._read_line(**where, source="exit", line="", blocks=list(blocks), blob=blob)
            self._end_program(**where, how=how)

    def _is_next(self, place: Place, after: Place) -> bool:
        if place <= self.place:
            return False
        if after != self.place:
            raise Aborted("TRANSCRIPT_MOVED", f"The transcript ends with {self.place}, not with {after}.")
        return True

    @event("ProgramStarted", topic="transcript.program_started")
    def _start_program(
        self,
        epoch: int,
        seq: int,
        conversation: str,
        resumed: bool,
        on_terminal: bool,
        settings: dict[str, Any],
        keys: Sequence[str] = (),  # older events have none
    ) -> None:
        self.epoch = epoch
        self.seq = seq
        self.running = True
        self.conversation = conversation
        self.resumed = resumed
        self.on_terminal = on_terminal
        self.settings = settings
        self.keys = list(keys)

    @event("SettingsTaken", topic="transcript.settings_taken")
    def _take_settings(self, settings: dict[str, Any]) -> None:
        self.settings = settings

    @event("LineRead", topic="transcript.line_read")
    def _read_line(self, epoch: int, seq: int, source: str, line: str, blocks: list[Block], blob: str) -> None:  # noqa: ARG002 (kept in the log alone)
        self.epoch = epoch
        self.seq = seq

    @event("ProgramEnded", topic="transcript.program_ended")
    def _end_program(self, epoch: int, seq: int, how: dict[str, Any]) -> None:  # noqa: ARG002 (kept in the log alone)
        self.epoch = epoch
        self.seq = seq
        self.running = False
