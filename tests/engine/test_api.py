"""What the engine's API needs that no engine shows on demand."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from vibespace.engine.api import Api
from vibespace.errors import NotFound

GONE = {"cause": "no such container", "message": "container 02d9 does not exist in database: no such container"}


@asynccontextmanager
async def serving(socket: Path, answer: Callable[[], web.Response]) -> AsyncIterator[Api]:
    """An engine that answers every question with `answer`."""

    async def handle(request: web.Request) -> web.Response:
        if request.path == "/_ping":
            return web.Response(headers={"Libpod-API-Version": "4.3.1"})
        return answer()

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


async def test_list_outlives_what_goes_meanwhile(tmp_path: Path) -> None:
    """A list that fails because one container of it has just gone is asked for again."""
    answers = [web.json_response([{"Id": "1"}]), *(web.json_response(GONE, status=500) for _ in range(3))]
    async with serving(tmp_path / "sock", answers.pop) as api:
        assert await api.list("/containers/json") == [{"Id": "1"}]
    assert answers == []


@pytest.mark.parametrize("status", [404, 500])
async def test_what_is_gone_is_not_found(tmp_path: Path, status: int) -> None:
    """However the engine counts it: what it has not, is not found."""
    async with serving(tmp_path / "sock", lambda: web.json_response(GONE, status=status)) as api:
        with pytest.raises(NotFound):
            await api.get("/containers/02d9/json")


DIGEST = "sha256:" + "0123456789abcdef" * 4
SENTENCE = {"status": f"1: digest: {DIGEST} size: 2205"}


@pytest.mark.parametrize(
    ("said", "digest"),
    [
        ([SENTENCE, {"progressDetail": {}, "aux": {"Tag": "1", "Digest": DIGEST, "Size": 2205}}], DIGEST),
        ([{"status": "Pushed", "id": "02d9"}, SENTENCE], DIGEST),
        ([{"status": "1: it is there"}, {"aux": {"Digest": DIGEST}}], DIGEST),
        ([{"status": "Pushed", "id": "02d9"}, {"aux": None}, {"aux": {"Digest": "none"}}], ""),
    ],
)
async def test_what_a_push_comes_to(tmp_path: Path, said: list[dict[str, object]], digest: str) -> None:
    """The digest, as Docker tells it, as Podman 4 does, as some other might, or not at all."""
    text = "".join(f"{json.dumps(line)}\n" for line in said)
    async with serving(tmp_path / "sock", lambda: web.Response(text=text)) as api:
        assert await api.push("localhost/x", "1", "") == digest


async def test_list_gives_up(tmp_path: Path) -> None:
    """An engine that cannot list at all is told of, in its own words."""
    async with serving(tmp_path / "sock", lambda: web.json_response(GONE, status=500)) as api:
        with pytest.raises(NotFound, match="no such container"):
            await api.list("/containers/json")
