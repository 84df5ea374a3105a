"""One computer for the whole session (0.5 s): its tests read it, or work in folders of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import pytest

from tests.image.computer import Computer, remove, start
from tests.image.engine import agent_image
from tests.podman import podman_socket
from vibespace.engine.api import Api

__all__ = ["agent_image", "podman_socket"]

T = TypeVar("T")


@pytest.fixture(scope="session")
def computer(podman_socket: str, agent_image: str) -> Iterator[Computer]:
    found = asyncio.run(_with(podman_socket, lambda api: start(api, agent_image)))
    yield found
    asyncio.run(_with(podman_socket, lambda api: remove(api, found)))


async def _with(socket: str, work: Callable[[Api], Awaitable[T]]) -> T:
    api = Api(socket)
    try:
        return await work(api)
    finally:
        await api.close()
