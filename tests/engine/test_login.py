"""How a kubeconfig says who we are: whatever it says, no secret of it is told or left."""

from __future__ import annotations

import asyncio
import base64
import json
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from vibespace.engine import login
from vibespace.errors import Error, FailedPrecondition, InvalidArgument


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


def test_what_a_program_has_started_ends_with_it(tmp_path: Path) -> None:
    """Where it does not say who we are."""
    path = tmp_path / "kubeconfig"
    script = 'sleep 1000 > /dev/null & echo $! > "$(dirname "$0")/pid"; echo no'
    path.write_text(json.dumps(with_program(tmp_path, script)))
    with pytest.raises(FailedPrecondition):
        asyncio.run(login.login(path))
    while Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}/exe").exists():
        pass


def test_a_program_whose_child_holds_its_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for, whatever it has started."""
    monkeypatch.setattr(login, "SECONDS", 0.1)
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(with_program(tmp_path, "setsid sleep 20 & sleep 20")))
    with pytest.raises(FailedPrecondition, match="said nothing"):
        asyncio.run(login.login(path))


async def test_a_program_that_does_not_end_saying(tmp_path: Path) -> None:
    """What it says is not held beyond what anybody needs."""
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(with_program(tmp_path, "exec cat /dev/zero")))
    with pytest.raises(FailedPrecondition) as refused:
        await login.login(path)
    assert "did not say who we are" in refused.value.message


async def test_no_key_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the library writes down for a moment is gone when it has been read."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    key, certificate = x509()
    told = with_program(tmp_path, "exit 1")
    data = {name: base64.b64encode(value).decode() for name, value in {"key": key, "certificate": certificate}.items()}
    told["users"][0]["user"] = {"client-key-data": data["key"], "client-certificate-data": data["certificate"]}
    told["clusters"][0]["cluster"] |= {"server": "https://127.0.0.1:1"}
    told["clusters"][0]["cluster"] |= {"certificate-authority-data": data["certificate"]}
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(told))
    assert (await login.login(path)).authority == data["certificate"]
    assert [*(tmp_path / "tmp").iterdir()] == []


def x509() -> tuple[bytes, bytes]:
    """A key, and a certificate of its own for it."""
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-keyout", "-", "-out", "-"]
    key, begin, certificate = subprocess.check_output(words, stderr=subprocess.DEVNULL).partition(b"-----BEGIN CERT")
    return key, begin + certificate


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"current-context": "y"}, "it has no context 'y'"),
        ({"current-context": None}, "it does not say which"),
        ({"contexts": [{"name": "x", "context": {"cluster": "x", "user": "nobody"}}]}, "a user 'nobody'"),
        ({"contexts": [{"name": "x", "context": {"cluster": "none", "user": "x"}}]}, "a cluster 'none'"),
        ({"clusters": [{"name": "x", "cluster": {"server": "not-a-url"}}]}, "'not-a-url', which is no address"),
        (
            {"clusters": [{"name": "x", "cluster": {"server": "https://h", "certificate-authority": "none.crt"}}]},
            "certificate-authority names what is no file",
        ),
    ],
    ids=["no such context", "no context", "no such user", "no such cluster", "no address", "no such file"],
)
async def test_what_is_wrong_with_a_kubeconfig(tmp_path: Path, changed: dict[str, Any], why: str) -> None:
    """It is said which part of it, and what to do next."""
    path = tmp_path / "kubeconfig"
    told = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "t"}}
    path.write_text(json.dumps(with_program(tmp_path, f"echo '{json.dumps(told)}'") | changed))
    with pytest.raises(InvalidArgument) as refused:
        await login.login(path)
    assert why in refused.value.message
    assert refused.value.hint


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
