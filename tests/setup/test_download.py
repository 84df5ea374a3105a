"""A download against a server that is right, wrong, cut off, slow, or not there."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from vibespace.errors import FailedPrecondition, Unavailable
from vibespace.setup import download

CONTENT = bytes(range(256)) * 4096
DIGEST = hashlib.sha256(CONTENT).hexdigest()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSE", 0.0)


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_get("/{name:.*}", handler)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/k3s"
    finally:
        await runner.cleanup()


def begin(request: web.Request) -> int:
    return int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))


async def whole(request: web.Request) -> web.StreamResponse:
    return web.Response(body=CONTENT)


async def test_right(tmp_path: Path) -> None:
    """It is there, may be run, and is fetched once."""
    asked = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return await whole(request)

    async with serving(handler) as url:
        for _ in range(2):
            await download.fetch(url, tmp_path / "k3s", DIGEST, lambda _: None)
    assert (tmp_path / "k3s").read_bytes() == CONTENT
    assert (tmp_path / "k3s").stat().st_mode & 0o111
    assert asked == 1
    assert os.listdir(tmp_path) == ["k3s"]


async def test_wrong(tmp_path: Path) -> None:
    """What has another digest is refused, and nothing of it stays; what was there before does."""
    (tmp_path / "k3s").write_text("the one before")
    async with serving(whole) as url:
        with pytest.raises(FailedPrecondition) as refused:
            await download.fetch(url, tmp_path / "k3s", "0" * 64, lambda _: None)
    assert refused.value.reason == "DOWNLOAD_INTEGRITY"
    assert os.listdir(tmp_path) == ["k3s"]
    assert (tmp_path / "k3s").read_text() == "the one before"


@pytest.mark.parametrize("ranges", [True, False])
async def test_cut_off(tmp_path: Path, ranges: bool) -> None:
    """It goes on where it was, or from the beginning where the server knows no parts."""
    begins: list[int] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        at = begin(request) if ranges else 0
        begins.append(at)
        answer = web.StreamResponse(status=206 if at else 200)
        answer.content_length = len(CONTENT) - at
        await answer.prepare(request)
        cut = at + 300_000 if ranges or len(begins) < 3 else len(CONTENT)
        await answer.write(CONTENT[at:cut])
        if cut < len(CONTENT):
            assert request.transport is not None
            request.transport.close()
        return answer

    async with serving(handler) as url:
        await download.fetch(url, tmp_path / "k3s", DIGEST, lambda _: None)
    assert (tmp_path / "k3s").read_bytes() == CONTENT
    assert begins == ([0, 300_000, 600_000, 900_000] if ranges else [0, 0, 0])


async def test_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that says nothing more is given up in the end, and what came stays for the next time."""
    monkeypatch.setattr(download, "SILENT_SECONDS", 0.1)
    silent = True

    async def handler(request: web.Request) -> web.StreamResponse:
        if not silent:
            return web.Response(body=CONTENT[begin(request) :], status=206)
        answer = web.StreamResponse(status=206 if begin(request) else 200)
        answer.content_length = len(CONTENT) - begin(request)
        await answer.prepare(request)
        if not begin(request):
            await answer.write(CONTENT[:1000])
        await asyncio.Event().wait()
        return answer

    async with serving(handler) as url:
        with pytest.raises(Unavailable) as failed:
            await download.fetch(url, tmp_path / "k3s", DIGEST, lambda _: None)
        assert failed.value.reason == "DOWNLOAD_FAILED"
        assert (tmp_path / f"k3s.{DIGEST}.part").stat().st_size == 1000
        silent = False
        await download.fetch(url, tmp_path / "k3s", DIGEST, lambda _: None)
    assert (tmp_path / "k3s").read_bytes() == CONTENT


async def test_the_beginning_of_another_version(tmp_path: Path) -> None:
    """It is not gone on with, and does not stay; the right one is fetched from its beginning."""
    (tmp_path / f"k3s.{'0' * 64}.part").write_bytes(b"older" * 1000)
    begins: list[int] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        begins.append(begin(request))
        return web.Response(body=CONTENT[begin(request) :], status=206 if begin(request) else 200)

    async with serving(handler) as url:
        await download.fetch(url, tmp_path / "k3s", DIGEST, lambda _: None)
    assert begins == [0]
    assert os.listdir(tmp_path) == ["k3s"]


async def test_not_there(tmp_path: Path) -> None:
    """What a server does not have is said at once, by its address."""
    asked = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        raise web.HTTPNotFound

    async with serving(handler) as url:
        with pytest.raises(Unavailable) as failed:
            await download.fetch(url, tmp_path / "k3s", DIGEST, lambda _: None)
        assert url in failed.value.message
        with pytest.raises(Unavailable):
            await download.text(url)
    assert asked == 2
