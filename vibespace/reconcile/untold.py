"""What a program's transcript tells of what it did not get to tell by itself, because it ended, or was cut off.

It tells things in the order of its transcript: what it has told says that all before that is told, or never will be.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from vibespace.domain.messages import HANDED, QUEUED, Message
from vibespace.harness.events import ApprovalAnswered, Event, Text, TurnEnded, Unparsed
from vibespace.net.base import Record
from vibespace.reconcile.conversations import said
from vibespace.reconcile.lines import Lines

_MOST = 4 * 1024 * 1024
"""Bytes of records that are kept, with what each takes beside its own."""
_BESIDE = 1024
_TOLD = 256
"""Lines that it told, of which its transcript may have some only now."""


@dataclass
class Missed:
    """What nobody heard of a program that is over."""

    in_turn: list[Event] = field(default_factory=list)
    """Of the turn that ends with it."""
    after: list[Event] = field(default_factory=list)
    """From a message on that it had taken up: no turn of which anything is known."""


@dataclass(frozen=True)
class _Kept:
    """A record that may have to be told, and the ids of what it tells."""

    record: Record
    names: Sequence[str]

    @property
    def size(self) -> int:
        return len(self.record.data) + _BESIDE


class Untold:
    """Of one agent's program that we drive. On a terminal it tells nothing by itself, and nothing is kept."""

    def __init__(
        self, lines: Lines, named: Callable[[bytes], Sequence[str]], waiting: Callable[[], Iterable[Message]]
    ) -> None:
        """`named` is Harness.named; `waiting` gives the messages that are on their way, as far as the log has them."""
        self._lines = lines
        self._named = named
        self._waiting = waiting
        self._kept: deque[_Kept] = deque()
        """Of its transcript: of the running turn, and of messages that it is not known to have taken up."""
        self._size = 0
        """Of those, in bytes."""
        self._dropped = 0
        """Others of the running turn, for which there was no room."""
        self._told: dict[str, None] = {}
        """The ids of lines that it has told by itself, oldest first."""
        self._misses = False
        """Whether it has gone on when nobody heard it any more."""

    def state(self) -> list[str] | None:
        """What it amounts to; None while anything is kept."""
        return None if self._kept else [*self._told]

    def restore(self, state: Iterable[str]) -> None:
        """Be as the one was of which that is the state."""
        self._told = dict.fromkeys(state)

    def begin(self) -> None:
        """Another program."""
        self._misses = False

    def hear(self, events: Iterable[Event]) -> None:
        """It has told these by itself."""
        for event in events:
            if name := event.id.partition("#")[0]:
                self._told[name] = None
                if len(self._told) > _TOLD:
                    del self._told[next(iter(self._told))]
                self._forget(next((at for at, kept in enumerate(self._kept, 1) if name in kept.names), 0))
            if isinstance(event, TurnEnded):
                self._forget(len(self._kept))

    def keep(self, record: Record) -> None:
        """Its transcript has it, and it runs. What has no id is about the conversation, and not in it."""
        names = self._named(record.data)
        if any(name in self._told for name in names):
            self._forget(len(self._kept))
        elif names:
            self._kept.append(_Kept(record, names))
            self._size += self._kept[-1].size
        while self._size > _MOST:
            self._size -= self._kept.popleft().size
            self._dropped += 1

    def end(self, *, cut: bool) -> Missed:
        """It is over, and what it told by itself is in the log. What it took up, and all after that; when it was `cut`
        off, all that nobody heard.
        """
        kept, self._kept, self._size = self._kept, deque(), 0
        dropped, self._dropped = self._dropped, 0
        missed, self._misses = Missed(), False
        if cut and dropped:
            missed.in_turn.append(Unparsed(why=f"{dropped} lines of the transcript"))
        for each in kept:
            events = self.tell(each.record, cut=cut)
            if cut and self._misses:
                missed.after += [replace(event, turn="") for event in events]
            else:
                missed.in_turn += events
        return missed

    def tell(self, record: Record, *, cut: bool = False) -> Sequence[Event]:
        """As `end`, of a record of its transcript alone."""
        taken = self._taken(record)
        if not (taken or self._misses or cut) or any(name in self._told for name in self._named(record.data)):
            return ()
        events = [_in_own_words(event, taken) for event in self._lines.read(record) if not (cut and _is_denial(event))]
        self._misses = self._misses or any(isinstance(event, Text) and event.message in taken for event in events)
        return events if self._misses or cut else ()

    def _forget(self, count: int) -> None:
        """Keep no more, of the first so many, than what tells of messages."""
        if not count:
            return
        first = [self._kept.popleft() for _ in range(count)]
        self._kept.extendleft(reversed([each for each in first if self._taken(each.record)]))
        self._size = sum(each.size for each in self._kept)
        self._dropped = 0

    def _taken(self, record: Record) -> Mapping[str, str]:
        """Messages that are not known to be taken up, of which it tells: the id of each, and its words."""
        untaken = [each for each in self._waiting() if each.state in (QUEUED, HANDED)]
        return {each.delivery: said(each) for each in untaken if each.delivery.encode() in record.data}


def _is_denial(event: Event) -> bool:
    """Nobody's: of what waits when it is cut off, a program writes that it was denied."""
    return isinstance(event, ApprovalAnswered) and event.allowed is False


def _in_own_words(event: Event, taken: Mapping[str, str]) -> Event:
    """Where it took up several as one, the words of all are told of each."""
    if isinstance(event, Text) and event.message in taken:
        return replace(event, text=taken[event.message])
    return event
