"""What agents are just saying, piece by piece, for those who watch. It is not kept: the log will have it whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from vibespace.app.vault import Pieces
from vibespace.domain.transcripts import Place

_LONGEST = 1 << 20
"""Characters of a block that are still told in pieces."""
_MOST = 20
"""Blocks of one agent, and characters of what a program calls one: all else is only told whole."""
_LONGEST_NAME = 1000


class Piece(NamedTuple):
    """The next of a block."""

    turn: str
    block: str
    """What the program calls it, also when it is whole."""
    offset: int
    """Characters of the block before it."""
    text: str


@dataclass(eq=False)
class _Open:
    """One is no other that has its name."""

    turn: str
    after: Place
    """The last before it that the log has, or will have."""
    pieces: Pieces
    shown: str = ""
    """Without secret values; no part of one is at its end."""


@dataclass
class _Saying:
    blocks: dict[str, _Open] = field(default_factory=dict)
    held: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class Deltas:
    """Of all agents. On the event loop."""

    def __init__(self, pieces: Callable[[], Pieces]) -> None:
        """`pieces` is asked once for each block."""
        self._pieces = pieces
        self._agents: dict[str, _Saying] = {}

    def add(self, agent_uid: str, turn: str, block: str, text: str, after: Place) -> None:
        """The agent says `text` next, in that block, which begins after that place."""
        saying = self._agents.setdefault(agent_uid, _Saying())
        if block not in saying.blocks and (len(saying.blocks) >= _MOST or len(turn + block) > _LONGEST_NAME):
            return
        said = saying.blocks.setdefault(block, _Open(turn, after, self._pieces()))
        if len(said.shown) > _LONGEST:
            return
        said.shown += said.pieces.feed(text)
        saying.wake()

    def is_saying(self, agent_uid: str) -> bool:
        """Whether it is amid a block."""
        saying = self._agents.get(agent_uid)
        return bool(saying and saying.blocks)

    def hold(self, agent_uid: str) -> None:
        """What comes now was said before: none of it is told before `show`, by when some may be whole."""
        self._agents.setdefault(agent_uid, _Saying()).held = True

    def show(self, agent_uid: str) -> None:
        """What is still open is being said."""
        if (saying := self._agents.get(agent_uid)) and saying.held:
            saying.held = False
            saying.wake()

    def wake(self, agent_uid: str) -> None:
        """Who follows it may be due more."""
        if saying := self._agents.get(agent_uid):
            saying.wake()

    def end(self, agent_uid: str, block: str) -> None:
        """The block is whole."""
        if saying := self._agents.get(agent_uid):
            saying.blocks.pop(block, None)

    def end_turn(self, agent_uid: str, turn: str) -> None:
        """What the agent was saying in that turn comes to no end."""
        if saying := self._agents.get(agent_uid):
            saying.blocks = {block: said for block, said in saying.blocks.items() if said.turn != turn}

    def forget(self, agent_uid: str) -> None:
        """Nobody drives that agent any more."""
        if saying := self._agents.pop(agent_uid, None):
            saying.blocks.clear()
            saying.wake()

    async def follow(self, agent_uid: str, is_due: Callable[[Place], bool]) -> AsyncIterator[Piece]:
        """What it is saying, each block from its beginning, once what it is said after `is_due`; for ever."""
        told: dict[_Open, int] = {}
        while True:
            saying = self._agents.setdefault(agent_uid, _Saying())
            told = {said: told.get(said, 0) for said in saying.blocks.values()}
            changed = saying.changed
            for block, said in list(saying.blocks.items()):
                offset = told[said]
                if not saying.held and is_due(said.after) and (text := said.shown[offset:]):
                    told[said] = len(said.shown)
                    yield Piece(said.turn, block, offset, text)
            if saying is self._agents.get(agent_uid) and changed is saying.changed:
                await changed.wait()
