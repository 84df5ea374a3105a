"""What an agent was saying when it was cut short: programs tell a text again when it is whole, and else not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from vibespace.harness.events import Delta, Error, Event, Stream, Text, TurnEnded

LONGEST = 1 << 20
"""Characters of it that are kept."""
MOST = 20
"""Turns that are told at once of which it is kept: a program may serve several conversations."""


class Unfinished:
    """Of one program. What was said of an answer that is tried again is no part of it, once that begins to be said."""

    def __init__(self, told: Mapping[str, str] | None = None) -> None:
        """`told` is what those before it have told."""
        self._begun: dict[tuple[str, str], _Begun] = {}
        """By conversation and turn."""
        self._told = dict(told or {})
        """Digests of what was told of texts that came to no end, by turn and block: all of one may have been said by
        then.
        """

    @property
    def is_open(self) -> bool:
        """Whether something is just being said."""
        return bool(self._begun)

    def next(self) -> Unfinished:
        """Of the program that comes after this one, or hears over another connection what this one does not."""
        return Unfinished(self._told)

    def state(self) -> dict[str, str]:
        """What `told` may be for another; of what is just being said nothing is in it."""
        return dict(self._told)

    def take(self, event: Event) -> Iterator[Event]:
        """The event, and before it what was being said in its turn until the next was begun, or the turn ended."""
        where = event.conversation, event.turn
        match event:
            case Delta(stream=Stream.TEXT, parent=""):
                if (begun := self._begun.get(where)) and begun.again:
                    del self._begun[where]
                elif begun and begun.first.block != event.block:
                    yield self._end(where)
                self._add(event)
            case Error(retrying=True):
                for begun in self._begun.values():
                    begun.again |= begun.may_be_of(event)
            case Text(block=block, by_user=False, parent=""):
                is_said = [
                    at
                    for at, begun in self._begun.items()
                    if begun.first.block == block or (begun.again and begun.may_be_of(event))
                ]
                for at in is_said:
                    del self._begun[at]
            case TurnEnded() if where in self._begun:
                yield self._end(where)
        if not (isinstance(event, Text) and event.block and self._told.get(_name(event)) == _digest(event.text)):
            yield event

    def _add(self, piece: Delta) -> None:
        where = piece.conversation, piece.turn
        if where in self._begun or len(self._begun) < MOST:
            self._begun.setdefault(where, _Begun(piece)).add(piece.text)

    def _end(self, where: tuple[str, str]) -> Text:
        begun = self._begun.pop(where)
        first = begun.first
        said = "".join(begun.pieces)
        self._told[_name(first)] = _digest(said)
        if len(self._told) > MOST:
            del self._told[next(iter(self._told))]
        return Text(id=first.block, text=said, block=first.block, turn=first.turn, conversation=first.conversation)


@dataclass
class _Begun:
    """What is just being said in a turn."""

    first: Delta
    """The piece that it began with."""
    pieces: list[str] = field(default_factory=list)
    size: int = 0
    again: bool = False
    """Its request is made again: what the agent says next takes its place."""

    def may_be_of(self, event: Event) -> bool:
        """Not every program says of everything in which turn it is."""
        return event.turn in ("", self.first.turn)

    def add(self, text: str) -> None:
        if self.size < LONGEST:
            self.pieces.append(text[: LONGEST - self.size])
            self.size += len(self.pieces[-1])


def _name(event: Delta | Text) -> str:
    """Some models number what they say anew in each turn."""
    return f"{event.turn} {event.block}"


def _digest(text: str) -> str:
    return sha256(text.encode(errors="replace")).hexdigest()
