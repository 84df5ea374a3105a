"""What an agent was saying when it was cut short: programs tell a text again when it is whole, and else not at all."""

from __future__ import annotations

from collections.abc import Iterator

from vibespace.harness.events import Delta, Error, Event, Stream, Text, TurnEnded

LONGEST = 1 << 20
"""Characters of it that are kept."""


class Unfinished:
    """Of one program. What was said of an answer that is tried again is no part of it, once that begins to be said."""

    def __init__(self) -> None:
        self._begun: Delta | None = None
        """The piece that it began with."""
        self._pieces: list[str] = []
        self._size = 0
        self._again = False
        """Whether its request is made again: what the agent says next takes its place."""

    @property
    def is_open(self) -> bool:
        """Whether something is just being said."""
        return self._begun is not None

    def take(self, event: Event) -> Iterator[Event]:
        """The event, and before it what was being said until the next was begun, or the turn ended."""
        match event:
            case Delta(stream=Stream.TEXT, parent=""):
                if self._again:
                    self._begun = None
                elif self._begun and (event.block, event.turn) != (self._begun.block, self._begun.turn):
                    yield self._end(self._begun)
                self._add(event)
            case Error(retrying=True):
                self._again = True
            case Text(block=block, by_user=False, parent="") if self._begun and (
                self._again or block == self._begun.block
            ):
                self._begun = None
            case TurnEnded(turn=turn) if self._begun and turn == self._begun.turn:
                yield self._end(self._begun)
        yield event

    def _add(self, piece: Delta) -> None:
        if self._begun is None:
            self._begun, self._pieces, self._size, self._again = piece, [], 0, False
        if self._size < LONGEST:
            self._pieces.append(piece.text[: LONGEST - self._size])
            self._size += len(self._pieces[-1])

    def _end(self, begun: Delta) -> Text:
        self._begun = None
        said = "".join(self._pieces)
        return Text(id=begun.block, text=said, block=begun.block, turn=begun.turn, conversation=begun.conversation)
