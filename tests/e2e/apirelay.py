"""An API server's way to a daemon, on which the calls that change something are counted."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress

import aiohttp
from aiohttp import web

_CHANGES = ("POST", "PUT", "PATCH", "DELETE")
_HEADERS = ("Authorization", "Content-Type", "Accept")


class ApiRelay:
    """Serves `url` by the API server behind it, from a thread of its own. See `relay.Relay`."""

    def __init__(self, server: str, authority: str) -> None:
        """`authority` is the file that `server`'s certificate is checked by."""
        self._server = server
        self._trust = ssl.create_default_context(cafile=authority)
        self.calls: list[str] = []
        """What changed something, since `watch_calls`: method and path."""
        self.total = 0
        """All that was asked, whatever for."""
        self._before: Callable[[int], bool] | None = None
        self._after: Callable[[int], bool] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.url = asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result()

    def watch_calls(
        self, before: Callable[[int], bool] | None = None, after: Callable[[int], bool] | None = None
    ) -> None:
        """Count from 1 on: each is announced before it reaches the server, which it never does where that is said to be
        so, and after the server has answered it but before the answer reaches the daemon.
        """
        self.calls, self._before, self._after = [], before, after

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> str:
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, ssl=self._trust))
        self._runner = web.ServerRunner(web.Server(self._pass), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _stop(self) -> None:
        await self._runner.cleanup()
        await self._session.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}  # of who was asking until now
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _pass(self, request: web.BaseRequest) -> web.StreamResponse:
        self.total += 1
        number, after = self._number(request), self._after
        if number and self._before and await asyncio.to_thread(self._before, number):
            return web.Response(status=503)  # which nobody hears
        headers = {name: request.headers[name] for name in _HEADERS if name in request.headers}
        asked = self._session.request(
            request.method, self._server + request.path_qs, data=await request.read(), headers=headers
        )
        async with asked as answer:
            if number and after:
                await asyncio.to_thread(after, number)
            told = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.headers["Content-Type"]})
            with suppress(ConnectionError, aiohttp.ClientError):  # who asked was killed, or the server
                await told.prepare(request)
                async for piece in answer.content.iter_any():
                    await told.write(piece)
            return told

    def _number(self, request: web.BaseRequest) -> int:
        """Which of the counted calls this is; 0 for one that only looks, or renews a login."""
        if request.method not in _CHANGES or request.path.endswith("/token"):
            return 0
        self.calls.append(f"{request.method} {request.path}")
        return len(self.calls)
