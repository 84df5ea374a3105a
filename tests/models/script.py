"""What a model says, written down before: a list of answers, one for each time that it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


class Gate:
    """Lets pieces of an answer through one by one, when the test says so."""

    def __init__(self) -> None:
        self._allowed = asyncio.Semaphore(0)
        self._arrived = asyncio.Semaphore(0)

    def allow(self, pieces: int = 1) -> None:
        """Let the next `pieces` through."""
        for _ in range(pieces):
            self._allowed.release()

    async def arrived(self) -> None:
        """Return when one more piece stands at the gate: all before it have been sent."""
        await self._arrived.acquire()

    async def passed(self) -> None:
        """Wait to be let through."""
        self._arrived.release()
        await self._allowed.acquire()


@dataclass(frozen=True)
class Call:
    """A tool that the model wants used."""

    tool: str
    input: Mapping[str, Any]


@dataclass(frozen=True)
class Turn:
    """An answer: texts, and the tools it asks for. Text is sent word by word."""

    parts: Sequence[str | Call]
    gate: Gate | None = None
    """Each word stops there."""
    cut: bool = False
    """The connection is dropped where the answer would have ended."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Such as those that tell how much may still be asked."""


@dataclass(frozen=True)
class Refusal:
    """An error instead of an answer."""

    status: int
    message: str = "as the script says"
    headers: Mapping[str, str] = field(default_factory=dict)
    """Such as `retry-after`."""


Script = Sequence[Turn | Refusal]


def say(*parts: str | Call) -> Turn:
    """The plain answer."""
    return Turn(parts)


def words(text: str) -> list[str]:
    """The pieces in which a text is sent; together they are the text."""
    return [word for word in text.replace(" ", " \0").split("\0") if word]
