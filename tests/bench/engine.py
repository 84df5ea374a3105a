"""Real containers: the Podman that tests share, with the agents' image, and a container made without us."""

from __future__ import annotations

import asyncio
import fcntl
import json
import secrets
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import asyncssh

from tests.image import engine as tests_image
from tests.podman import cache, purge
from vibespace.engine import bodies, containers, files
from vibespace.engine.api import Api
from vibespace.engine.base import AgentSpec
from vibespace.setup import image, podman
from vibespace.v1.system_pb2 import HostEngine

_LOG_ID = "bench-floor"
"""In the label of what is made without a daemon."""


@dataclass(frozen=True)
class Engine:
    socket: str
    image: str

    @property
    def host(self) -> HostEngine:
        """As a daemon is told of it."""
        return HostEngine(brand="podman", version="4", address=self.socket)


@asynccontextmanager
async def shared() -> AsyncIterator[Engine]:
    """The tests' Podman with the agents' image; it does not end as long as the block runs."""
    with _podman() as socket:
        with _locked(cache() / "agent-image"):
            found = await _image(socket)
        yield Engine(socket, found)


@contextmanager
def _podman() -> Iterator[str]:
    """Its socket; the last user ends it."""
    cache().mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(cache() / "users", "w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        yield str(podman.ensure(cache() / "podman"))
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another run still works with it
        podman.stop(cache() / "podman")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


async def _image(socket: str) -> str:
    api = Api(socket)
    try:
        return await image.ensure(api, tests_image.base(), print, cache=tests_image.downloads())
    finally:
        await api.close()


class Bare:
    """The engine's API with nothing around it, and the container that a daemon would make for a new vibespace."""

    def __init__(self, session: aiohttp.ClientSession, image: str) -> None:
        self._session = session
        self._image = image
        self._ulimits = containers._ulimits()
        self._numbers = count(secrets.randbelow(1 << 14))

    async def call(self, method: str, path: str, **request: Any) -> Any:
        async with self._session.request(method, f"/v1.41{path}", **request) as response:
            text = await response.text()
            assert response.status < 400, f"{method} {path}: {text}"
            return json.loads(text) if text else None

    async def make(self) -> AgentSpec:
        """Network, volumes, container, keys: started."""
        uid = str(uuid.uuid4())
        spec = self._spec(uid, uid, "claude-1")
        await self.call("POST", "/networks/create", json=bodies.network(_LOG_ID, uid, "floor", self._subnet()))
        await self._volume(spec, bodies.shared_volume(uid))
        await self._begin(spec)
        return spec

    async def join(self, first: AgentSpec) -> AgentSpec:
        """One more container on the network and the files of `first`, with a home of its own: started."""
        spec = self._spec(str(uuid.uuid4()), first.vibespace_uid, "claude-2")
        await self._begin(spec)
        return spec

    def _spec(self, uid: str, vibespace_uid: str, agent: str) -> AgentSpec:
        key = asyncssh.generate_private_key("ssh-ed25519")
        return AgentSpec(
            agent_uid=uid,
            agent=agent,
            vibespace_uid=vibespace_uid,
            vibespace="floor",
            data_uid=vibespace_uid,
            image=self._image,
            host_key=key.export_private_key(),
            authorized_key=key.export_public_key().decode(),  # one pair for both ends: less to make
        )

    async def _volume(self, spec: AgentSpec, name: str) -> None:
        body = bodies.volume(_LOG_ID, spec.data_uid, name, "floor")
        await self.call("POST", "/volumes/create", json=body)

    async def _begin(self, spec: AgentSpec) -> None:
        await self._volume(spec, bodies.home_volume(spec.data_uid, spec.agent))
        while not await self._started(spec):
            await self.call("DELETE", f"/containers/{bodies.container_name(spec.agent_uid)}", params={"force": "true"})

    async def _started(self, spec: AgentSpec) -> bool:
        """Not where the port that the engine chose when it was made is somebody else's by now."""
        name = bodies.container_name(spec.agent_uid)
        body = bodies.container(_LOG_ID, spec, self._ulimits)
        await self.call("POST", "/containers/create", params={"name": name}, json=body)
        tar = {"Content-Type": "application/x-tar"}
        archive = files.archive(spec)
        await self.call("PUT", f"/containers/{name}/archive", params={"path": "/"}, data=archive, headers=tar)
        async with self._session.post(f"/v1.41/containers/{name}/start") as response:
            text = await response.text()
            assert response.status < 400 or "address already in use" in text, text
            return response.status < 400

    async def port(self, agent_uid: str) -> int:
        """Where the container's sshd is reached."""
        found = await self.call("GET", f"/containers/{bodies.container_name(agent_uid)}/json")
        return int(found["NetworkSettings"]["Ports"][bodies.SSH_PORT][0]["HostPort"])

    async def remove(self, spec: AgentSpec) -> None:
        await self.leave(spec)
        await self.call("DELETE", f"/networks/{bodies.network_name(spec.vibespace_uid)}")
        await self.call("DELETE", f"/volumes/{bodies.shared_volume(spec.data_uid)}")

    async def leave(self, spec: AgentSpec) -> None:
        """Remove one that has joined."""
        await self.call("DELETE", f"/containers/{bodies.container_name(spec.agent_uid)}", params={"force": "true"})
        await self.call("DELETE", f"/volumes/{bodies.home_volume(spec.data_uid, spec.agent)}")

    def _subnet(self) -> str:
        """One that no container of ours had: of what hashes find, two in a hundred turns are the same."""
        number = next(self._numbers)
        return f"10.{192 + number // 256 % 64}.{number % 256}.0/24"  # above those of `bodies.subnets`


@asynccontextmanager
async def bare(engine: Engine) -> AsyncIterator[Bare]:
    connector = aiohttp.UnixConnector(engine.socket)
    async with aiohttp.ClientSession("http://engine", connector=connector) as session:
        try:
            yield Bare(session, engine.image)
        finally:
            await purge(engine.socket, _LOG_ID)  # what a floor that failed had made


async def ssh(port: int, host_key: str | bytes, client_key: bytes) -> asyncssh.SSHClientConnection:
    """Logged in to the sshd at `port`, which may still be starting."""
    while True:
        try:
            return await asyncssh.connect(
                "127.0.0.1",
                port,
                username="agent",
                client_keys=[asyncssh.import_private_key(client_key)],
                known_hosts=([asyncssh.import_public_key(host_key)], [], []),
                config=None,
                agent_path=None,
            )
        except (OSError, asyncssh.ConnectionLost):
            await asyncio.sleep(0.005)
