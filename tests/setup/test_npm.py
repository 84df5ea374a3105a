"""Asking this machine's npm, played by a script."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vibespace.errors import Unavailable
from vibespace.setup import npm


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes npm do what these lines of shell say."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def write(lines: str) -> None:
        (folder / "npm").write_text(f"#!/bin/sh\n{lines}\n")
        (folder / "npm").chmod(0o755)

    return write


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "into"
    folder.mkdir()
    return folder


async def test_packs(script: Callable[[str], None], into: Path) -> None:
    """npm is asked for the package by its whole name, in the folder that gets the archive."""
    script('for last; do :; done; printf %s "$last" > tool.tgz')
    pack = npm.here()
    assert pack is not None
    assert await pack("@some/tool@1.0", into) == into / "tool.tgz"
    assert (into / "tool.tgz").read_text() == "@some/tool@1.0"


async def test_keeps_nothing_elsewhere(
    script: Callable[[str], None], into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its cache is in the folder that gets the archive, and gone with that, whatever the user's settings say."""
    monkeypatch.setenv("npm_config_cache", "/nowhere")
    script('while [ "$1" != --cache ]; do shift; done; mkdir "$2"; touch "$2/x.tgz" tool.tgz')
    pack = npm.here()
    assert pack is not None
    assert await pack("tool@1", into) == into / "tool.tgz"
    assert (into / "npm" / "x.tgz").exists()


async def test_complains(script: Callable[[str], None], into: Path) -> None:
    """When npm fails, its own first complaint is the reason that is given."""
    script("echo npm error code E404 >&2; echo npm error 404 Not Found >&2; exit 1")
    pack = npm.here()
    assert pack is not None
    with pytest.raises(Unavailable, match=r"npm could not fetch tool@1: 404 Not Found\.$") as failure:
        await pack("tool@1", into)
    assert failure.value.reason == "PROGRAM_UNREACHABLE"
    assert "npm view tool@1" in failure.value.hint


async def test_given_up(script: Callable[[str], None], into: Path) -> None:
    """Whoever gives up waiting leaves no npm behind."""
    os.mkfifo(into / "pid")
    script("echo $$ > pid; exec sleep 600")
    pack = npm.here()
    assert pack is not None
    asked = asyncio.ensure_future(pack("tool@1", into))
    pid = int(await asyncio.to_thread((into / "pid").read_text))
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_no_npm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without npm says so, and the image's own is used."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert npm.here() is None
