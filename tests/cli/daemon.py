"""A daemon in miniature, for what the command line does with answers: everything it says is set by the test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc

from vibespace import catalog, errgrpc, errors
from vibespace.v1 import agents_pb2, events_pb2, vibespaces_pb2

Answer = Callable[[Any], Any]


class Daemon:
    """Answers `method` with what `answers[method]` returns or yields, and keeps the requests.

    A ConnectionError in an answer is the daemon dying at that point.
    """

    def __init__(self, socket: Path) -> None:
        self.answers: dict[str, Answer] = {}
        self.requests: list[tuple[str, Any]] = []
        self._server = grpc.server(futures.ThreadPoolExecutor(8))
        self._server.add_generic_rpc_handlers((_Handler(self),))
        self._server.add_insecure_port(f"unix:{socket}")
        self._server.start()

    def asked(self, method: str) -> list[Any]:
        """The requests that `method` got."""
        return [request for name, request in self.requests if name == method]

    def stop(self) -> None:
        """End it, with its socket."""
        self._server.stop(None).wait()


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._lock = threading.Lock()

    def service(self, details: Any) -> Any:
        full_name = details.method.removeprefix("/vibespace.v1.")
        name = full_name.rpartition("/")[2]
        request_class = catalog.load().message_class(f"{name}Request")
        streams_in = name in ("Exec", "UploadRepository", "UploadFiles")
        streams_out = name in (
            "Exec",
            "Watch",
            "StreamEvents",
            "StreamLogs",
            "DownloadFiles",
            "StreamTranscript",
            "WatchApprovals",
            "OpenTerminal",
        )

        def answer(request: Any, context: Any) -> Any:
            if not streams_in:
                with self._lock:
                    self._daemon.requests.append((full_name, request))
            try:
                if full_name not in self._daemon.answers:
                    raise errors.Internal("NOT_SET", f"The test said nothing about {full_name}.")
                return self._daemon.answers[full_name](request)
            except (ConnectionError, errors.Error) as e:
                _abort(context, e)

        def answer_all(request: Any, context: Any) -> Iterator[Any]:
            try:
                yield from answer(request, context)
            except (ConnectionError, errors.Error) as e:
                _abort(context, e)

        kind = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[streams_in, streams_out]
        return kind(answer_all if streams_out else answer, request_class.FromString, lambda m: m.SerializeToString())


def _abort(context: Any, error: ConnectionError | errors.Error) -> None:
    if isinstance(error, ConnectionError):
        context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
    else:
        status = errgrpc.to_status(error)
        context.set_trailing_metadata(errgrpc.trailers(status))
        context.abort(grpc.StatusCode(_pair(status.code)), error.message)


def _pair(number: int) -> tuple[int, str]:
    return next(code.value for code in grpc.StatusCode if code.value[0] == number)


def vibespace(name: str, state: int = vibespaces_pb2.VIBESPACE_STATE_RUNNING, **more: Any) -> vibespaces_pb2.Vibespace:
    """A vibespace as the daemon would show it."""
    made = vibespaces_pb2.Vibespace(name=f"vibespaces/{name}", vibespace_id=name, uid=f"uid-{name}", generation=1)
    made.intent = agents_pb2.RUN_INTENT_START
    made.status.state = state  # type: ignore[assignment]
    made.status.agents = 1
    made.status.agents_running = int(state == vibespaces_pb2.VIBESPACE_STATE_RUNNING)
    made.MergeFrom(vibespaces_pb2.Vibespace(**more))
    return made


def agent(name: str, of: str, state: int = agents_pb2.AGENT_STATE_RUNNING, **more: Any) -> agents_pb2.Agent:
    """An agent as the daemon would show it."""
    made = agents_pb2.Agent(name=f"vibespaces/{of}/agents/{name}", agent_id=name, vibespace_id=of, uid=f"uid-{name}")
    made.settings.type = agents_pb2.AGENT_TYPE_CLAUDE_CODE
    made.intent = agents_pb2.RUN_INTENT_START
    made.status.state = state  # type: ignore[assignment]
    made.MergeFrom(agents_pb2.Agent(**more))
    return made


def watch(*changes: Any, position: int = 1) -> events_pb2.WatchResponse:
    """One message of a Watch: resources, or names of what is gone."""
    response = events_pb2.WatchResponse()
    response.cursor.position = position
    for change in changes:
        if isinstance(change, str):
            response.changes.add(deleted=change)
        elif isinstance(change, vibespaces_pb2.Vibespace):
            response.changes.add(vibespace=change)
        else:
            response.changes.add(agent=change)
    return response
