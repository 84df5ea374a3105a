"""What the engine is sent to build from."""

from __future__ import annotations

import tarfile
from importlib.resources import files
from pathlib import Path

import pytest

from vibespace.setup import context
from vibespace.setup.build import STEPS


def test_digest() -> None:
    """The image's name follows from its base and our files, the same at each asking."""
    assert context.digest("debian") == context.digest("debian")
    assert context.digest("debian") != context.digest("debian:12")
    assert len(context.digest("debian")) == 16


def test_spooled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The context has the files, an executable entry point and this machine's authorities, and no name on disk."""
    bundle = tmp_path / "authorities"
    bundle.write_text("trusted")
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    folder = tmp_path / "cache"
    folder.mkdir()
    with context.spool({}, folder) as file:
        assert list(folder.iterdir()) == []
        with tarfile.open(fileobj=file) as archive:
            modes = {entry.name: entry.mode for entry in archive}
            authorities = archive.extractfile("ca.crt")
            assert authorities is not None
            assert authorities.read() == b"trusted"
    assert {"Containerfile", "programs.json", "sshd_config"} <= modes.keys()
    assert modes["entry"] == 0o755
    assert not any(name.startswith("__") for name in modes)


def test_ends_where_it_ends(tmp_path: Path) -> None:
    """Nothing follows the two empty blocks that end an archive: Podman does not read it, and may fail over it."""
    with context.spool({}, tmp_path) as file:
        size = len(file.read())
        file.seek(0)
        with tarfile.open(fileobj=file) as archive:
            last = archive.getmembers()[-1]
    assert size == last.offset_data + -(-last.size // 512) * 512 + 1024


def test_steps_are_in_the_containerfile() -> None:
    """Each step that progress has words for is really taken."""
    text = files("vibespace.image").joinpath("Containerfile").read_text()
    assert [sign for sign in STEPS if sign not in text] == []
