"""The way to the daemon for programs that are not asynchronous: one channel on its Unix socket.

Any call starts the daemon when there is none. A unary call that a dying daemon leaves without an answer is made
again: reads have no effect, and mutations carry a `request_id`, which the log answers a repeat from.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar
from urllib.parse import quote

# The library's own log lines are not sentences for people, and forking is left to programs that ask for it.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc

from vibespace import launch
from vibespace.errors import Error, Unavailable
from vibespace.resume import LOST, Resume, lost
from vibespace.state import State

if TYPE_CHECKING:
    from vibespace.v1.conversations_pb2 import StreamTranscriptResponse
    from vibespace.v1.events_pb2 import StreamEventsResponse, WatchResponse

_QUIET, _PATIENCE = 10.0, 5.0
"""Seconds without a byte in a call after which the daemon is asked for a sign of life, and those that it gets. gRPC
answers by itself, however busy the daemon is: only one that was stopped, or hangs as a whole, does not.
"""

OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),  # else a new channel inherits the pause of one that has failed
    ("grpc.min_reconnect_backoff_ms", int(launch.FIRST_WORD * 1000)),
    ("grpc.keepalive_time_ms", int(_QUIET * 1000)),
    ("grpc.keepalive_timeout_ms", int(_PATIENCE * 1000)),
    ("grpc.http2.ping_timeout_ms", int((_QUIET + _PATIENCE) * 1000)),  # of those that gRPC sends amid what it gets
    ("grpc.http2.max_pings_without_data", 0),  # a stream may be silent for as long as it likes
)

ATTEMPTS = 3
"""Times that a unary call is made, at most. The second may still meet the daemon that the first did, on its way out."""


class Message(Protocol):
    """What client and server need of a generated message."""

    @classmethod
    def FromString(cls, s: bytes) -> Self: ...  # noqa: N802 (protobuf's name)

    def SerializeToString(self) -> bytes: ...  # noqa: N802 (protobuf's name)


M = TypeVar("M", bound=Message)
F = TypeVar("F", "WatchResponse", "StreamEventsResponse", "StreamTranscriptResponse")
M_co = TypeVar("M_co", bound=Message, covariant=True)


class Call(Protocol[M_co]):
    """A call that answers in a stream."""

    def __iter__(self) -> Iterator[M_co]: ...

    def cancel(self) -> object: ...


class Client:
    """Calls to the daemon that serves `state`. A method is named as `VibespaceService/ListVibespaces`.

    Every call raises the vibespace.errors.Error that the daemon raised, or that launch.ensure_daemon does.
    """

    def __init__(self, state: State, *, uninstalled_too: bool = False) -> None:
        """`uninstalled_too` is for `init`, which brings back what `uninstall --keep-data` has left."""
        self.state = state
        self._uninstalled_too = uninstalled_too
        self._channel: grpc.Channel | None = None

    def unary(self, method: str, request: Message, response: type[M]) -> M:
        """One request, one response."""
        for attempt in count(1):
            call = self._open().unary_unary(_path(method), _serialize, response.FromString)
            try:
                answer: M = call(request)
                return answer
            except grpc.RpcError as e:
                error = error_of(e, self.state)
                if not lost(error) or attempt == ATTEMPTS:
                    raise error from None
                self.close()
        raise AssertionError("not reached")

    def stream(self, method: str, request: Message, response: type[M]) -> Iterator[M]:
        """One request, many responses. `resume.lost()` of the error it raises tells whether to resume."""
        call = self._open(resumed=resumed(request)).unary_stream(_path(method), _serialize, response.FromString)
        return self._responses(call(request))

    def follow(self, method: str, request: Any, response: type[F]) -> Iterator[F]:
        """A stream that survives the daemon: resumed after the last cursor that it told, on a new one if need be."""
        resume: Resume[F] = Resume(request)
        while True:
            try:
                for piece in self.stream(method, resume.request, response):
                    if (whole := resume.take(piece)) is not None:
                        yield whole
                    if resume.complete:
                        return
                return
            except Error as e:
                resume.broken(e)

    def upload(self, method: str, requests: Iterable[Message], response: type[M]) -> M:
        """Many requests, one response."""
        call = self._open().stream_unary(_path(method), _serialize, response.FromString)
        try:
            answer: M = call(iter(requests))
            return answer
        except grpc.RpcError as e:
            raise error_of(e, self.state) from None

    def converse(self, method: str, requests: Iterable[Message], response: type[M]) -> Iterator[M]:
        """Many requests, many responses."""
        call = self._open().stream_stream(_path(method), _serialize, response.FromString)
        return self._responses(call(iter(requests)))

    def close(self) -> None:
        """Hang up; the next call dials again."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _open(self, *, resumed: bool = False) -> grpc.Channel:
        if self._channel is None:
            launch.ensure_daemon(self.state, uninstalled_too=self._uninstalled_too, resumed=resumed)
            self._channel = grpc.insecure_channel(target(self.state), options=OPTIONS)
        return self._channel

    def _responses(self, call: Call[M]) -> Iterator[M]:
        try:
            yield from call
        except grpc.RpcError as e:
            error = error_of(e, self.state)
            if lost(error):
                self.close()
            raise error from None
        finally:
            call.cancel()  # Whoever stops reading wants no more; after the end it does nothing.


def target(state: State) -> str:
    """The daemon's socket as gRPC names it."""
    return "unix:" + quote(os.fspath(state.socket))


def error_of(failed: Any, state: State) -> Error:
    """The error that a call to the daemon of `state` ended with. May wait for launch.FIRST_WORD."""
    from vibespace.errgrpc import from_call  # noqa: PLC0415 (its imports are paid for only by calls that fail)

    error = from_call(failed)
    if not isinstance(error, Unavailable) or error.reason != "GRPC_UNAVAILABLE":
        return error
    if launch.hangs(state.socket):
        return launch.silent(launch.holder(state))
    return Unavailable(
        LOST,
        "The daemon ended before it had answered.",
        hint="Trying again starts it again; daemon.stderr in the state directory has its last words.",
    )


def resumed(request: Message) -> bool:
    """Whether it goes on with what another daemon has begun; then a stop of everything has ended it."""
    return bool(getattr(request, "resumed", False))


def _path(method: str) -> str:
    return f"/vibespace.v1.{method}"


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()
