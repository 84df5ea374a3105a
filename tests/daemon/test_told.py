"""The history of an agent that talks, on a person's terminal."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from tests.cli.process import on_terminal
from tests.daemon.echoing import Talk, echoing, prepare
from vibespace.engine.fake_world import World


async def test_its_history_is_a_table(home: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 80 columns an event takes two lines, a line of the program of 40 000 bytes too, and none moves a cursor; each
    names the agent that it is about, and says how what was said begins.
    """
    async with echoing(home, world) as running:
        await prepare(running)
        await Talk(running.channel).ask("say before \x1b[2J\u202eafter\nlong 40000\nsay the end")
        monkeypatch.setenv("VIBESPACE_HOME", str(home))
        monkeypatch.setenv("COLUMNS", "80")
        code, seen = await asyncio.to_thread(on_terminal, "events", "--vibespace", "demo")
        events = running.feed.state.position
    lines = re.sub(r"\x1b\[\d+m", "", seen).splitlines()
    assert code == 0
    assert all(len(line) <= 80 for line in lines)
    assert len(lines) <= 2 * events
    assert [c for c in "\x1b\u202e" if c in "".join(lines)] == []
    of_vibespace, *rows = [line for line in lines if re.match(r"\d+ ", line)]
    assert "vibespace.created" in of_vibespace
    assert [row for row in rows if "claude-1@demo" not in row] == []
    assert "          text: the end" in lines
