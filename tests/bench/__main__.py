"""`python -m tests.bench [ROW…]`: what things take, each beside its floor.

A ratio that is missed is measured again, and missed in three runs of three it ends the bench with exit code 1.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.bench import (
    agents,
    calls,
    commands,
    copies,
    create,
    doors,
    durable,
    execs,
    idle,
    lines,
    long,
    many,
    report,
    watchers,
)
from tests.bench.pairing import Figure, failed

ROWS: dict[str, Callable[[], Awaitable[list[Figure]]]] = {
    "create": create.rows,
    "exec": execs.rows,
    "cp": copies.rows,
    "list": commands.rows,
    "calls": calls.rows,
    "durable": durable.rows,
    "watchers": watchers.rows,
    "long": long.rows,
    "many": many.rows,
    "idle": idle.rows,
    "agents": agents.rows,
    "doors": doors.rows,
    "lines": lines.rows,
}
RUNS = 3
README = Path(__file__).parents[2] / "README.md"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; without any, all of them")
    parser.add_argument("--readme", action="store_true", help="write the table into README.md")
    arguments = parser.parse_args()
    if unknown := set(arguments.rows) - set(ROWS):
        parser.error(f"there is no row {', '.join(sorted(unknown))}")
    found = asyncio.run(measure(arguments.rows or list(ROWS)))
    print(report.text(found))
    if arguments.readme:
        report.write(README, found)
    return int(failed(found))


async def measure(names: list[str]) -> list[Figure]:
    """All figures of these rows, in this order; each of the last run that met it."""
    found: dict[str, list[Figure]] = {}
    again = names
    for run in range(1, RUNS + 1):
        for name in again:
            print(f"{name}, run {run} …", file=sys.stderr)
            now = await ROWS[name]()
            before = found.get(name, now)
            found[name] = [old if new.missed and not old.missed else new for old, new in zip(before, now, strict=True)]
        again = [name for name in again if failed(found[name])]
    return [figure for name in names for figure in found[name]]


if __name__ == "__main__":
    sys.exit(main())
