"""What goes wrong between us and a cluster, as errors of ours; no secret is in one."""

from __future__ import annotations

import json
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.engine.apiserver import refusal, serving
from vibespace.engine import login
from vibespace.engine.kubeapi import Api
from vibespace.errors import (
    Aborted,
    AlreadyExists,
    Error,
    Exhausted,
    FailedPrecondition,
    InvalidArgument,
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


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "kind: Config\n", '{"kind": "Secret", "data": {"token": "hunter2"}}']
)
async def test_what_is_no_kubeconfig(tmp_path: Path, content: str) -> None:
    """It is refused by name, and not quoted."""
    path = tmp_path / "kubeconfig"
    path.write_text(content)
    with pytest.raises(InvalidArgument) as refused:
        await login.login(path)
    assert refused.value.reason == "KUBECONFIG_INVALID"
    assert str(path) in refused.value.message
    assert "hunter2" not in refused.value.message


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir])
async def test_no_file(tmp_path: Path, make: Any) -> None:
    """Nor is what is not there, or a directory."""
    path = tmp_path / "kubeconfig"
    make(path)
    with pytest.raises(InvalidArgument) as refused:
        await login.login(path)
    assert refused.value.reason == "KUBECONFIG_INVALID"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"proxy-url": "http://proxy.example"}, "proxy-url"),
        ({"tls-server-name": "other.example"}, "tls-server-name"),
        ({"insecure-skip-tls-verify": True}, "insecure-skip-tls-verify"),
        ({"insecure-skip-tls-verify": False}, ""),
    ],
)
async def test_what_of_a_kubeconfig_would_not_be_heeded(tmp_path: Path, said: dict[str, Any], why: str) -> None:
    """It is refused by name; of another cluster of that file it may say what it will."""
    path, told = tmp_path / "kubeconfig", with_program(tmp_path, "exit 1")
    told["clusters"] += [{"name": "other", "cluster": {"server": "http://127.0.0.1:2", "proxy-url": "http://p"}}]
    told["clusters"][0]["cluster"].update(said)
    path.write_text(json.dumps(told))
    with pytest.raises(Error) as refused:
        await login.login(path)
    assert why in refused.value.message
    assert refused.value.reason == ("KUBECONFIG_INVALID" if why else "LOGIN_FAILED")


async def test_a_program_that_does_not_log_in(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What it writes may be a secret: neither the error nor a log has it."""
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(with_program(tmp_path, "echo hunter2; echo hunter2 >&2; exit 1")))
    with pytest.raises(FailedPrecondition) as refused:
        await login.login(path)
    assert refused.value.reason == "LOGIN_FAILED"
    assert "hunter2" not in str(vars(refused.value)) + caplog.text


async def test_a_program_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for without end."""
    monkeypatch.setattr(login, "SECONDS", 0.1)
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(with_program(tmp_path, "exec sleep 5")))
    with pytest.raises(FailedPrecondition) as refused:
        await login.login(path)
    assert refused.value.reason == "LOGIN_FAILED"


async def test_a_program_that_logs_in(tmp_path: Path) -> None:
    """What it says is who we are."""
    told = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "t"}}
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(with_program(tmp_path, f"echo '{json.dumps(told)}'")))
    found = await login.login(path)
    assert await found.authorization() == "Bearer t"


def with_program(at: Path, script: str) -> dict[str, Any]:
    """A kubeconfig that logs in by a program."""
    program = at / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(program), "interactiveMode": "Never"}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "x", "user": {"exec": plugin}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    }


@asynccontextmanager
async def opened(handler: Any, at: Path) -> AsyncIterator[Api]:
    async with serving(handler, at) as kubeconfig:
        api = Api(kubeconfig)
        try:
            yield api
        finally:
            await api.close()
