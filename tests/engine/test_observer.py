"""What a watch lives through that no engine does on demand."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

from aiohttp import web

from vibespace.engine.api import Api
from vibespace.engine.base import Snapshot
from vibespace.engine.observer import Observer


async def test_stream_that_ends_is_opened_again(tmp_path: Path) -> None:
    """An engine that ends its stream of events and still answers has not been lost."""
    opened = asyncio.Semaphore(0)

    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith("/events"):
            opened.release()
        return web.Response(
            text="" if request.path.endswith("/events") else "[]", headers={"Libpod-API-Version": "4.3.1"}
        )

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "sock")).start()
    api = Api(str(tmp_path / "sock"))
    try:
        async with aclosing(Observer(api, "log", set()).watch()) as snapshots:
            assert await anext(snapshots) == Snapshot(())
            more = asyncio.ensure_future(anext(snapshots))
            for _ in range(3):
                await opened.acquire()
            assert not more.done()
            more.cancel()
            await asyncio.wait([more])
    finally:
        await api.close()
        await runner.cleanup()
