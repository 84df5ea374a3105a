"""One container of the agents' image, run as the engines run it, and ssh connections to it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncssh

from vibespace.engine.api import Api
from vibespace.engine.base import SSHD_PORT, USER_ID

_PORT = f"{SSHD_PORT}/tcp"


@dataclass
class Computer:
    """Where it is reached, and the keys of both sides."""

    id: str = ""
    port: int = 0
    host_key: asyncssh.SSHKey = field(default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519"))
    client_key: asyncssh.SSHKey = field(default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519"))

    @asynccontextmanager
    async def connect(self, **other: Any) -> AsyncIterator[asyncssh.SSHClientConnection]:
        """A connection of its own, which only accepts the host key that was put there."""
        pinned = asyncssh.import_known_hosts(f"[127.0.0.1]:{self.port} {_public(self.host_key)}")
        options = {"username": "agent", "client_keys": [self.client_key], "known_hosts": pinned, "config": [], **other}
        async with asyncssh.connect("127.0.0.1", self.port, agent_path=None, **options) as connection:
            yield connection

    async def run(self, command: str) -> str:
        """What a command that succeeds writes, both streams, without the last line end."""
        async with self.connect() as connection:
            done = await connection.run(f"exec 2>&1\n{command}", check=False)
            assert done.exit_status == 0, done.stdout
            return str(done.stdout).rstrip("\n")


async def start(api: Api, image: str, *volumes: str) -> Computer:
    """Create and start one, ready to be connected to. `volumes` are `name:path`."""
    computer = Computer()
    body = {
        "Image": image,
        "User": f"{USER_ID}:{USER_ID}",
        "ExposedPorts": {_PORT: {}},
        "HostConfig": {
            "Init": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "Sysctls": {"net.ipv4.ping_group_range": "0 2147483647"},
            "PortBindings": {_PORT: [{"HostIp": "127.0.0.1", "HostPort": ""}]},
            "Binds": list(volumes),
        },
    }
    computer.id = (await api.post("/containers/create", body))["Id"]
    try:
        await api.put(f"/containers/{computer.id}/archive", _keys(computer), path="/")
        await api.post(f"/containers/{computer.id}/start")
        found = await api.get(f"/containers/{computer.id}/json")
        computer.port = int(found["NetworkSettings"]["Ports"][_PORT][0]["HostPort"])
        await _answers(computer)
    except BaseException:
        await remove(api, computer)
        raise
    return computer


async def remove(api: Api, computer: Computer) -> None:
    """Away with it, and with the volumes only it had."""
    await api.delete(f"/containers/{computer.id}", force="true", v="true")


async def _answers(computer: Computer) -> None:
    """Until sshd listens, connections are refused or closed at once."""
    while True:
        try:
            async with computer.connect():
                return
        except (OSError, asyncssh.ConnectionLost):
            continue


def _keys(computer: Computer) -> bytes:
    """What an engine puts there before the start: root's, readable by the agent's group."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        files = {
            "ssh/host_key": computer.host_key.export_private_key(),
            "ssh/authorized_keys": _public(computer.client_key).encode(),
            "environment": b"export GIVEN='from outside'\n",
        }
        for name, content in files.items():
            entry = tarfile.TarInfo(f"etc/vibespace/{name}")
            entry.size, entry.gid, entry.mode = len(content), USER_ID, 0o440
            tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue()[: tar.offset]


def _public(key: asyncssh.SSHKey) -> str:
    return key.export_public_key().decode().strip()
