"""`list --watch`: what has changed, told once, whoever reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.daemon import Daemon, agent, watch
from tests.cli.daemon import vibespace as made
from tests.cli.process import on_terminal
from vibespace.state import AT_REST
from vibespace.v1 import vibespaces_pb2


@pytest.fixture(autouse=True)
def _story(daemon: Daemon) -> None:
    """Two are there, one stops, the other goes; the daemon dies, and the next one tells of all there is."""

    def tell(request: Any) -> Iterator[Any]:
        if request.after.position == 0:
            first = watch(made("one"), made("two"), agent("claude-1", "one"), position=1)
            first.snapshot = True
            yield first
            yield watch(made("one", vibespaces_pb2.VIBESPACE_STATE_STOPPED), position=2)
            yield watch("vibespaces/two/agents/claude-1", "vibespaces/two", position=3)
            raise ConnectionError
        again = watch(made("three"), position=5)
        again.snapshot = True
        yield again

    daemon.answers["EventService/Watch"] = tell


def test_a_line_for_each_change(vibespace: Run) -> None:
    """In a pipe: an object for what is new or other, and one for what is gone, also over a daemon's death."""
    done = vibespace("list", "--watch", "--json")
    told = [json.loads(line) for line in done.out.splitlines()]
    assert [(t["vibespace"]["vibespace_id"], t["vibespace"]["status"]["state"]) for t in told if "vibespace" in t] == [
        ("one", "running"),
        ("two", "running"),
        ("one", "stopped"),
        ("three", "running"),
    ]
    assert [t["deleted"] for t in told if "deleted" in t] == ["vibespaces/two", "vibespaces/one"]


def test_columns_and_names(vibespace: Run) -> None:
    """With --plain rows under one header, with --quiet names."""
    rows = [line.split("\t")[:2] for line in vibespace("list", "-w", "--plain", "--header").out.splitlines()]
    assert rows == [
        ["VIBESPACE", "STATE"],
        ["one", "running"],
        ["two", "running"],
        ["one", "stopped"],
        ["two", "deleted"],
        ["three", "running"],
        ["one", "deleted"],
    ]
    assert vibespace("list", "-w", "-q").out.split() == ["one", "two", "one", "two", "three", "one"]


def test_the_table_is_drawn_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal each table replaces the one before, and never has more lines than there are."""
    monkeypatch.setenv("LINES", "3")
    monkeypatch.setenv("NO_COLOR", "1")
    _, shown = on_terminal("list", "--watch")
    first, second, third, last = shown.split("\r\x1b[J")[1:]
    assert first.splitlines() == ["VIBESPACE  STATE    AGENTS", "… and 2 more", "\x1b[2A"]
    assert second.splitlines()[-1] == "\x1b[2A"
    assert third.splitlines()[1].split() == ["one", "stopped", "0/1"]
    assert last.splitlines()[1].split() == ["three", "running", "1"]


def test_what_is_used_is_not_watched(vibespace: Run, daemon: Daemon) -> None:
    """--usage beside --watch is refused, and nobody is asked."""
    done = vibespace("list", "--watch", "--usage")
    assert (done.code, done.json["error"]["reason"], daemon.requests) == (2, "USAGE_NOT_WATCHED", [])


@pytest.mark.parametrize("watcher", [("list", "--watch"), ("events", "--follow")], ids=" ".join)
def test_who_is_cut_off_at_rest_starts_nothing(
    vibespace: Run, daemon: Daemon, home: Path, watcher: tuple[str, ...]
) -> None:
    """A daemon that ended before it could tell everybody has left word of why: that is told, and it stays away."""

    def cut(_: Any) -> Iterator[Any]:
        (home / "daemon.sock").unlink()
        (home / "daemon.lock").write_text(f"1{AT_REST}\n")
        raise ConnectionError

    daemon.answers["EventService/Watch"] = daemon.answers["EventService/StreamEvents"] = cut
    done = vibespace(*watcher, "--json")
    assert (done.code, json.loads(done.out.splitlines()[-1])["error"]["reason"]) == (16, "AT_REST")
    assert not (home / "daemon.sock").exists()
