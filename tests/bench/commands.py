"""Whole processes: a command of ours from its start to its end, against the least that asks the daemon the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter

from tests.bench import place
from tests.bench.pairing import Figure, Wanted, in_turns, paired

PROGRAM = str(Path(sys.executable).parent / "vibespace")
TURNS = 25
BARE_LIST = """
import sys, click, grpc
channel = grpc.insecure_channel(sys.argv[1])
channel.unary_unary("/vibespace.v1.VibespaceService/ListVibespaces")(b"")
"""


async def rows() -> list[Figure]:
    async with place.daemon() as daemon:
        await daemon.create("demo")
        await daemon.running("demo")
        figure = await process_figure("list, whole process", Wanted(1.2), daemon, ["list"], [BARE_LIST])
    return [figure]


async def process_figure(what: str, wanted: Wanted, daemon: place.Daemon, ours: list[str], floor: list[str]) -> Figure:
    """`vibespace OURS…` beside `python -c FLOOR…`, which gets the daemon's address before its other arguments."""
    code, *arguments = floor
    bare = [sys.executable, "-c", code, f"unix:{daemon.state.socket}", *arguments]

    environment = {**os.environ, "VIBESPACE_HOME": str(daemon.state.home)}

    async def program() -> float:
        return _milliseconds([PROGRAM, *ours], environment)

    async def least() -> float:
        return _milliseconds(bare, environment)

    return paired(what, wanted, await in_turns(program, least, TURNS), "ms")


def _milliseconds(command: Sequence[str], environment: Mapping[str, str]) -> float:
    begin = perf_counter()
    subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    return (perf_counter() - begin) * 1e3
