"""The agents' image in the Podman that tests share. Made once, in two minutes: what is tested is what people get."""

from __future__ import annotations

import asyncio
import fcntl
import os
import subprocess
from pathlib import Path

import pytest

from tests.podman import cache
from vibespace.engine.api import Api
from vibespace.setup import image


def base() -> str:
    """The base to build on: VIBESPACE_TEST_BASE, or a tar of our own making beside the shared Podman."""
    return os.environ.get("VIBESPACE_TEST_BASE") or str(cache() / "agent-base.tar")


def downloads() -> Path:
    """Where the programs' archives are kept between runs."""
    return cache() / "downloads"


@pytest.fixture(scope="session")
def agent_image(podman_socket: str) -> str:
    """The id of the agents' image."""
    with open(cache() / "agent-image", "w") as building:  # two runs at once would build it twice
        fcntl.flock(building, fcntl.LOCK_EX)
        if "VIBESPACE_TEST_BASE" not in os.environ:
            subprocess.run([Path(__file__).parents[2] / "tools/base-tar", base()], check=True)
        return asyncio.run(_ensure(podman_socket))


async def _ensure(socket: str) -> str:
    api = Api(socket)
    try:
        return await image.ensure(api, base(), print, cache=downloads())
    finally:
        await api.close()
