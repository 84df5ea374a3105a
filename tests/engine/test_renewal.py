"""A login of our own that nears its end is replaced by the next one."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from pathlib import Path

import pytest
from aiohttp import web

from tests.engine.apiserver import refusal, serving
from vibespace.engine import cluster, renewal
from vibespace.engine.kubeapi import Api


def token(begin: float, end: float) -> str:
    payload = base64.urlsafe_b64encode(json.dumps({"iat": begin, "exp": end}).encode()).decode().rstrip("=")
    return f"x.{payload}.y"


async def test_renewed_in_time(tmp_path: Path) -> None:
    """After four fifths of its time, for as long again, and the file says all else that it did."""
    now = time.time()
    old, new = token(now - 81, now + 19), token(now, now + 100)
    asked: list[tuple[str, object]] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        asked.append((request.headers["Authorization"], (await request.json())["spec"]))
        return web.json_response({"status": {"token": new}})

    async with serving(handler, tmp_path, old) as kubeconfig:
        api, before = Api(kubeconfig), kubeconfig.read_text()
        stored = asyncio.Event()

        def store(text: str) -> None:
            kubeconfig.write_text(text)
            loop.call_soon_threadsafe(stored.set)

        loop = asyncio.get_running_loop()
        keeping = asyncio.create_task(renewal.keep(api, kubeconfig, cluster.read(kubeconfig), store))
        await stored.wait()
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await api.close()
        assert kubeconfig.read_text() == before.replace(old, new)
    assert asked == [(f"Bearer {old}", {"expirationSeconds": 100})]


async def test_what_is_refused_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that says no, or nothing, is asked later, and nothing is written."""
    monkeypatch.setattr(renewal, "PATIENCE", 0.01)
    asked = asyncio.Queue[None]()

    async def handler(_: web.BaseRequest) -> web.StreamResponse:
        asked.put_nowait(None)
        return refusal(403, "Forbidden", "no")

    async with serving(handler, tmp_path, token(0, 1)) as kubeconfig:
        api, before = Api(kubeconfig), kubeconfig.read_text()
        keeping = asyncio.create_task(
            renewal.keep(api, kubeconfig, cluster.read(kubeconfig), lambda text: pytest.fail("nothing was given"))
        )
        for _ in range(3):
            await asked.get()
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await api.close()
        assert kubeconfig.read_text() == before


@pytest.mark.parametrize("text", ["", "{", '{"users": []}'], ids=["empty", "cut", "without a login"])
async def test_a_file_that_cannot_be_read_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """Whatever is wrong with it is told, and once it is right again the login in it is renewed."""
    monkeypatch.setattr(renewal, "PATIENCE", 0.01)
    told, stored, new = asyncio.Event(), asyncio.Event(), token(time.time(), time.time() + 100)
    monkeypatch.setattr(renewal._log, "exception", lambda _: told.set())
    loop = asyncio.get_running_loop()

    async def handler(_: web.BaseRequest) -> web.StreamResponse:
        return web.json_response({"status": {"token": new}})

    async with serving(handler, tmp_path, token(0, 1)) as kubeconfig:
        api, right, found = Api(kubeconfig), kubeconfig.read_text(), cluster.read(kubeconfig)
        kubeconfig.write_text(text)

        def store(_: str) -> None:
            loop.call_soon_threadsafe(stored.set)

        try:
            async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
                keeping = tasks.create_task(renewal.keep(api, kubeconfig, found, store))
                await told.wait()
                kubeconfig.write_text(right)
                await stored.wait()
                keeping.cancel()
        finally:
            await api.close()


def test_its_time_is_what_it_says() -> None:
    """In the middle part, in base64 without its padding."""
    assert renewal.lifetime(token(5, 10)) == (5, 10)
