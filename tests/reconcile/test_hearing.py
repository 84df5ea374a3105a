"""What is heard of an agent's program, whatever its journal holds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.app.house import House, create
from tests.reconcile.journal import hear, hearing, record, tools
from vibespace.reconcile.tools import Tools


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    opened = House(tmp_path / "events.db")
    await opened.open()
    await opened.ask(create())
    yield opened
    await opened.close()


@pytest.fixture
def with_tools(house: House, tmp_path: Path) -> Tools:
    return tools(house, tmp_path)


async def test_what_was_given_to_the_program_may_be_any_bytes(house: House, with_tools: Tools) -> None:
    """The journal is theirs who rule inside: what follows is heard all the same."""
    heard = hearing(house, with_tools)
    await hear(heard, record("start", 1), record("input", 2, b"\xff-greet-0\n{}\n"), record("input", 3, b"1-open-0\n"))
    assert "1-open-0" in heard.live.written
