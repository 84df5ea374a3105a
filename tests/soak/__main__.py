"""`python -m tests.soak [--minutes N]`: people use a daemon without a pause; what it holds must not grow.

Several live with their vibespaces at the same time, again and again. After each round, when nothing is left of it, the
daemon is looked at. It ends with a table, and with exit code 1 when memory, descriptors, tasks, threads or children
climb in the second half by more than tests/soak/flat.py allows.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from time import perf_counter

from tests import podman
from tests.bench import engine, place, processes
from tests.soak import counting, flat, lives
from vibespace.v1.system_pb2 import GetStatusRequest

CLIENTS = 4
LOOKS = 10
"""At a daemon at rest; the least of them counts, for something may just be under way."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="for how long (60)")
    parser.add_argument(
        "--engine",
        choices=("podman", "fake"),
        default="podman",
        help="what runs agents (podman); the fake, for a quick look, does all but cp",
    )
    arguments = parser.parse_args()
    samples = asyncio.run(soak(arguments.engine, arguments.minutes))
    print(flat.table(samples))
    for field, climb in flat.climbs(samples).items():
        print(f"{field}: {climb:+.2f} over the second half, at most {flat.BOUNDS[field]:+g}")
    failures = flat.failures(samples)
    print("\n".join(failures) or "flat")
    return int(bool(failures))


async def soak(brand: str, minutes: float) -> list[flat.Sample]:
    """A sample after each round, until the time is over."""
    samples, begin = [], perf_counter()
    async with _daemon(brand) as daemon:
        pid = (await daemon.system.GetStatus(GetStatusRequest())).daemon.pid
        for number in count(1):
            async with asyncio.TaskGroup() as tasks:
                for client in range(CLIENTS):
                    life = lives.live(daemon.state.home, f"soak-{client}", copies=brand != "fake")
                    tasks.create_task(life)
            now = (perf_counter() - begin) / 60
            samples.append(await _sample(daemon, pid, now, number * CLIENTS))
            print(samples[-1], file=sys.stderr)
            if now >= minutes:
                return samples
    raise AssertionError("count() does not end")


@asynccontextmanager
async def _daemon(brand: str) -> AsyncIterator[place.Daemon]:
    if brand == "fake":
        async with place.daemon(module=counting.__name__) as daemon:
            yield daemon
        return
    async with engine.shared() as found:
        log_id = ""
        try:
            async with place.daemon(found.host, found.image, module=counting.__name__) as daemon:
                log_id = (await daemon.system.GetStatus(GetStatusRequest())).cursor.log_id
                yield daemon
        finally:
            if log_id:  # without one it would take away what all others have
                await podman.purge(found.socket, log_id)


async def _sample(daemon: place.Daemon, pid: int, minutes: float, number: int) -> flat.Sample:
    looks = []
    for _ in range(LOOKS):
        await asyncio.sleep(counting.EVERY)
        tasks = int((daemon.state.home / "tasks").read_text())
        looks.append((tasks, processes.descriptors(pid), processes.threads(pid), processes.children(pid)))
    tasks, descriptors, threads, children = map(min, zip(*looks, strict=True))
    return flat.Sample(
        round(minutes, 2),
        number,
        processes.resident(pid),
        descriptors,
        tasks,
        threads,
        children,
        _size(daemon.state.home),
    )


def _size(directory: Path) -> float:
    """Megabytes of the files in it."""
    return sum(path.stat().st_size for path in directory.glob("**/*") if path.is_file()) / 1e6


if __name__ == "__main__":
    sys.exit(main())
