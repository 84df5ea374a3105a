"""A large file to a new name in a running container, and out of it: `vibespace cp` against `scp` to the same sshd."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter

from tests.bench import engine, place
from tests.bench.commands import PROGRAM
from tests.bench.pairing import Figure, Wanted, in_turns, paired
from vibespace.net.keys import KeyFiles

NAME = "vibespaces/demo/agents/claude-1"
BYTES = 1 << 30
PAIRS = 3
WANTED = Wanted(0.5, at_least=True)


async def rows() -> list[Figure]:
    async with engine.shared() as found, place.daemon(found.host, found.image) as daemon:
        await daemon.create("demo")
        await daemon.running("demo")
        try:
            with place.directory() as here:
                return await _both(daemon, found, here)
        finally:
            await daemon.delete("demo")


async def _both(daemon: place.Daemon, found: engine.Engine, here: Path) -> list[Figure]:
    big = here / "big"
    with big.open("wb") as file:
        for _ in range(BYTES >> 20):
            file.write(os.urandom(1 << 20))
    scp = await _scp(daemon, found, here)
    source, inside, outside = "/tmp/big", "/tmp/copy", here / "copy"
    begin = [PROGRAM, "cp", str(big), f"claude-1@demo:{source}"]
    absent_in, absent_out = [PROGRAM, "exec", "claude-1@demo", "--", "rm", "-f", inside], ["rm", "-f", str(outside)]
    await _run(begin, daemon)
    cp_in = _rate([PROGRAM, "cp", str(big), f"claude-1@demo:{inside}"], absent_in, daemon)
    scp_in = _rate([*scp, str(big), f"agent@127.0.0.1:{inside}"], absent_in, daemon)
    cp_out = _rate([PROGRAM, "cp", f"claude-1@demo:{source}", str(outside)], absent_out, daemon)
    scp_out = _rate([*scp, f"agent@127.0.0.1:{source}", str(outside)], absent_out, daemon)
    return [
        paired("cp, a file in", WANTED, await in_turns(cp_in, scp_in, PAIRS), "MB/s"),
        paired("cp, a file out", WANTED, await in_turns(cp_out, scp_out, PAIRS), "MB/s"),
    ]


async def _scp(daemon: place.Daemon, found: engine.Engine, here: Path) -> list[str]:
    """The command line of an scp to that container, host key and all."""
    uid, keys = await daemon.agent_uid(NAME), KeyFiles(daemon.state.keys)
    async with engine.bare(found) as bare:
        port = await bare.port(uid)
    (here / "key").touch(mode=0o600)
    (here / "key").write_bytes(keys.client_key())
    (here / "known").write_text(f"[127.0.0.1]:{port} {keys.host_key(uid)}\n")
    options = [
        "IdentitiesOnly=yes",
        f"UserKnownHostsFile={here / 'known'}",
        "StrictHostKeyChecking=yes",
        "BatchMode=yes",
    ]
    given = [word for option in options for word in ("-o", option)]
    return ["scp", "-q", "-F", "none", "-P", str(port), "-i", str(here / "key"), *given]


def _rate(command: list[str], absent: list[str], daemon: place.Daemon) -> Callable[[], Awaitable[float]]:
    """Runs it; megabytes a second. `absent` goes before: scp writes into a file that is there, ours never does."""

    async def run() -> float:
        await _run(absent, daemon)
        begin = perf_counter()
        await _run(command, daemon)
        return BYTES / 1e6 / (perf_counter() - begin)

    return run


async def _run(command: list[str], daemon: place.Daemon) -> None:
    environment = {**os.environ, "VIBESPACE_HOME": str(daemon.state.home)}
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdin=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0, command
