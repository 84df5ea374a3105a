"""Repositories to clone from, and the servers that offer them."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from asyncio.subprocess import PIPE
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

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


class Private:
    """Repositories below `root` over HTTP by git's own http-backend, for whoever logs in as `login` (user:password)."""

    def __init__(self, root: Path, login: str) -> None:
        self.root = root
        self.login = login
        self.asked: list[str] = []
        """What each request said of who it is; empty where it said nothing."""
        self.arrived: Callable[[], object] = lambda: None
        """Called, before it is answered, with each request that may go on."""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Gives the URL that the repositories hang on."""
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        said = request.headers.get("Authorization", "")
        self.asked.append(said)
        if said != "Basic " + b64encode(self.login.encode()).decode():
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="private"'})
        self.arrived()
        cgi = {
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": request.path,
            "QUERY_STRING": request.query_string,
            "REQUEST_METHOD": request.method,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
            "HTTP_GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
            "REMOTE_USER": self.login.partition(":")[0],
            "REMOTE_ADDR": "127.0.0.1",
        }
        process = await asyncio.create_subprocess_exec(
            "git", "-c", "safe.directory=*", "http-backend", env=ENV | cgi, stdin=PIPE, stdout=PIPE
        )
        answer, _ = await process.communicate(await request.read())
        head, _, body = answer.partition(b"\r\n\r\n")
        headers = dict(line.decode().split(": ", 1) for line in head.split(b"\r\n"))
        return web.Response(status=int(headers.pop("Status", "200").split()[0]), headers=headers, body=body)
