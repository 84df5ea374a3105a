"""A Watch, a history or a transcript that goes on across daemons: where, until when, and what it told.

For clients of either kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

from vibespace.errors import Error

if TYPE_CHECKING:
    from vibespace.v1.agents_pb2 import Agent
    from vibespace.v1.cursor_pb2 import Cursor
    from vibespace.v1.events_pb2 import WatchResponse
    from vibespace.v1.vibespaces_pb2 import Vibespace

LOST = "DAEMON_LOST"
"""Reason of the error that a call ends with when its daemon does."""

_MOST_FRUITLESS = 3
"""Daemons in a row that may end without having sent anything."""


class Response(Protocol):
    """What each of those streams sends."""

    @property
    def cursor(self) -> Cursor: ...

    def HasField(self, field_name: Any) -> bool: ...  # noqa: N802 (protobuf's name)

    def MergeFrom(self, other: Self) -> None: ...  # noqa: N802 (protobuf's name)


R = TypeVar("R", bound=Response)


class Resume(Generic[R]):
    """`request` always asks for what has not been seen yet; a Watch that is sent in pieces comes out whole."""

    def __init__(self, request: Any) -> None:
        self.request = type(request)()
        self.request.CopyFrom(request)
        self._in_pieces = request.DESCRIPTOR.name == "WatchRequest"
        self._is_history = request.DESCRIPTOR.name == "StreamEventsRequest"
        self._begun: R | None = None
        self._fruitless = 0
        self.complete = False
        """As many events have come as were asked for: nothing is left to resume."""

    def take(self, piece: R) -> R | None:
        """What `piece` makes whole, if it does: the last piece is the one with a cursor."""
        if self._begun is not None:
            self._begun.MergeFrom(piece)
            piece = self._begun
        if self._in_pieces and not piece.HasField("cursor"):
            self._begun = piece
            return None
        self._begun, self._fruitless = None, 0
        if piece.HasField("cursor"):
            self.request.after.CopyFrom(piece.cursor)
            if self._is_history:
                self.request.after_position = 0
        if self._is_history and self.request.limit:
            self.request.limit -= len(piece.events)  # type: ignore[attr-defined]  # a history has them
            self.complete = not self.request.limit
        return piece

    def broken(self, error: Error) -> None:
        """The stream ended with `error`. Raises it unless it is worth asking again."""
        self._begun = None
        self._fruitless += 1
        self.request.resumed = True
        if not lost(error) or self._fruitless > _MOST_FRUITLESS:
            raise error


def lost(error: Error) -> bool:
    """Whether `error` says that the daemon is gone, and not something that it answered."""
    return error.reason == LOST


def fold(known: dict[str, Vibespace | Agent], response: WatchResponse) -> None:
    """Bring `known`, resource name -> resource, up to what `response` of a watch tells."""
    if response.snapshot:
        known.clear()  # What is not among these is gone.
    for change in response.changes:
        if change.deleted:
            known.pop(change.deleted, None)
        elif change.HasField("agent"):
            known[change.agent.name] = change.agent
        else:
            known[change.vibespace.name] = change.vibespace
