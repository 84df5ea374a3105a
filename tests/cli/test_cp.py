"""cp reads and writes files here, whatever the other end says; logs come as they were written."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.archive.test_archive import archive, file, folder, made
from tests.cli.conftest import Run
from tests.cli.daemon import Daemon
from vibespace.archive.unpack import unpack
from vibespace.archive.weigh import weigh
from vibespace.errors import Exhausted
from vibespace.v1.agents_pb2 import DownloadFilesResponse, StreamLogsResponse, UploadFilesResponse

UP, DOWN, LOGS = "AgentService/UploadFiles", "AgentService/DownloadFiles", "AgentService/StreamLogs"


def sends(*pieces: bytes) -> Any:
    return lambda _: iter([DownloadFilesResponse(data=piece) for piece in pieces])


def test_up(vibespace: Run, daemon: Daemon, tmp_path: Path) -> None:
    """The first message says where to, and all of them together hold the archive."""
    seen: list[Any] = []

    def answer(requests: Iterator[Any]) -> UploadFilesResponse:
        seen.extend(requests)
        return UploadFilesResponse()

    daemon.answers[UP] = answer
    (tmp_path / "file").write_bytes(os.urandom(1_000_000))
    done = vibespace("cp", str(tmp_path / "file"), "claude-1@demo:to/x")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert (seen[0].name, seen[0].path) == ("vibespaces/demo/agents/claude-1", b"to/x")
    assert {(request.name, request.path) for request in seen[1:]} == {("", b"")}
    assert max(len(request.data) for request in seen) <= 1 << 20
    unpack((request.data for request in seen), os.fsencode(tmp_path / "copy"), b"", "here")
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "file").read_bytes()


def test_both_ways_count_what_files_hold(vibespace: Run, daemon: Daemon, tmp_path: Path) -> None:
    """Neither headers nor holes are bytes of a copy: in and out the same folder is as many, and as many as it is."""
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "file").write_bytes(bytes(range(256)) * 40)
    (source / "link").symlink_to("deep/file")
    (source / "sparse").write_bytes(b"begin")
    os.truncate(source / "sparse", 1 << 30)
    held = weigh(os.fsencode(source))
    assert 256 * 40 < held < 1 << 20
    daemon.answers[UP] = lambda requests: UploadFilesResponse() if list(requests) else None
    daemon.answers[DOWN] = sends(archive(source))
    into = vibespace("cp", "--json", str(source), "claude-1@demo:")
    out = vibespace("cp", "--json", "claude-1@demo:source", str(tmp_path / "copy"))
    assert [done.json["data"]["bytes"] for done in (into, out)] == [held, held]


def test_up_refused(vibespace: Run, daemon: Daemon, tmp_path: Path) -> None:
    """What the other end refuses is its sentence; what is not there here is said without asking it."""

    def answer(_: Any) -> None:
        raise Exhausted("DISK_FULL", "There is no room inside.")

    daemon.answers[UP] = answer
    (tmp_path / "file").write_bytes(bytes(1 << 20))
    done = vibespace("cp", str(tmp_path / "file"), "claude-1@demo:")
    assert (done.code, "no room inside" in done.err) == (15, True)
    assert vibespace("cp", str(tmp_path / "none"), "claude-1@demo:").code == 10


def test_the_name_is_the_one_typed(vibespace: Run, daemon: Daemon, tmp_path: Path) -> None:
    """An agent that is asked for `notes` and sends `.bashrc` sends `notes`."""
    daemon.answers[DOWN] = sends(made(file(b".bashrc")))
    assert vibespace("cp", "claude-1@demo:notes", str(tmp_path)).code == 0
    assert os.listdir(tmp_path) == ["notes"]


@pytest.mark.parametrize(
    "sent",
    [
        made(folder(b"top"), file(b"top/../../evil")),
        made(folder(b"top"), file(b"top/a"))[:-1],
        b"noise" * 1000,
        b"",
    ],
)
def test_what_is_not_whole_is_not_there(vibespace: Run, daemon: Daemon, tmp_path: Path, sent: bytes) -> None:
    """An archive that lies or is cut off leaves nothing, and one sentence."""
    daemon.answers[DOWN] = sends(sent[:700], sent[700:])
    done = vibespace("cp", "claude-1@demo:x", str(tmp_path))
    assert (done.code, done.err.count("\n")) == (15, 1)
    assert os.listdir(tmp_path) == []


def test_the_daemon_dies(vibespace: Run, daemon: Daemon, tmp_path: Path) -> None:
    """A connection that breaks leaves nothing here."""
    (tmp_path / "file").write_bytes(os.urandom(1_000_000))
    packed = archive(tmp_path / "file")
    (tmp_path / "to").mkdir()

    def answer(_: Any) -> Iterator[DownloadFilesResponse]:
        yield DownloadFilesResponse(data=packed[:500_000])
        raise ConnectionError

    daemon.answers[DOWN] = answer
    assert vibespace("cp", "claude-1@demo:x", str(tmp_path / "to")).code == 15
    assert os.listdir(tmp_path / "to") == []


def test_logs(vibespace: Run, daemon: Daemon) -> None:
    """Both streams come apart, as they were written; a span of time is told as a moment."""
    daemon.answers[LOGS] = lambda _: iter([StreamLogsResponse(stdout=b"out\n"), StreamLogsResponse(stderr=b"err\n")])
    done = vibespace("logs", "claude-1@demo", "--since", "2h", "-f")
    assert (done.code, done.out, done.err) == (0, "out\n", "err\n")
    [request] = daemon.asked(LOGS)
    assert request.follow
    assert 7199 < time.time() - request.since.seconds < 7300
