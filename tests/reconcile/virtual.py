"""Time that passes when nobody has anything else to do: a pause of a minute costs a tenth of a second."""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any, TypeVar, TypeVarTuple
from unittest.mock import patch

from vibespace.app.writer import Command, Outcome, Request, Writer

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class _Selector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.skipped = 0.0
        self.jobs = 0
        """Of threads, whose end wakes the loop: no time passes for them."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        if self.jobs:
            return super().select(None)
        patience = min(timeout, 0.1)  # for what comes over a socket, and threads that nobody counts
        if not (events := super().select(patience)):
            self.skipped += timeout - patience
        return events


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return super().time() + self._virtual.skipped

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """For a thread that will wake the loop."""
        self._virtual.jobs += 1
        try:
            yield
        finally:
            self._virtual.jobs -= 1

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        future = super().run_in_executor(executor, func, *args)
        self._virtual.jobs += 1
        future.add_done_callback(self._done)
        return future

    def _done(self, _: object) -> None:
        self._virtual.jobs -= 1


_run = Writer.run


async def _counted(self: Writer, command: Command, request: Request) -> Outcome:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, _Loop)
    with loop.waiting():
        return await _run(self, command, request)


def in_virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an asynchronous test on a loop whose clock jumps to the next timer."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        with patch.object(Writer, "run", _counted), asyncio.Runner(loop_factory=_Loop) as runner:
            runner.run(test(*args, **kwargs))

    return run
