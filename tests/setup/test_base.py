"""What the image stands on, told apart without an engine."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from vibespace.errors import InvalidArgument, NotFound
from vibespace.setup.base import identity


@pytest.mark.parametrize("base", ["docker.io/library/debian:bookworm-slim", "debian", "host:5000/debian@sha256:ab"])
def test_reference(base: str, tmp_path: Path) -> None:
    """A reference is told by its text: what it stands for may move on without the image counting as missing."""
    assert identity(base, tmp_path) == base


def test_tar(tmp_path: Path) -> None:
    """A tar is told by its content, wherever it lies."""
    tar = tmp_path / "debian.tar"
    tar.write_bytes(b"root file system")
    assert identity(str(tar), tmp_path / "cache") == hashlib.sha256(b"root file system").hexdigest()


def test_read_once(tmp_path: Path) -> None:
    """A tar of the same size and date is not read again; one of another date is."""
    tar = tmp_path / "debian.tar"
    tar.write_bytes(b"one")
    os.utime(tar, ns=(1, 1))
    first = identity(str(tar), tmp_path / "cache")
    tar.write_bytes(b"two")
    os.utime(tar, ns=(1, 1))
    assert identity(str(tar), tmp_path / "cache") == first
    os.utime(tar, ns=(2, 2))
    assert identity(str(tar), tmp_path / "cache") == hashlib.sha256(b"two").hexdigest()


def test_damaged_cache(tmp_path: Path) -> None:
    """What is remembered about tars may be lost or damaged: they are read again."""
    tar = tmp_path / "debian.tar"
    tar.write_bytes(b"one")
    (tmp_path / "bases.json").write_text("{half")
    assert identity(str(tar), tmp_path) == hashlib.sha256(b"one").hexdigest()


@pytest.mark.parametrize("base", ["/nowhere/debian.tar", "./debian", "~/no-such-debian", "debian.tar.xz"])
def test_missing(base: str, tmp_path: Path) -> None:
    """What looks like a file and is none is named as missing, not looked for in a registry."""
    with pytest.raises(NotFound, match="is not there, so no image can be built on it") as refusal:
        identity(base, tmp_path)
    assert (refusal.value.reason, refusal.value.field) == ("BASE_NOT_FOUND", "base")


def test_folder(tmp_path: Path) -> None:
    """A folder is refused, with what is wanted instead."""
    with pytest.raises(InvalidArgument, match="it is not a file") as refusal:
        identity(str(tmp_path), tmp_path)
    assert refusal.value.reason == "BASE_INVALID"
    assert "mmdebstrap" in refusal.value.hint
