"""What a watch lives through that no engine does on demand."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from vibespace.engine import bodies, observer
from vibespace.engine.api import Api
from vibespace.engine.base import Condition, Snapshot
from vibespace.engine.observer import Observer


@asynccontextmanager
async def engine(socket: Path, answer: Callable[[str], Any]) -> AsyncIterator[Api]:
    """An engine whose answers, by path, are these; its stream of events ends as soon as it is opened."""

    async def handle(request: web.Request) -> web.Response:
        return web.json_response(answer(request.path), headers={"Libpod-API-Version": "4.3.1"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(socket)).start()
    api = Api(str(socket))
    try:
        yield api
    finally:
        await api.close()
        await runner.cleanup()


async def test_stream_that_ends_is_opened_again(tmp_path: Path) -> None:
    """An engine that ends its stream of events and still answers has not been lost."""
    opened = asyncio.Semaphore(0)

    def answer(path: str) -> Any:
        if path.endswith("/events"):
            opened.release()
            return {}
        return []

    async with engine(tmp_path / "sock", answer) as api, aclosing(Observer(api, "log", set()).watch()) as snapshots:
        assert await anext(snapshots) == Snapshot(())
        more = asyncio.ensure_future(anext(snapshots))
        for _ in range(3):
            await opened.acquire()
        assert not more.done()
        more.cancel()
        await asyncio.wait([more])


async def test_an_sshd_that_never_answers_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that runs behind a port where nobody speaks ssh is STARTING, in time with a reason; once it answers
    it is RUNNING, and the reason is gone.
    """
    monkeypatch.setattr(observer, "SILENT_SECONDS", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as sshd:
        port = sshd.getsockname()[1]
        container = {
            "Id": "c" * 64,
            "ImageID": "sha256:1",
            "Labels": {bodies.AGENT_UID: "agent"},
            "State": {"Running": True, "StartedAt": "2026-01-02T03:04:05Z"},
            "NetworkSettings": {"Ports": {bodies.SSH_PORT: [{"HostPort": str(port)}]}},
        }
        answers = {"containers/json": [container], "json": container, "events": {}, "_ping": {}}

        def answer(path: str) -> Any:
            return next(answers[end] for end in answers if path.endswith(f"/{end}"))

        async with engine(tmp_path / "sock", answer) as api, aclosing(Observer(api, "log", set()).watch()) as seen:
            starting, stuck = [(await anext(seen)).statuses[0] for _ in range(2)]
            assert (starting.condition, starting.reason) == (Condition.STARTING, "")
            assert (stuck.condition, stuck.reason) == (Condition.STARTING, "its sshd has not answered for 0 s")
            accepted = asyncio.create_task(_answers_all(sshd))
            [running] = (await anext(seen)).statuses
            assert (running.condition, running.reason) == (Condition.RUNNING, "")
            accepted.cancel()


async def _answers_all(sshd: socket.socket) -> None:
    sshd.setblocking(False)
    while True:
        connection, _ = await asyncio.get_running_loop().sock_accept(sshd)
        connection.send(b"SSH-2.0-test\r\n")


@pytest.mark.parametrize(
    ("networks", "told"),
    [
        (None, []),
        ({"a": {"IPAddress": ""}}, []),
        (
            {"a": {"IPAddress": "10.0.0.2", "GlobalIPv6Address": "fd00::2"}, "b": {"IPAddress": "10.0.1.2"}},
            ["10.0.0.2", "fd00::2", "10.0.1.2"],
        ),
    ],
)
def test_addresses_of_all_networks_are_told(networks: Any, told: list[str]) -> None:
    """Also of those that somebody has put it into by hand, and of IPv6."""
    assert observer.addresses({"NetworkSettings": {"Networks": networks}}) == told
