"""The engine of a state directory is spoken of as the one it is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import quote

import pytest
from aiohttp import web

from vibespace.daemon import engines
from vibespace.errors import FailedPrecondition
from vibespace.setup import engine
from vibespace.state import State


async def _has_nothing(_: web.Request) -> web.Response:
    return web.json_response({"message": "no such image"}, status=404)


@pytest.mark.parametrize(
    ("private", "told"),
    [(True, "'podman --remote --url unix://{quoted}'"), (False, "the engine's own commands")],
)
async def test_where_an_image_is_to_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, private: bool, told: str
) -> None:
    """In a Podman of ours `podman` alone, which is another one, makes none that is found; any home can be typed."""
    socket = tmp_path / "its own" / "sock"
    socket.parent.mkdir()
    runner = web.AppRunner(web.Application())
    runner.app.router.add_route("*", "/{path:.*}", _has_nothing)
    await runner.setup()
    await web.UnixSite(runner, str(socket)).start()
    monkeypatch.setattr(engine, "reopen", lambda *_: None)
    chosen = {"brand": "podman", "address": str(socket), "private": private}
    host = cast("Any", SimpleNamespace(uid="log", engine=chosen))
    opened = cast("Any", await engines.open_engine(host, State(tmp_path), {}))
    with pytest.raises(FailedPrecondition) as refused:
        await opened.examine("localhost/mine")
    assert refused.value.hint.endswith(f"built with {told.format(quoted=quote(str(socket)))}.")
    await opened.close()
    await runner.cleanup()
