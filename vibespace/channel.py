"""A channel for the generated asynchronous stubs that finds the daemon, asks again, and raises our own errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import count
from typing import Any
from uuid import uuid4

import grpc

from vibespace import launch
from vibespace.client import ATTEMPTS, OPTIONS, error_of, resumed, target
from vibespace.errors import Error, Unavailable
from vibespace.resume import lost
from vibespace.state import State

Requests = AsyncIterator[Any] | Iterator[Any]


class Channel:
    """What stubs need of a grpc.aio.Channel. It dials at the first call, and again after a daemon that was lost."""

    def __init__(self, state: State, *, start: bool) -> None:
        self._state = state
        self._start = start
        self._dialled: grpc.aio.Channel | None = None
        self._dialling = asyncio.Lock()

    def unary_unary(self, method: str, *codec: Any, **more: Any) -> Callable[..., Awaitable[Any]]:
        """One request, one response. A lost call is made again, under the same request_id."""

        async def call(request: Any, **options: Any) -> Any:
            request = _identified(request)
            for attempt in count(1):
                channel = await self._open()
                try:
                    return await channel.unary_unary(method, *codec, **more)(request, **options)
                except grpc.aio.AioRpcError as e:
                    error = await self._ended(channel, e)
                    if not lost(error) or attempt == ATTEMPTS:
                        raise error from None
            raise AssertionError("not reached")

        return call

    def stream_unary(self, method: str, *codec: Any, **more: Any) -> Callable[..., Awaitable[Any]]:
        """Many requests, one response."""

        async def call(requests: Requests, **options: Any) -> Any:
            channel = await self._open()
            try:
                return await channel.stream_unary(method, *codec, **more)(requests, **options)
            except grpc.aio.AioRpcError as e:
                raise await self._ended(channel, e) from None

        return call

    def unary_stream(self, method: str, *codec: Any, **more: Any) -> Callable[..., Responses]:
        """One request, many responses."""
        return lambda request, **options: Responses(
            self,
            lambda channel: channel.unary_stream(method, *codec, **more)(request, **options),
            resumed=resumed(request),
        )

    def stream_stream(self, method: str, *codec: Any, **more: Any) -> Callable[..., Responses]:
        """Many requests, many responses."""
        return lambda requests, **options: Responses(
            self, lambda channel: channel.stream_stream(method, *codec, **more)(requests, **options)
        )

    async def close(self) -> None:
        """Hang up, on calls that are under way too."""
        if self._dialled is not None:
            dialled, self._dialled = self._dialled, None
            await dialled.close()

    async def _open(self, *, resumed: bool = False) -> grpc.aio.Channel:
        async with self._dialling:
            if self._dialled is None:
                await asyncio.to_thread(self._find, resumed)
                self._dialled = grpc.aio.insecure_channel(target(self._state), options=OPTIONS)
            return self._dialled

    def _find(self, resumed: bool) -> None:
        if self._start:
            launch.ensure_daemon(self._state, resumed=resumed)
            return
        launch.refuse_uninstalled(self._state)
        if not launch.answers(self._state.socket):
            if resumed:
                launch.refuse_rested(self._state)
            raise Unavailable("DAEMON_NOT_RUNNING", "No daemon runs here.", hint="Any command of vibespace starts it.")

    async def _ended(self, channel: grpc.aio.Channel, failed: grpc.aio.AioRpcError) -> Error:
        error = await asyncio.to_thread(error_of, failed, self._state)
        if lost(error) and self._dialled is channel:
            self._dialled = None  # not closed: that would cancel the calls of others, who are to hear the same
        return error


class Responses:
    """The responses of one call, to be iterated once."""

    def __init__(self, channel: Channel, begin: Callable[[grpc.aio.Channel], Any], *, resumed: bool = False) -> None:
        self._channel = channel
        self._resumed = resumed
        self._begin = begin
        self._call: Any = None
        self._iterating = self._iterate()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._iterating

    def cancel(self) -> bool:
        """Want no more of them. Whether there was a call to cancel."""
        return bool(self._call is not None and self._call.cancel())

    async def _iterate(self) -> AsyncIterator[Any]:
        channel = await self._channel._open(resumed=self._resumed)
        self._call = self._begin(channel)
        try:
            async for response in self._call:
                yield response
        except grpc.aio.AioRpcError as e:
            raise await self._channel._ended(channel, e) from None
        finally:
            self._call.cancel()  # Whoever stops reading wants no more; after the end it does nothing.


def _identified(request: Any) -> Any:
    """`request` under an id of its own, where it changes something: then it can be repeated."""
    if "request_id" not in request.DESCRIPTOR.fields_by_name or request.request_id:
        return request
    copy = type(request)()
    copy.CopyFrom(request)
    copy.request_id = str(uuid4())
    return copy
