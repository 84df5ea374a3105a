"""Which keys get attention, when, and how often."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from tests.reconcile.virtual import in_virtual_time
from vibespace.reconcile.queue import Queue


class Steps:
    """Steps that wait until they are told how they went."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self.queue = Queue(tasks, self.step)
        self.begun: list[str] = []
        self.times: list[float] = []
        self.running: dict[str, asyncio.Future[bool]] = {}
        self.most = 0
        self.news = asyncio.Event()

    async def step(self, key: str) -> bool:
        assert key not in self.running
        self.begun.append(key)
        self.news.set()
        self.times.append(asyncio.get_running_loop().time())
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.running[key] = future
        self.most = max(self.most, len(self.running))
        try:
            return await future
        finally:
            del self.running[key]

    async def until(self, count: int) -> None:
        """Return when that many steps have begun."""
        while len(self.begun) < count:
            self.news.clear()
            await self.news.wait()

    async def settle(self) -> None:
        """Let whatever can begin now begin."""
        for _ in range(10):
            await asyncio.sleep(0)


@in_virtual_time
async def test_a_second_look_comes_by_itself() -> None:
    """A key that nothing wakes is looked at again when its second look is due, once, and not before."""
    async with asyncio.TaskGroup() as tasks:
        steps = Steps(tasks)
        steps.queue.wake("a")
        await steps.until(1)
        for _ in range(2):
            steps.queue.later("a", 5.0)
        steps.running["a"].set_result(True)
        await steps.until(2)
        steps.running["a"].set_result(True)
        await asyncio.sleep(60)
        assert [round(time - steps.times[0]) for time in steps.times] == [0, 5]


@in_virtual_time
async def test_a_key_is_looked_at_by_one_at_a_time() -> None:
    """A key that is woken while it is looked at is looked at again afterwards, once, however often it was woken."""
    async with asyncio.TaskGroup() as tasks:
        steps = Steps(tasks)
        steps.queue.wake("a")
        await steps.until(1)
        for _ in range(3):
            steps.queue.wake("a")
        await steps.settle()
        assert steps.begun == ["a"]
        steps.running["a"].set_result(True)
        await steps.until(2)
        steps.running["a"].set_result(True)
        await steps.settle()
        assert steps.begun == ["a", "a"]


@in_virtual_time
async def test_keys_do_not_wait_for_each_other() -> None:
    """Different keys are looked at at the same time."""
    async with asyncio.TaskGroup() as tasks:
        steps = Steps(tasks)
        for key in "abc":
            steps.queue.wake(key)
        await steps.until(3)
        assert steps.most == 3
        for future in list(steps.running.values()):
            future.set_result(True)


async def fail(steps: Steps, times: int) -> list[float]:
    """Let 'a' fail that often; the pauses before each repetition, in seconds."""
    begun = len(steps.times)
    steps.queue.wake("a")
    for n in range(times):
        await steps.until(begun + n + 1)
        steps.running["a"].set_result(False)
    await steps.until(begun + times + 1)
    steps.running["a"].set_result(True)
    await steps.settle()
    after = steps.times[begun:]
    return [round(later - earlier, 1) for earlier, later in pairwise(after)]


@in_virtual_time
async def test_failures_are_repeated_at_once_then_ever_later() -> None:
    """The first repetition comes at once, then after 0.5 s, doubling, and never later than after a minute."""
    async with asyncio.TaskGroup() as tasks:
        pauses = await fail(Steps(tasks), 11)
        assert pauses == [0, 0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]


@in_virtual_time
async def test_old_failures_are_forgiven() -> None:
    """A failure two minutes after the last one counts as the first again; a sooner one goes on counting."""
    async with asyncio.TaskGroup() as tasks:
        steps = Steps(tasks)
        assert await fail(steps, 3) == [0, 0.5, 1]
        assert await fail(steps, 1) == [2]
        await asyncio.sleep(121)
        assert await fail(steps, 2) == [0, 0.5]


@in_virtual_time
async def test_news_do_not_shorten_a_pause_but_a_wish_does() -> None:
    """During a pause `wake` does nothing; `hurry` looks at once and forgets the failures."""
    async with asyncio.TaskGroup() as tasks:
        steps = Steps(tasks)
        await fail(steps, 6)
        steps.queue.wake("a")
        await steps.until(8)
        steps.running["a"].set_result(False)
        await steps.settle()
        steps.queue.wake("a")
        await steps.settle()
        assert len(steps.begun) == 8
        before = asyncio.get_running_loop().time()
        steps.queue.hurry("a")
        await steps.until(9)
        assert steps.times[-1] - before < 1
        steps.running["a"].set_result(False)
        await steps.until(10)
        assert steps.times[-1] - steps.times[-2] < 0.4
        steps.running["a"].set_result(True)


@in_virtual_time
async def test_a_defect_at_one_key_does_not_stop_the_others() -> None:
    """A step that raises counts as one that failed, and everything goes on."""
    async with asyncio.TaskGroup() as tasks:
        steps = Steps(tasks)
        steps.queue.wake("a")
        steps.queue.wake("b")
        await steps.until(2)
        steps.running["a"].set_exception(ZeroDivisionError())
        await steps.until(3)
        assert steps.begun == ["a", "b", "a"]
        steps.running["a"].set_result(True)
        steps.running["b"].set_result(True)


@in_virtual_time
async def test_a_closed_queue_wakes_nobody() -> None:
    """A pause that is not over when the queue is closed leads to nothing, also after its time."""
    async with asyncio.TaskGroup() as tasks:
        steps = Steps(tasks)
        await fail(steps, 5)
        steps.queue.wake("a")
        await steps.until(7)
        steps.running["a"].set_result(False)
        await steps.settle()
        steps.queue.close()
    await asyncio.sleep(3600)
    assert len(steps.begun) == 7


@in_virtual_time
async def test_failures_of_what_is_gone_are_forgotten() -> None:
    """Of keys that failed once and were never seen again, only those of the last two minutes are remembered."""
    async with asyncio.TaskGroup() as tasks:
        steps = Steps(tasks)
        for number in range(4):
            key = f"gone-{number}"
            steps.queue.wake(key)
            for looks, good in enumerate((False, True), 1):
                await steps.until(2 * number + looks)
                steps.running[key].set_result(good)
            await asyncio.sleep(61)
        assert list(steps.queue._failures) == ["gone-2", "gone-3"]
