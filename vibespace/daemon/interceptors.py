"""What happens around every call: who asks, whether the machine is ready, and what becomes of an error."""

from __future__ import annotations

import errno
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from vibespace import errgrpc
from vibespace.app.feed import Feed
from vibespace.app.host import require_initialized
from vibespace.daemon import choices
from vibespace.daemon.access import check_fields
from vibespace.daemon.principal import Principal, principal
from vibespace.errors import Error, Exhausted, Internal, InvalidArgument

_BEFORE_INIT = ("GetStatus", "Diagnose", "GetVersion", "Initialize", "Rest")
"""Methods of ours that answer before `init`."""
_UNINSTALLED_TOO = ("GetStatus", "GetVersion", "Initialize")
"""Those that answer where `uninstall --keep-data` has left only the data: what `init` needs to bring it back."""
_OURS = "/vibespace.v1."

_log = logging.getLogger(__name__)
Context = grpc.aio.ServicerContext[Any, Any]
Read = Callable[[Any], Any]
"""Makes a request, or a stream of them, of what came over the wire."""


class Boundary(grpc.aio.ServerInterceptor):
    """Sets the principal, refuses what needs `init` or cannot be read, and turns our errors into statuses.

    `require_installed` raises where vibespace was uninstalled.
    """

    def __init__(self, caller: Principal, feed: Feed, require_installed: Callable[[], None]) -> None:
        self._caller = caller
        self._feed = feed
        self._require_installed = require_installed
        self._wrapped: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
        """By method: each is wrapped at its first call, not at every one."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wrap whatever will answer this call."""
        method = str(handler_call_details.method)
        if method not in self._wrapped:
            handler = await continuation(handler_call_details)
            if handler is None or not method.startswith(_OURS):
                return handler
            self._wrapped[method] = self._wrap(handler, method.rpartition("/")[2])
        _log.debug("called: %s", method.removeprefix(_OURS))
        return self._wrapped[method]

    def _wrap(self, handler: grpc.RpcMethodHandler[Any, Any], name: str) -> grpc.RpcMethodHandler[Any, Any]:
        assert handler.request_deserializer is not None
        read = (_read_each if handler.request_streaming else _read)(handler.request_deserializer)
        if handler.response_streaming:
            wrapped = self._streaming(handler.unary_stream or handler.stream_stream, read, name)
            make = (
                grpc.stream_stream_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_stream_rpc_method_handler
            )
            return make(wrapped, None, handler.response_serializer)
        answered = self._unary(handler.unary_unary or handler.stream_unary, read, name)
        make = (
            grpc.stream_unary_rpc_method_handler if handler.request_streaming else grpc.unary_unary_rpc_method_handler
        )
        return make(answered, None, handler.response_serializer)

    def _enter(self, name: str) -> None:
        principal.set(self._caller)
        if name not in _UNINSTALLED_TOO:
            self._require_installed()
        if name not in _BEFORE_INIT:
            require_initialized(self._feed.state.host)

    def _allowed(self, request: Any) -> Any:
        check_fields(request, self._caller)
        return request

    def _unary(self, answer: Any, read: Read, name: str) -> Any:
        async def answered(request: Any, context: Context) -> Any:
            try:
                self._enter(name)
                return await answer(self._allowed(read(request)), context)
            except Exception as e:  # whatever it is, it becomes a status
                return await _abort(context, e)

        return answered

    def _streaming(self, answer: Any, read: Read, name: str) -> Any:
        async def answered(request: Any, context: Context) -> AsyncIterator[Any]:
            try:
                self._enter(name)
                async for response in answer(self._allowed(read(request)), context):
                    yield response
            except Exception as e:  # whatever it is, it becomes a status
                await _abort(context, e)

        return answered


def _read(decode: Callable[[bytes], Any]) -> Read:
    """Decodes and checks a message where a failure can be told: gRPC itself would say UNKNOWN, and no more."""

    def read(message: bytes) -> Any:
        try:
            request = decode(message)
        except DecodeError as e:
            raise InvalidArgument(
                "REQUEST_UNREADABLE",
                "The request is not a message of this method.",
                hint="This is a defect of the program that called, or it was made for another version.",
            ) from e
        choices.check(request)
        return request

    return read


def _read_each(decode: Callable[[bytes], Any]) -> Read:
    """As _read, for each message of a stream when its turn comes."""
    read = _read(decode)

    async def read_each(messages: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        async for message in messages:
            yield read(message)

    return read_each


async def _abort(context: Context, error: Exception) -> None:
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        hint = "Close connections to it, or allow it more (ulimit -n), and try again."
        error = Exhausted("FILES_EXHAUSTED", "The daemon has as many files open as it may.", hint=hint)
    if isinstance(error, Internal) or not isinstance(error, Error):
        _log.error("a call failed", exc_info=error)
    if not isinstance(error, Error):
        error = Internal("INTERNAL", "The daemon met a defect of its own.", hint="See debug.log (VIBESPACE_DEBUG=1).")
    _log.debug("refused: %s: %s", error.reason, error.message)
    status = rpc_status.to_status(errgrpc.to_status(error))
    await context.abort(status.code, status.details or "", status.trailing_metadata or ())
