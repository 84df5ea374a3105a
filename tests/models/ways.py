"""Ways from inside to what listens on this machine's loopback: by plain ssh, alike on all engines, and with no port
opened to anybody else.
"""

from __future__ import annotations

from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from tempfile import NamedTemporaryFile

READY = "ready"


@asynccontextmanager
async def way(agent: str, port: int) -> AsyncIterator[None]:
    """Until its container stops, `agent`, by its name for ssh, has the port of this machine's loopback on its own.

    Raises ConnectionError with what ssh says.
    """
    with NamedTemporaryFile() as settings:
        await (await create_subprocess_exec("vibespace", "ssh-config", stdout=settings)).wait()
        lead = ("-F", settings.name, "-o", "ExitOnForwardFailure=yes", "-R", f"{port}:127.0.0.1:{port}")
        there = f"echo {READY}; exec cat"  # which ends with its input, so when we are killed too
        ssh = await create_subprocess_exec("ssh", *lead, agent, there, stdin=PIPE, stdout=PIPE, stderr=PIPE)
        assert ssh.stdout is not None
        assert ssh.stderr is not None
        try:
            if (await ssh.stdout.readline()).decode().rstrip() != READY:
                raise ConnectionError((await ssh.stderr.read()).decode())
            yield
        finally:
            with suppress(ProcessLookupError):  # its container has stopped
                ssh.kill()
            await ssh.wait()
