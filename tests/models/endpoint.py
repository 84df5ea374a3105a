"""An HTTP server that answers as the scripts say, and keeps what it was asked. The two APIs are its subclasses.

Who asks is told apart by the key: each has a script, of which every request takes the next answer. A key without a
script is refused, as is a request beyond the end of one; that, and every path that is not known, is in `surprises`.
"""

from __future__ import annotations

import asyncio
import json
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.models.script import Call, Gate, Refusal, Turn, words

SECRET = {"authorization", "x-api-key", "cookie"}
"""Headers that are not kept."""


@dataclass(frozen=True)
class Said:
    """One entry of the history that came with a request."""

    kind: str
    """`user`, `assistant`, `system`, `call` or `result`."""
    text: str
    id: str = ""
    """Of a call, and of its result."""


@dataclass(frozen=True)
class Asked:
    """One request for an answer, read alike for both APIs; `body` is all of it."""

    model: str
    system: str
    tools: tuple[str, ...]
    history: tuple[Said, ...]
    headers: Mapping[str, str]
    body: Mapping[str, Any]

    def texts(self, kind: str) -> list[str]:
        """What the history has of one kind."""
        return [said.text for said in self.history if said.kind == kind]


Answer = Turn | Refusal | Callable[[Asked], Turn]
"""What is not written down beforehand follows from what was asked."""


class Endpoint(ABC):
    """One server; `scripts` may be added to while it runs."""

    path: str
    """Where answers are asked for."""

    def __init__(self, scripts: Mapping[str, Sequence[Answer]]) -> None:
        self.scripts = dict(scripts)
        self.surprises: list[str] = []
        self.url = ""
        self._asked: dict[str, list[Asked]] = {}

    def asked(self, key: str) -> list[Asked]:
        """All that was asked with this key, in order; also what was refused."""
        return self._asked.get(key, [])

    @asynccontextmanager
    async def serving(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Serve at `host`, on a free port if none is given; the address. Open answers are dropped at the end, after
        which it may serve again.
        """
        application = web.Application(client_max_size=64 << 20)
        self.routes(application)
        application.router.add_route("*", "/{unknown:.*}", self._unknown)
        runner = web.AppRunner(application, shutdown_timeout=0, handler_cancellation=True)
        await runner.setup()
        try:
            site = web.TCPSite(runner, host, port)
            await site.start()
            self.url = f"http://{host}:{runner.addresses[0][1]}"
            yield self.url
        finally:
            await runner.cleanup()

    @contextmanager
    def in_thread(self, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
        """The same for tests without a loop. A gate of such a script is opened on `loop`."""
        started = threading.Event()
        finish = asyncio.Event()
        failures: list[OSError] = []

        async def main() -> None:
            self.loop = asyncio.get_running_loop()
            try:
                async with self.serving(host, port):
                    started.set()
                    await finish.wait()
            except OSError as error:
                failures.append(error)
            finally:
                started.set()

        thread = threading.Thread(target=asyncio.run, args=(main(),))
        thread.start()
        started.wait()
        if failures:
            thread.join()
            raise failures[0]
        try:
            yield self.url
        finally:
            self.loop.call_soon_threadsafe(finish.set)
            thread.join()

    def routes(self, application: web.Application) -> None:
        """Add what is answered."""
        application.router.add_post(self.path, self._answer)

    @abstractmethod
    def key(self, request: web.Request) -> str:
        """The key that came with it."""

    @abstractmethod
    def read(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> Asked:
        """What is asked for. Raises what it likes when that cannot be read."""

    @abstractmethod
    def refusal(self, refusal: Refusal) -> Mapping[str, Any]:
        """The body of an error."""

    @abstractmethod
    def events(self, asked: Asked, turn: Turn) -> AsyncIterator[Mapping[str, Any]]:
        """The stream, each event with its `type`."""

    @abstractmethod
    def whole(self, events: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """The answer in one piece, of all events of its stream."""

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        key = self.key(request)
        if key not in self.scripts:
            return self._refuse(Refusal(401, "no script has this key"))
        headers = {name.lower(): value for name, value in request.headers.items() if name.lower() not in SECRET}
        try:
            asked = self.read(await request.json(), headers)
        except (ValueError, LookupError, TypeError, AttributeError) as error:  # JSON of another shape
            self.surprises.append(f"unreadable: {error!r}")
            return self._refuse(Refusal(400, f"unreadable: {error!r}"))
        earlier = self._asked.setdefault(key, [])
        earlier.append(asked)
        script = self.scripts[key]
        if len(earlier) > len(script):
            self.surprises.append(f"asked {len(earlier)} times, where the script has {len(script)} answers")
            return self._refuse(Refusal(400, "the script has ended"))
        now = script[len(earlier) - 1]
        if callable(now):
            now = now(asked)
        if isinstance(now, Refusal):
            return self._refuse(now)
        if not asked.body.get("stream"):
            return await self._whole(request, asked, now)
        return await self._stream(request, asked, now)

    async def _stream(self, request: web.Request, asked: Asked, turn: Turn) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream", **turn.headers})
        await response.prepare(request)
        async for event in self.events(asked, turn):
            await response.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
        if turn.cut:
            _drop(request)  # without the chunk that says it was all
        return response

    async def _whole(self, request: web.Request, asked: Asked, turn: Turn) -> web.Response:
        """For who wants no stream: Claude Code asks so when a stream was cut twice."""
        events = [event async for event in self.events(asked, turn)]
        if turn.cut:
            _drop(request)
            return web.Response()
        return web.json_response(self.whole(events), headers=turn.headers)

    def _refuse(self, refusal: Refusal) -> web.Response:
        return web.json_response(self.refusal(refusal), status=refusal.status, headers=refusal.headers)

    async def _unknown(self, request: web.Request) -> web.Response:
        self.surprises.append(f"{request.method} {request.path}")
        return self._refuse(Refusal(404, f"there is no {request.path} here"))


async def pieces(text: str, gate: Gate | None) -> AsyncIterator[str]:
    """The words of a text, each when the gate lets it."""
    for word in words(text):
        if gate is not None:
            await gate.passed()
        yield word


def _drop(request: web.Request) -> None:
    """Leave who asked without another word."""
    if request.transport is not None:  # he may have left first
        request.transport.close()


def calls(turn: Turn) -> bool:
    """Whether it asks for a tool."""
    return any(isinstance(part, Call) for part in turn.parts)
