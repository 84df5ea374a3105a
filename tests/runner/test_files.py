"""Files that a program is to find: what a person has there already is left as it is, as far as that can be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vibespace.runner import places
from vibespace.runner.files import put

OURS: dict[str, Any] = {"seen": True, "projects": {"/here": {"trusted": True}}, "keys": {"approved": ["new"]}}
KNOWN = ".known.json"


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in a home of its own."""
    monkeypatch.setattr(places, "USER", str(tmp_path))
    return tmp_path / KNOWN


def test_what_is_missing_is_added(known: Path) -> None:
    """What is there stays, of another kind too, and lists go on."""
    known.write_text('{"seen": false, "projects": {"/there": 1}, "keys": {"approved": ["old"]}, "own": NaN}')
    put({KNOWN: OURS, "new/text": "words"})
    assert json.loads(known.read_text().replace("NaN", "0")) == {
        "seen": False,
        "projects": {"/there": 1, "/here": {"trusted": True}},
        "keys": {"approved": ["old", "new"]},
        "own": 0,
    }
    assert (known.parent / "new/text").read_text() == "words"
    put({"other": OURS})
    assert json.loads((known.parent / "other").read_text()) == OURS


@pytest.mark.parametrize(
    "there",
    [
        b"",
        b"\xff\xfe{",
        b"{half",
        b"[]",
        b"[" * 100_000,
        json.dumps({**OURS, "own": 1}).encode(),
        b'{"seen":0,"projects":[],"keys":"none"}',
    ],
    ids=["empty", "no text", "no JSON", "no object", "too deep", "whole", "of other kinds"],
)
def test_what_lacks_nothing_is_not_written(known: Path, there: bytes) -> None:
    """Neither is what is none: whoever writes it at the same time loses nothing."""
    known.write_bytes(there)
    before = known.stat()
    put({KNOWN: OURS})
    put({"text": "words"})
    text = (known.parent / "text").stat()
    put({"text": "words"})
    assert known.read_bytes() == there
    for path, was in ((known, before), (known.parent / "text", text)):
        assert (path.stat().st_ino, path.stat().st_mtime_ns) == (was.st_ino, was.st_mtime_ns)


def test_it_stays_where_it_is_and_whose(known: Path) -> None:
    """A link leads to it as before, and who could not read it cannot."""
    kept = known.parent / "kept" / "known.json"
    kept.parent.mkdir()
    kept.write_text("{}")
    kept.chmod(0o600)
    known.symlink_to("kept/known.json")
    put({KNOWN: OURS})
    assert known.is_symlink()
    assert json.loads(kept.read_text()) == OURS
    assert kept.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in kept.parent.iterdir()] == ["known.json"]
