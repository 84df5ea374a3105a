"""A shell inside which a program answers whatever the test wants, true or not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from vibespace.net.base import Exit, Output, Process, Shell, Stream, Terminal

HONEST: dict[str, Any] = {"reached": [], "loopback": [], "opened": [], "powers": {}}
Answer = Callable[[str, Any], bytes | None]
"""By the uid of an agent and what it was asked; None where it hangs."""


class Answering(Shell):
    """Every command ends well, with an `answer` on its standard output once its standard input has ended."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def start(
        self, agent_uid: str, command: Sequence[str], *, directory: str = "", terminal: Terminal | None = None
    ) -> Process:
        return _Answering(lambda asked: self._answer(agent_uid, json.loads(asked)))

    async def dial(self, agent_uid: str, port: int) -> Stream:
        raise AssertionError("nobody dials")

    async def forget(self, agent_uid: str) -> None:
        """Nothing is kept."""

    async def close(self) -> None:
        """Nothing is kept."""


class _Answering(Process):
    def __init__(self, answer: Callable[[bytes], bytes | None]) -> None:
        self._answer = answer
        self._asked = b""
        self._ended = asyncio.Event()
        self._hangs = False

    async def write(self, data: bytes) -> None:
        self._asked += data

    async def write_eof(self) -> None:
        self._ended.set()

    def signal(self, name: str) -> None:
        raise AssertionError("nobody signals")

    def resize(self, columns: int, rows: int) -> None:
        raise AssertionError("it is no terminal")

    async def output(self) -> AsyncIterator[Output]:
        await self._ended.wait()
        answer = self._answer(self._asked)
        self._hangs = answer is None
        if answer is None:
            await asyncio.Event().wait()
        else:
            yield Output(answer)

    async def wait(self) -> Exit:
        return Exit(0)

    async def close(self) -> None:
        """One that hangs cannot be ended either."""
        if self._hangs:
            await asyncio.Event().wait()
