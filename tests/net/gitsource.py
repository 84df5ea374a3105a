"""Repositories to clone from, and the servers that offer them."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

# No settings of whoever runs the tests.
ENV = os.environ | {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}


class Source:
    """A repository on this machine."""

    def __init__(self, path: Path, *options: str) -> None:
        self.path = path
        subprocess.run(["git", "init", "-q", "-b", "main", *options, "--", str(path)], env=ENV, check=True)

    def git(self, *words: str) -> str:
        """What git says there."""
        ran = subprocess.run(["git", "-C", str(self.path), *words], env=ENV, check=True, capture_output=True)
        return ran.stdout.decode().strip()

    def commit(self, name: str = "file", content: str = "content") -> str:
        """Add a file; returns the commit."""
        (self.path / name).write_text(content)
        self.git("add", "--all")
        self.git("commit", "-q", "-m", f"Add {name}")
        return self.git("rev-parse", "HEAD")

    def bundle(self) -> bytes:
        """All of it, as the client sends it."""
        words = ["git", "-C", str(self.path), "bundle", "create", "-q", "-", "--branches", "--tags", "HEAD"]
        return subprocess.run(words, env=ENV, check=True, capture_output=True).stdout

    def refs(self, pattern: str) -> str:
        """Its references below `pattern`, with what they stand for."""
        return self.git("for-each-ref", "--format=%(refname) %(objectname)", pattern)


async def pieces(data: bytes, size: int = 10_000) -> AsyncIterator[bytes]:
    """`data` as it comes from a client."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


@asynccontextmanager
async def serving(root: Path) -> AsyncIterator[str]:
    """A git daemon over all repositories below `root`; gives the URL that they hang on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["--export-all", f"--base-path={root}", "--listen=127.0.0.1", f"--port={port}", "--verbose", str(root)]
    process = await asyncio.create_subprocess_exec(
        "git", "-c", "safe.directory=*", "daemon", *words, env=ENV, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr
    while b"Ready" not in await process.stderr.readline():
        assert process.returncode is None
    try:
        yield f"git://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.stderr.read()
        await process.wait()


@asynccontextmanager
async def answering(response: bytes) -> AsyncIterator[str]:
    """A server that answers each request so and hangs up; gives its URL."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
