"""Copies over a real sshd: a program is sent in and run there."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.net.running import AGENT, until
from tests.net.sshd import Sshd, processes
from vibespace.archive import tar
from vibespace.archive.failures import Failure
from vibespace.archive.inside import REFUSED
from vibespace.archive.pack import pack
from vibespace.archive.unpack import unpack
from vibespace.errors import Error, Exhausted, FailedPrecondition, NotFound, Unavailable
from vibespace.net import files
from vibespace.net.files import Files
from vibespace.net.shell import SshShell


@pytest.fixture
def copies(shell: SshShell) -> Files:
    return Files(shell)


async def pieces(*of: bytes) -> AsyncIterator[bytes]:
    for piece in of:
        yield piece


async def endless(archive: bytes) -> AsyncIterator[bytes]:
    """All but the end, and then nothing more, for ever."""
    yield archive[: -len(tar.END)]
    await asyncio.Event().wait()


def archive(path: Path) -> list[bytes]:
    return list(pack(os.fsencode(path), os.fsencode(path.name), "here"))


def drafts(home: Path) -> list[str]:
    return [name for name in os.listdir(home) if "copying" in name]


async def test_there_and_back(copies: Files, sshd: Sshd, tmp_path: Path) -> None:
    """Ten megabytes go in and come back; `~` is the home, whatever the directory."""
    (tmp_path / "file").write_bytes(os.urandom(1000) * 10_000)
    await copies.receive(AGENT, "/tmp", b"~", pieces(*archive(tmp_path / "file")))
    assert (sshd.home / "file").stat().st_uid == sshd.home.stat().st_uid
    back = [piece async for piece in copies.send(AGENT, str(sshd.home), b"file")]
    unpack(back, os.fsencode(tmp_path / "back"), b"", "here")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "file").read_bytes()


async def test_refused_inside(copies: Files, tmp_path: Path) -> None:
    """What is refused inside comes as the error it is, with the words of the other end."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotFound, match="There is no folder '/no/such' inside"):
        await copies.receive(AGENT, "", b"/no/such/place", pieces(*archive(tmp_path / "file")))
    with pytest.raises(NotFound, match=r"There is no '.*none' inside"):
        [piece async for piece in copies.send(AGENT, "", b"none")]


async def test_broken_off(copies: Files, sshd: Sshd, tmp_path: Path) -> None:
    """A client that goes away, and an archive that ends too soon, leave nothing."""
    (tmp_path / "file").write_text("x")
    whole = b"".join(archive(tmp_path / "file"))
    with pytest.raises(Unavailable, match="before it was whole"):
        await copies.receive(AGENT, "", b"~/copy", pieces(whole[:-1]))
    receiving = asyncio.create_task(copies.receive(AGENT, "", b"~/copy", endless(whole)))
    await until(lambda: bool(drafts(sshd.home)))
    receiving.cancel()
    await asyncio.wait([receiving])
    assert not (sshd.home / "copy").exists()
    assert drafts(sshd.home) == []


def test_broken_off_and_then_ended(tmp_path: Path) -> None:
    """What takes away what it had made, for its archive ended too soon, does so whoever ends it meanwhile."""
    (tmp_path / "many").mkdir()
    (tmp_path / "to").mkdir()
    for number in range(20_000):
        (tmp_path / "many" / str(number)).touch()
    whole = b"".join(archive(tmp_path / "many"))
    with subprocess.Popen(files._command("in", os.fsencode(tmp_path / "to")), stdin=subprocess.PIPE) as copying:
        assert copying.stdin
        copying.stdin.write(files._program() + whole[: -len(tar.END)])
        copying.stdin.flush()
        (draft,) = (tmp_path / "to").iterdir()
        while len(os.listdir(draft / "many")) < 20_000:
            assert copying.poll() is None
        copying.stdin.close()
        with suppress(FileNotFoundError):  # it may be through already
            while len(os.listdir(draft / "many")) == 20_000:
                assert copying.poll() is None
        copying.send_signal(signal.SIGHUP)
        assert copying.wait() == REFUSED
    assert os.listdir(tmp_path / "to") == []


async def test_connection_breaks(copies: Files, sshd: Sshd, tmp_path: Path) -> None:
    """When the container dies the copy fails, and the next one takes away what was left."""
    (tmp_path / "file").write_text("x")
    whole = b"".join(archive(tmp_path / "file"))
    receiving = asyncio.create_task(copies.receive(AGENT, "", b"~/copy", endless(whole)))
    await until(lambda: bool(drafts(sshd.home)))
    await sshd.kill()
    with pytest.raises(Unavailable):
        await receiving
    await sshd.start()
    await copies.receive(AGENT, "", b"~/copy", pieces(whole))
    assert drafts(sshd.home) == []
    assert (sshd.home / "copy").read_text() == "x"


async def test_reader_goes_away(copies: Files, tmp_path: Path) -> None:
    """Who stops reading ends the program that reads inside."""
    _make_big(Path("/tmp/vs-copies-big"))
    word = b"/tmp/vs-copies-big".hex()
    try:
        sending = copies.send(AGENT, "", b"/tmp/vs-copies-big")
        await anext(sending)
        assert processes(word)
        await sending.aclose()  # type: ignore[attr-defined]  # it is a generator
        assert not processes(word)
    finally:
        os.unlink("/tmp/vs-copies-big")


def _make_big(path: Path) -> None:
    path.write_bytes(os.urandom(1 << 20) * 50)
    path.chmod(0o644)


LINES = [
    (b'["Exhausted", "DISK_FULL", "No room.", "Make some."]', Exhausted, "DISK_FULL"),
    (b'noise\n["NotFound", "X", "Gone.", ""]\n', NotFound, "X"),
    (b'["Internal", "DISK_FULL", "", ""]', FailedPrecondition, "COPY_FAILED"),
    (b'["__import__", "X", "", ""]', FailedPrecondition, "COPY_FAILED"),
    (b'["NotFound", "not a reason", "", ""]', FailedPrecondition, "COPY_FAILED"),
    (b"[" * 10_000, FailedPrecondition, "COPY_FAILED"),
    (b"\xff", FailedPrecondition, "COPY_FAILED"),
    (b"", FailedPrecondition, "COPY_FAILED"),
]


@pytest.mark.parametrize(("said", "kind", "reason"), LINES, ids=[str(said[:20]) for said, *_ in LINES])
def test_what_is_said_inside_is_words(said: bytes, kind: type[Error], reason: str) -> None:
    """Whatever stands on stderr, it becomes one of the errors that a copy may have."""
    error = files._error(3, said)
    assert (type(error), error.reason) == (kind, reason)


def test_no_python() -> None:
    """An image without Python says what is missing."""
    assert "has no /usr/bin/python3" in files._error(127, b"bash: not found").message


def test_a_failure_survives_the_way() -> None:
    """A Failure's line is read back as it was."""
    error = files._error(3, Failure("NotFound", "FILE_NOT_FOUND", "There is no 'ä'.", "Look.").line())
    assert (type(error), error.reason, error.message, error.hint) == (
        NotFound,
        "FILE_NOT_FOUND",
        "There is no 'ä'.",
        "Look.",
    )
