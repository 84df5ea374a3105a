"""The reserve: room that is held, given back, and held again only when there is more than it gave."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from vibespace.app.reserve import SIZE, Reserve


def test_it_is_held_and_given_back(tmp_path: Path) -> None:
    """It takes real room on the disk, and none when it was given back."""
    held = Reserve(tmp_path / "reserve")
    assert held.hold()
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= SIZE
    held.give_back()
    assert not (tmp_path / "reserve").exists()


def test_room_that_was_given_back_is_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is held again only when so much is free that something is left beside it."""
    held = Reserve(tmp_path / "reserve")
    held.give_back()
    free = SIZE
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=free, f_frsize=1))
    assert not held.has_room()
    free = 2 * SIZE
    assert held.has_room()
    assert (tmp_path / "reserve").exists()


def test_where_none_can_be_held_nothing_is_refused(tmp_path: Path) -> None:
    """Something else of that name is in nobody's way, and stays."""
    os.mkdir(tmp_path / "reserve")
    assert Reserve(tmp_path / "reserve").hold()
    assert (tmp_path / "reserve").is_dir()
