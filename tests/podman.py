"""A private Podman that all tests share, with a small image; kept between runs, so both are made once.

The first run costs about 40 s (a Debian of 230 MB is unpacked); every later one starts Podman in 0.1 s. It lies in
VIBESPACE_TEST_CACHE, or ~/.cache/vibespace/engine; deleting that directory is harmless while no test runs.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import io
import os
import subprocess
import tarfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from vibespace.engine import bodies
from vibespace.engine.api import Api
from vibespace.errors import NotFound
from vibespace.setup import podman

PACKAGES = "openssh-server,python3"
CONTAINERFILE = """\
FROM localhost/vibespace-test-base
RUN useradd -p '*' -m -u 1000 -s /bin/bash agent \\
 && mkdir -p /vibespace /run/sshd /etc/vibespace/ssh && chown agent:agent /vibespace
USER 1000
ENTRYPOINT ["/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-p", "2222", "-h", "/etc/vibespace/ssh/host_key", \\
 "-o", "UsePAM=no", "-o", "PidFile=none", "-o", "StrictModes=no", \\
 "-o", "AuthorizedKeysFile=/etc/vibespace/ssh/authorized_keys"]
"""
IMAGE = f"localhost/vibespace-test:{hashlib.sha256((PACKAGES + CONTAINERFILE).encode()).hexdigest()[:12]}"
"""What an agent's image must have, and nothing else."""


def cache() -> Path:
    return Path(os.environ.get("VIBESPACE_TEST_CACHE") or "~/.cache/vibespace/engine").expanduser()


@pytest.fixture(scope="session")
def podman_socket() -> Iterator[str]:
    """The socket of the shared Podman, which has IMAGE; the last user stops it."""
    directory = cache()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(directory / "users", "w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        socket = str(podman.ensure(directory / "podman"))
        with open(directory / "image", "w") as building:
            fcntl.flock(building, fcntl.LOCK_EX)
            asyncio.run(_ensure_image(socket, directory))
        yield socket
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another run still works with it
        asyncio.run(purge(socket))  # a test that failed at work may have left something behind its own back
        podman.stop(directory / "podman")


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


async def _ensure_image(socket: str, directory: Path) -> None:
    api = Api(socket)
    try:
        await api.get(f"/images/{IMAGE}/json")
    except NotFound:
        root = directory / "base.tar"
        if not root.exists():
            unfinished = root.with_suffix(".new")
            command = ["mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", "--format=tar", "bookworm"]
            await asyncio.to_thread(subprocess.run, [*command, str(unfinished)], check=True, capture_output=True)
            unfinished.rename(root)
        base = {"fromSrc": "-", "repo": "localhost/vibespace-test-base", "tag": "latest"}
        await _drain(api.stream("POST", "/images/create", _pieces(root), **base))
        await _drain(api.stream("POST", "/build", _context(), t=IMAGE, dockerfile="Containerfile", rm=True))
    finally:
        await api.close()


async def _drain(lines: AsyncIterator[object]) -> None:
    async for _ in lines:
        pass  # only its end matters, and an error in it is raised


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            yield piece


def _context() -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("Containerfile")
        entry.size = len(CONTAINERFILE)
        tar.addfile(entry, io.BytesIO(CONTAINERFILE.encode()))
    return archive.getvalue()
