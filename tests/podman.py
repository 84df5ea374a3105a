"""A private Podman that all tests share, kept between runs with what they built there.

It starts in 0.1 s, and lies in VIBESPACE_TEST_CACHE, or ~/.cache/vibespace/engine; deleting that directory is harmless
while no test runs.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from vibespace.engine import bodies
from vibespace.engine.api import Api
from vibespace.errors import NotFound
from vibespace.setup import firewall, podman


def cache() -> Path:
    return Path(os.environ.get("VIBESPACE_TEST_CACHE") or "~/.cache/vibespace/engine").expanduser()


@pytest.fixture(scope="session")
def podman_socket() -> Iterator[str]:
    """The socket of the shared Podman; the last user stops it."""
    directory = cache()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(directory / "users", "w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        socket = str(podman.ensure(directory / "podman"))
        yield socket
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another run still works with it
        asyncio.run(purge(socket))  # a test that failed at work may have left something behind its own back
        podman.stop(directory / "podman")
        if os.geteuid() == 0:
            firewall.remove_unless_used()  # of an installation that is purged nobody takes back what it had there


async def purge(socket: str, log_id: str = "") -> None:
    """Take away all that carries this log_id, or any: what a test made, however it ended."""
    api = Api(socket)
    mine = {"label": [f"{bodies.LOG}={log_id}" if log_id else bodies.LOG]}
    try:
        for container in await api.get("/containers/json", all=True, filters=mine):
            await _gone(api, f"/containers/{container['Id']}", force=True)
        for network in await api.get("/networks", filters=mine):
            await _gone(api, f"/networks/{network['Name']}")
        for volume in (await api.get("/volumes", filters=mine))["Volumes"] or ():
            await _gone(api, f"/volumes/{volume['Name']}")
    finally:
        await api.close()


async def _gone(api: Api, path: str, **query: object) -> None:
    try:
        await api.delete(path, **query)
    except NotFound:
        return  # two tests' endings met
