"""Who waits for a program's own interface gets it as soon as it is there, however slowly he reads."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from tests.app.house import create
from tests.daemon.running import quiet
from tests.reconcile.site import site
from vibespace.app import messages
from vibespace.app.blobs import Blobs
from vibespace.app.deltas import Deltas
from vibespace.daemon.conversations import ConversationServicer


async def test_what_opens_while_he_is_told_that_he_waits(tmp_path: Path) -> None:
    """Nothing else need happen for him to hear of it."""
    async with site(tmp_path) as made, made.reconciling():
        await made.house.ask(create())
        await made.until(quiet)
        await made.house.ask(partial(messages.want_terminal, vibespace="demo", agent="claude-1"))
        command: list[str] = []
        deltas, blobs = Deltas(made.vault.pieces), Blobs(tmp_path / "blobs")
        servicer = ConversationServicer(made.feed, made.house.writer, deltas, blobs, lambda agent: command)
        opening = servicer._until_open("demo", "claude-1")
        assert (await anext(opening)).waiting
        command.append("join")
        made.feed.hear(made.agent().uid, heard=True)
        async with asyncio.timeout(60):
            assert list((await anext(opening)).command) == ["join"]
