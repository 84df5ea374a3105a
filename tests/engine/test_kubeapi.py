"""What goes wrong between us and a cluster, as errors of ours; no secret is in one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.engine.apiserver import refusal, serving
from vibespace.engine.kubeapi import LONGEST_WORDS, Api
from vibespace.errors import (
    Aborted,
    AlreadyExists,
    Error,
    Exhausted,
    FailedPrecondition,
    NotFound,
    PermissionDenied,
    Unavailable,
)

REFUSALS = [
    (401, "Unauthorized", "Unauthorized", Unavailable, "ENGINE_UNREACHABLE"),
    (403, "Forbidden", 'pods is forbidden: User "x" cannot list', PermissionDenied, "CLUSTER_FORBIDDEN"),
    (403, "Forbidden", "pods x is forbidden: exceeded quota: q", Exhausted, "ENGINE_EXHAUSTED"),
    (403, "Forbidden", 'x violates PodSecurity "restricted:latest"', FailedPrecondition, "POD_SECURITY"),
    (403, "Forbidden", "because it is being terminated", Aborted, "ENGINE_REFUSED"),
    (404, "NotFound", "not found", NotFound, "ENGINE_NOT_FOUND"),
    (409, "AlreadyExists", "already exists", AlreadyExists, "ENGINE_NAME_TAKEN"),
    (409, "Conflict", "conflict with kubectl", Aborted, "ENGINE_CONFLICT"),
    (410, "Expired", "too old", Aborted, "ENGINE_EXPIRED"),
    (422, "Invalid", "spec.x: Invalid value", Aborted, "ENGINE_REFUSED"),
    (429, "TooManyRequests", "slow down", Unavailable, "ENGINE_UNREACHABLE"),
    (500, "InternalError", 'failed calling webhook "x"', Aborted, "ENGINE_REFUSED"),
    (500, "InternalError", "etcd", Unavailable, "ENGINE_UNREACHABLE"),
    (503, "ServiceUnavailable", "etcd", Unavailable, "ENGINE_UNREACHABLE"),
]


@pytest.mark.parametrize(("code", "reason", "message", "kind", "ours"), REFUSALS)
async def test_refusals(tmp_path: Path, code: int, reason: str, message: str, kind: type[Error], ours: str) -> None:
    """Each answer of a cluster is one of our errors."""

    async def handler(_: web.BaseRequest) -> web.StreamResponse:
        return refusal(code, reason, message)

    async with opened(handler, tmp_path) as api:
        with pytest.raises(kind) as refused:
            await api.get("/api/v1/pods")
    assert refused.value.reason == ours
    assert "secret-token" not in str(vars(refused.value))


async def test_nobody_is_followed_elsewhere(tmp_path: Path) -> None:
    """What we say to a cluster it does not hand on to others by a redirect."""
    asked: list[str] = []

    async def elsewhere(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.path)
        return web.json_response({})

    async def handler(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": f"{other.server}/api"})

    async with opened(elsewhere, tmp_path) as other:
        await other.get("/first")
        async with opened(handler, tmp_path) as api:
            with pytest.raises(Unavailable, match="elsewhere"):
                await api.create("/api/v1/secrets", {"data": "hunter2"})
    assert asked == ["/first"]


async def test_what_is_refused_at_length(tmp_path: Path) -> None:
    """It is told as far as anybody reads, without what we log in with."""
    message = "you said secret-token; " + "x" * 1_000_000

    async with opened(lambda _: _answered(refusal(422, "Invalid", message)), tmp_path) as api:
        with pytest.raises(Aborted) as refused:
            await api.get("/api/v1/pods")
    assert refused.value.message.startswith("you said …; xxx")
    assert len(refused.value.message) == LONGEST_WORDS


async def _answered(answer: web.Response) -> web.StreamResponse:
    return answer


async def test_who_is_asked_too_much_is_asked_again(tmp_path: Path) -> None:
    """When it says; not for ever."""
    answers = [web.Response(status=429, headers={"Retry-After": "0"}), web.json_response({"kind": "Pod"})]

    async def handler(_: web.BaseRequest) -> web.StreamResponse:
        return answers.pop(0)

    async with opened(handler, tmp_path) as api:
        assert await api.get("/api/v1/pods/x") == {"kind": "Pod"}


async def test_no_login_is_sent_but_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ~/.netrc has is for others."""
    (tmp_path / "netrc").write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.json_response({"told": request.headers.get("Authorization")})

    async with opened(handler, tmp_path) as api:
        assert await api.get("/version") == {"told": "Bearer secret-token"}


async def test_a_proxy_is_heeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As every program on this machine does, and so what is excepted from it."""
    asked: list[str] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.raw_path)
        return web.json_response({})

    async with opened(handler, tmp_path) as proxy, opened(handler, tmp_path) as api:
        await proxy.get("/direct")
        monkeypatch.setenv("http_proxy", proxy.server)
        monkeypatch.setenv("no_proxy", "")
        await api.get("/version")
    assert asked == ["/direct", f"{api.server}/version"]


async def test_another_login_is_taken(tmp_path: Path) -> None:
    """Who is not known any more looks whether there is another token by now."""
    told: list[str] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        told.append(request.headers["Authorization"])
        if told[-1] == "Bearer secret-token":
            path = tmp_path / "kubeconfig"
            path.write_text(path.read_text().replace("secret-token", "next-token"))
            return refusal(401, "Unauthorized", "Unauthorized")
        return web.json_response({})

    async with opened(handler, tmp_path) as api:
        await api.get("/version")
    assert told == ["Bearer secret-token", "Bearer next-token"]


async def test_nobody_answers(tmp_path: Path) -> None:
    """A port on which nothing listens is a cluster that does not answer, and said so with its address."""

    async def handler(_: web.BaseRequest) -> web.StreamResponse:
        return web.json_response({})

    async with serving(handler, tmp_path) as kubeconfig:
        pass
    api = Api(kubeconfig)
    with pytest.raises(Unavailable) as lost:
        await api.get("/version")
    await api.close()
    assert lost.value.reason == "ENGINE_UNREACHABLE"
    assert "127.0.0.1" in lost.value.message


@asynccontextmanager
async def opened(handler: Any, at: Path) -> AsyncIterator[Api]:
    async with serving(handler, at) as kubeconfig:
        api = Api(kubeconfig)
        try:
            yield api
        finally:
            await api.close()
