"""An API server that says what a test wants it to say: for answers that a real one gives too seldom."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from vibespace.engine import cluster
from vibespace.engine.cluster import Cluster

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler, at: Path, token: str = "secret-token") -> AsyncIterator[Path]:
    """The kubeconfig by which it is reached."""
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)  # type: ignore[arg-type]
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        path = at / "kubeconfig"
        found = Cluster(f"http://127.0.0.1:{port}", "vibespace", account="vibespace")
        path.write_text(cluster.write(found, "", {"token": token}))
        yield path
    finally:
        await runner.cleanup()


def refusal(code: int, reason: str, message: str) -> web.Response:
    """As Kubernetes refuses."""
    body = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}
    return web.json_response(body, status=code)


def listed(version: str, *items: dict[str, Any], following: str = "") -> web.Response:
    """A page of a list."""
    return web.json_response({"metadata": {"resourceVersion": version, "continue": following}, "items": list(items)})


async def events(request: web.Request, *found: tuple[str, dict[str, Any]]) -> web.StreamResponse:
    """A watch that tells these and ends."""
    answer = web.StreamResponse()
    await answer.prepare(request)
    for kind, item in found:
        await answer.write(json.dumps({"type": kind, "object": item}).encode() + b"\n")
    return answer


def named(name: str, version: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": version}}
