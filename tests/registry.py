"""A registry of images as the OCI distribution spec has it, as far as engines push and nodes pull: on loopback, for one
user, in a directory. There is none to have one from.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiohttp import web

from tests.places import Apart, entered

USER, PASSWORD = "pusher", "hunter2-registry"

_SECRET = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
_PORTS = 10

_VERSION = {"Docker-Distribution-API-Version": "registry/2.0"}
"""Without it Docker takes this for a registry of the first version."""


@dataclass
class Registry:
    """What is there."""

    host: str
    """What names of its images begin with."""
    at: Path
    manifests: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    """Digest and media type, by an image's name and its tag or digest."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of all that knew the password."""

    def auth_file(self) -> str:
        """What `podman login` writes."""
        return json.dumps({"auths": {self.host: {"auth": _SECRET}}})

    def blob(self, digest: str) -> Path:
        return self.at / digest.removeprefix("sha256:")


@contextmanager
def serving(at: Path, *networks: Apart) -> Iterator[Registry]:
    """One that answers at the same port of this machine and in `networks`, from a thread of its own."""
    sockets = _listen(networks)
    found = Registry(f"localhost:{sockets[0].getsockname()[1]}", at)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    runner = asyncio.run_coroutine_threadsafe(_serve(found, sockets), loop).result()
    try:
        yield found
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _listen(networks: Sequence[Apart]) -> list[socket.socket]:
    """A socket here, and one in each network; a port that is free here may be taken there."""
    for _ in range(_PORTS):
        made = [socket.create_server(("127.0.0.1", 0))]
        try:
            for network in networks:
                with entered(network):
                    made.append(socket.create_server(made[0].getsockname()))
        except OSError:
            for each in made:
                each.close()
        else:
            return made
    raise AssertionError(f"{_PORTS} ports were free here, and none of them there")


async def _serve(found: Registry, sockets: Sequence[socket.socket]) -> web.AppRunner:
    answers = _Answers(found)
    app = web.Application(middlewares=[answers.known], client_max_size=1 << 40)
    app.add_routes(
        [
            web.get("/v2/", answers.version),
            web.post("/v2/{name:.+}/blobs/uploads/", answers.begin),
            web.patch("/v2/{name:.+}/blobs/uploads/{upload}", answers.go_on),
            web.put("/v2/{name:.+}/blobs/uploads/{upload}", answers.end),
            web.get("/v2/{name:.+}/blobs/{digest}", answers.blob),
            web.put("/v2/{name:.+}/manifests/{reference}", answers.take_manifest),
            web.get("/v2/{name:.+}/manifests/{reference}", answers.manifest),
        ]
    )
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    for each in sockets:
        await web.SockSite(runner, each).start()
    return runner


class _Answers:
    """To each request."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._uploads: dict[str, Any] = {}
        """How far the digest of each is."""

    @web.middleware
    async def known(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Basic {_SECRET}":
            headers = {"WWW-Authenticate": 'Basic realm="tests"', **_VERSION}
            return _refusal(401, "UNAUTHORIZED", "authentication required", headers)
        self._registry.requests.append((request.method, request.path))
        answer: web.StreamResponse = await handler(request)
        return answer

    async def version(self, _: web.Request) -> web.Response:
        return web.json_response({}, headers=_VERSION)

    async def begin(self, request: web.Request) -> web.Response:
        upload = uuid4().hex
        self._uploads[upload] = hashlib.sha256()
        return self._accepted(request, upload)

    async def go_on(self, request: web.Request) -> web.Response:
        upload = request.match_info["upload"]
        await self._append(request, upload)
        return self._accepted(request, upload)

    async def end(self, request: web.Request) -> web.Response:
        upload, digest = request.match_info["upload"], request.query["digest"]
        await self._append(request, upload)
        found = f"sha256:{self._uploads.pop(upload).hexdigest()}"
        if found != digest:
            return _refusal(400, "DIGEST_INVALID", f"{found} came, and {digest} was said")
        (self._registry.at / upload).rename(self._registry.blob(digest))
        return web.Response(status=201, headers={"Location": f"/v2/blobs/{digest}", "Docker-Content-Digest": digest})

    async def blob(self, request: web.Request) -> web.StreamResponse:
        digest = request.match_info["digest"]
        path = self._registry.blob(digest)
        if not path.exists():
            return _refusal(404, "BLOB_UNKNOWN", digest)
        return web.FileResponse(path, headers={"Docker-Content-Digest": digest})

    async def take_manifest(self, request: web.Request) -> web.Response:
        name, reference, content = request.match_info["name"], request.match_info["reference"], await request.read()
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self._registry.blob(digest).write_bytes(content)
        for each in (reference, digest):
            self._registry.manifests[name, each] = digest, request.headers["Content-Type"]
        headers = {"Location": f"/v2/{name}/manifests/{digest}", "Docker-Content-Digest": digest}
        return web.Response(status=201, headers=headers)

    async def manifest(self, request: web.Request) -> web.Response:
        wanted = request.match_info["name"], request.match_info["reference"]
        if wanted not in self._registry.manifests:
            return _refusal(404, "MANIFEST_UNKNOWN", ":".join(wanted))
        digest, media_type = self._registry.manifests[wanted]
        headers = {"Content-Type": media_type, "Docker-Content-Digest": digest}
        return web.Response(body=self._registry.blob(digest).read_bytes(), headers=headers)

    async def _append(self, request: web.Request, upload: str) -> None:
        with (self._registry.at / upload).open("ab") as file:
            async for piece in request.content.iter_any():
                self._uploads[upload].update(piece)
                file.write(piece)

    def _accepted(self, request: web.Request, upload: str) -> web.Response:
        path = self._registry.at / upload
        size = path.stat().st_size if path.exists() else 0
        location = f"/v2/{request.match_info['name']}/blobs/uploads/{upload}"
        headers = {"Location": location, "Range": f"0-{max(size - 1, 0)}", "Docker-Upload-UUID": upload}
        return web.Response(status=202, headers=headers)


def _refusal(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"errors": [{"code": code, "message": message}]}, status=status, headers=headers)
