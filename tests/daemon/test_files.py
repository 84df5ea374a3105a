"""Copies and logs through a whole daemon, on the fake engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.running import Running, quiet, refused, serving
from vibespace.archive.pack import pack
from vibespace.archive.unpack import unpack
from vibespace.daemon import streams
from vibespace.engine.fake_world import World
from vibespace.errors import FailedPrecondition, InvalidArgument
from vibespace.v1.agents_pb2 import (
    AGENT_TYPE_CLAUDE_CODE,
    AgentSettings,
    DownloadFilesRequest,
    StopAgentRequest,
    StreamLogsRequest,
    UploadFilesRequest,
)
from vibespace.v1.vibespaces_pb2 import CreateVibespaceRequest

NAME = "vibespaces/demo/agents/claude-1"


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    world = World()
    async with serving(tmp_path / "home", world) as daemon:
        await daemon.init()
        settings = AgentSettings(type=AGENT_TYPE_CLAUDE_CODE)
        await daemon.vibespaces.CreateVibespace(CreateVibespaceRequest(vibespace_id="demo", agent=settings))
        await daemon.until(quiet)
        yield daemon
    world.close()


async def test_copies(running: Running, tmp_path: Path) -> None:
    """A file goes where commands run, and comes back; the agent's home is `~`."""
    (tmp_path / "file").write_text("x")
    packed = list(pack(bytes(tmp_path / "file"), b"file", "here"))

    async def requests(path: bytes) -> AsyncIterator[UploadFilesRequest]:
        yield UploadFilesRequest(name=NAME, path=path)
        for piece in packed:
            yield UploadFilesRequest(data=piece)

    for path in (b"", b"~/named"):
        await running.agents.UploadFiles(requests(path))
    for path in (b"file", b"./file", b"~/named"):
        responses = running.agents.DownloadFiles(DownloadFilesRequest(name=NAME, path=path))
        unpack([response.data async for response in responses], bytes(tmp_path / "back"), b"", "here")
        assert (tmp_path / "back").read_text() == "x"


async def test_logs(running: Running) -> None:
    """Logs come also of an agent that is stopped, as the sentence that there are none."""
    logs = running.agents.StreamLogs(StreamLogsRequest(name=NAME))
    assert [b"listening" in response.stderr async for response in logs] == [True]
    await running.agents.StopAgent(StopAgentRequest(name=NAME))
    await running.until(quiet)
    assert (await refused(anext(aiter(running.agents.StreamLogs(StreamLogsRequest(name=NAME)))))).reason == (
        "CONTAINER_NOT_FOUND"
    )
    failure = await refused(anext(aiter(running.agents.DownloadFiles(DownloadFilesRequest(name=NAME, path=b"x")))))
    assert isinstance(failure, FailedPrecondition)


async def each(*messages: Any) -> AsyncIterator[Any]:
    for message in messages:
        yield message


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [UploadFilesRequest(path=b"x")],
        [UploadFilesRequest(name=NAME, path=b"a\0b")],
        [UploadFilesRequest(name=NAME, path=b"x" * 5000)],
        [UploadFilesRequest(name=NAME), UploadFilesRequest(name=NAME)],
        [UploadFilesRequest(name=NAME), UploadFilesRequest(data=bytes(streams.UPLOAD_PIECE + 1))],
    ],
)
async def test_wrong_messages(messages: list[UploadFilesRequest]) -> None:
    """A stream that begins or goes on as none may is refused."""
    requests = each(*messages)

    async def read() -> None:
        first = await streams.files_start(requests)
        async for _ in streams.files_pieces(first, requests):
            pass

    with pytest.raises(InvalidArgument):
        await read()
