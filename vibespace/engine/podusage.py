"""What a container uses, as its control group says inside: no right beyond the namespace, no metrics server needed."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import aiohttp

from vibespace.engine import manifests
from vibespace.engine.base import Usage
from vibespace.engine.kubeapi import Api
from vibespace.errors import Error

SECONDS = 5.0

_SCRIPT = """\
cd /sys/fs/cgroup || exit
say() { for f in "$@"; do [ -r "$f" ] && read -r v < "$f" && echo "${v##* }" && return; done; echo none; }
say memory.current memory/memory.usage_in_bytes
say pids.current pids/pids.current
say cpu.stat
say cpuacct/cpuacct.usage cpu,cpuacct/cpuacct.usage
"""
"""Version 2 of control groups, then 1; the first line of cpu.stat has the microseconds. `read` starts no process."""

_STDOUT, _ERROR = 1, 3


async def usage(api: Api, pod: str) -> Usage | None:
    """Of the pod at that path; None where it cannot be asked now."""
    said = b""
    with suppress(Error, aiohttp.ClientError, TimeoutError):
        async with asyncio.timeout(SECONDS):
            command = ["/bin/sh", "-c", _SCRIPT]
            async with api.websocket(
                f"{pod}/exec", container=manifests.CONTAINER, command=command, stdout="true", stderr="true"
            ) as websocket:
                async for message in websocket:
                    if message.type is aiohttp.WSMsgType.BINARY and message.data[0] == _STDOUT:
                        said += message.data[1:]
                    elif message.type is aiohttp.WSMsgType.BINARY and message.data[0] == _ERROR:
                        break
    return read(said.decode(errors="replace"))


def read(said: str) -> Usage | None:
    """What the script said; None of anything else."""
    lines = said.split("\n")
    if len(lines) < 4:
        return None
    memory, processes, microseconds, nanoseconds = (int(line) if line.isdecimal() else None for line in lines[:4])
    cpu = microseconds / 1e6 if microseconds is not None else nanoseconds / 1e9 if nanoseconds is not None else None
    return Usage(memory, cpu, processes) if memory is not None or processes is not None else None
