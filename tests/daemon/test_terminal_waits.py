"""Who waits for a program's own interface gets it as soon as it is there, however slowly he reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.app.house import create
from tests.app.talking import line, program_started
from tests.daemon.running import quiet
from tests.reconcile.site import Site, site
from vibespace.app import messages
from vibespace.app.blobs import Blobs
from vibespace.app.deltas import Deltas
from vibespace.app.writer import Command, Request, Transaction
from vibespace.daemon.conversations import ConversationServicer
from vibespace.domain.conversations import Conversation
from vibespace.errors import Unavailable
from vibespace.v1.conversations_pb2 import OpenTerminalResponse


@asynccontextmanager
async def asking(
    path: Path, *before: Command
) -> AsyncIterator[tuple[Site, list[str], AsyncIterator[OpenTerminalResponse]]]:
    """The house, what the terminal's command is going to be, and what who asks for it is told; `before` was recorded
    when he came.
    """
    async with site(path) as made, made.reconciling():
        await made.house.ask(create())
        await made.until(quiet)
        for command in before:
            await made.house.ask(command)
        words: list[str] = []
        deltas, blobs = Deltas(made.vault.pieces), Blobs(path / "blobs")
        servicer = ConversationServicer(made.feed, made.house.writer, deltas, blobs, lambda agent: words)
        want = partial(
            made.house.writer.run,
            partial(messages.want_terminal, vibespace="demo", agent="claude-1"),
            Request("user:1"),
        )
        async with asyncio.timeout(60):
            yield made, words, servicer._until_open(made.agent(), want)


async def test_what_opens_while_he_is_told_that_he_waits(tmp_path: Path) -> None:
    """Nothing else need happen for him to hear of it."""
    async with asking(tmp_path) as (made, words, opening):
        assert (await anext(opening)).waiting
        words.append("join")
        made.feed.hear(made.agent().uid, heard=True)
        assert list((await anext(opening)).command) == ["join"]


async def test_what_stood_there_has_ended_and_nobody_knew(tmp_path: Path) -> None:
    """As after a restart of its container: it is asked for once more, and another one that ends at once is told."""

    def change(transaction: Transaction, *, stands: bool) -> Conversation:
        draft = transaction.change(messages.current(transaction, transaction.state.agent("demo", "claude-1")))
        (draft.attach_terminal if stands else draft.detach_terminal)()
        return draft

    async with asking(tmp_path, partial(change, stands=True)) as (made, _, opening):
        assert (await anext(opening)).waiting
        waits = asyncio.ensure_future(anext(opening))
        await made.house.ask(partial(change, stands=False))
        await made.until(lambda feed: feed.state.conversations[made.agent().uid].wants_terminal)
        await made.house.ask(partial(change, stands=False))
        with pytest.raises(Unavailable, match="ended at once"):
            await waits


async def test_the_conversation_is_left_for_another_and_nobody_knew(tmp_path: Path) -> None:
    """As where a daemon that starts is asked before it has read so: it is asked for in the other."""

    def switch(transaction: Transaction) -> Conversation:
        agent = transaction.state.agent("demo", "claude-1")
        transaction.change(messages.current(transaction, agent)).switch()
        return messages.begin(transaction, agent, "another")

    async with asking(tmp_path) as (made, words, opening):
        assert (await anext(opening)).waiting
        waits = asyncio.ensure_future(anext(opening))
        await made.house.ask(switch)
        await made.until(lambda feed: feed.state.conversations[made.agent().uid].wants_terminal)
        words.append("join")
        made.feed.hear(made.agent().uid, heard=True)
        assert list((await waits).command) == ["join"]


async def test_who_waits_for_a_decision_is_told_so(tmp_path: Path) -> None:
    """It may be his own to make."""
    asks = partial(line, "demo", "claude-1", {"kind": "approval_asked", "request": "r", "tool": "Bash"})
    async with asking(tmp_path, program_started(), asks()) as (_, _, opening):
        assert "waits for a decision" in (await anext(opening)).waiting
