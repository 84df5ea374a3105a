"""What is kept apart: whole or said to be missing, mended by being put again."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from vibespace.app.blobs import Blobs
from vibespace.errors import Exhausted, NotFound, Unavailable

CONTENT = b"a long line" * 1000


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_link(path: Path) -> None:
    elsewhere = path.parent.parent / "elsewhere"
    elsewhere.write_bytes(b"not ours")
    path.unlink()
    path.symlink_to(elsewhere)


def a_link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


SPOILT: dict[str, Callable[[Path], Any]] = {
    "gone": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(CONTENT[:-1]),
    "changed": lambda path: path.write_bytes(CONTENT.replace(b"long", b"lang", 1)),
    "longer": lambda path: path.write_bytes(CONTENT + b"\n"),
    "a link": a_link,
    "a link to nothing": a_link_to_nothing,
}


def test_what_is_put_is_got_by_what_is_in_it(directory: Path) -> None:
    """Its name is its SHA-256, it is nobody else's to read, and nothing but it lies there."""
    name = Blobs(directory).put(CONTENT)
    assert name == sha256(CONTENT).hexdigest()
    assert Blobs(directory).get(name) == CONTENT
    assert [(path.name, path.stat().st_mode & 0o777) for path in directory.iterdir()] == [(name, 0o600)]
    assert directory.stat().st_mode & 0o777 == 0o700


def test_what_is_put_twice_is_there_once(directory: Path) -> None:
    """The file that is whole is left as it is."""
    blobs = Blobs(directory)
    [first, second] = [(blobs.put(CONTENT), [path.stat().st_ino for path in directory.iterdir()]) for _ in range(2)]
    assert first == second


@pytest.mark.parametrize("spoil", [*SPOILT.values(), a_directory], ids=[*SPOILT, "a directory"])
def test_what_is_not_what_it_was_is_missing(directory: Path, spoil: Callable[[Path], Any]) -> None:
    """Never told as if it were that."""
    blobs = Blobs(directory)
    name = blobs.put(CONTENT)
    spoil(directory / name)
    with pytest.raises(NotFound) as e:
        blobs.get(name)
    assert e.value.reason == "BLOB_MISSING"


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_what_is_put_again_is_mended(directory: Path, spoil: Callable[[Path], Any]) -> None:
    """A file that is damaged does not stand for what is put now; what a link led to is left alone."""
    blobs = Blobs(directory)
    name = blobs.put(CONTENT)
    spoil(directory / name)
    assert blobs.put(CONTENT) == name
    assert blobs.get(name) == CONTENT
    assert not (directory / name).is_symlink()
    elsewhere = directory.parent / "elsewhere"
    assert not elsewhere.exists() or elsewhere.read_bytes() == b"not ours"


def test_a_full_disk_is_said(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exhausted DISK_FULL, and nothing half is left; with room it is put."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    blobs = Blobs(directory)
    blobs.put(b"before")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Exhausted) as e:
        blobs.put(CONTENT)
    assert e.value.reason == "DISK_FULL"
    monkeypatch.undo()
    assert [path.name for path in directory.iterdir()] == [sha256(b"before").hexdigest()]
    assert blobs.get(blobs.put(CONTENT)) == CONTENT


def test_a_directory_that_cannot_be_written_to_is_said(directory: Path) -> None:
    """It is named, and nobody is told to make room, which would not help."""
    directory.write_text("no directory")
    with pytest.raises(Unavailable) as e:
        Blobs(directory).put(CONTENT)
    assert (e.value.reason, str(directory) in e.value.message) == ("HOME_NOT_USABLE", True)
