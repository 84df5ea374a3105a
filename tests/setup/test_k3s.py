"""k3s is fetched, refused where it cannot be, and served: by systemd, or by a process that keeps a lock."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.asroot import Commands
from tests.engine import apiserver
from tests.setup.test_download import serving
from vibespace.errors import Aborted, FailedPrecondition, NotFound
from vibespace.setup import k3s
from vibespace.setup.k3s import K3s
from vibespace.state import State

SERVER = '#!/bin/sh\n[ "$1" = server ] || exit 2\necho "$@"\nexec sleep 1000\n'


@pytest.fixture
def state(tmp_path: Path) -> State:
    made = State(tmp_path / "a home")
    made.bin.mkdir(parents=True)
    return made


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No systemd, and no Kubernetes."""
    monkeypatch.setattr(k3s, "UNIT", tmp_path / "vibespace-k3s.service")
    monkeypatch.setattr(k3s, "_SYSTEMD", tmp_path / "systemd")
    monkeypatch.setattr(k3s, "THEIRS", (str(tmp_path / "theirs"),))
    monkeypatch.setattr(k3s, "_ANYONES", (str(tmp_path / "anyones"),))


@pytest.fixture
def served(state: State) -> Iterator[State]:
    """One that has been started, and runs."""
    K3s(state).program.write_text(SERVER)
    K3s(state).program.chmod(0o755)
    k3s.start(state, Commands(runs=True))
    pid = until_it_serves(state)
    try:
        yield state
    finally:
        os.kill(pid, signal.SIGKILL)


def until_it_serves(state: State, but: str = "") -> int:
    """Its pid, as it has noted it; not the one that was noted before."""
    while not (K3s(state).lock.exists() and (told := K3s(state).lock.read_text().strip()) not in ("", but)):
        time.sleep(0.01)
    return int(told)


def nothing(_text: str) -> None:
    """Progress that nobody sees."""


def test_another_system(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no Linux, what there is instead is said."""
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(FailedPrecondition) as refused:
        k3s.refuse(state)
    assert refused.value.reason == "BARE_METAL_LINUX"
    assert "init --external" in refused.value.hint


@pytest.mark.parametrize("name", ["theirs", "anyones", "vibespace-k3s.service"])
def test_another_kubernetes(state: State, tmp_path: Path, name: str) -> None:
    """One that is there is named by what it has, and so is a unit of another state directory."""
    (tmp_path / name).write_text(k3s.unit(K3s(State(Path("/elsewhere")))))
    with pytest.raises(FailedPrecondition) as refused:
        k3s.refuse(state)
    assert refused.value.reason == "KUBERNETES_THERE"
    assert str(tmp_path / name) in refused.value.message


def test_ours_is_no_other(state: State, tmp_path: Path) -> None:
    """What k3s of this state directory has made does not keep it from being started again."""
    k3s.refuse(state)
    state.k3s.mkdir()
    (tmp_path / "anyones").touch()
    (tmp_path / "vibespace-k3s.service").write_text(k3s.unit(K3s(state)))
    k3s.refuse(state)


async def test_another_machine(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """An architecture that no release is for is refused, before anything is fetched."""
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(FailedPrecondition) as refused:
        await k3s.provide(state, "", nothing)
    assert refused.value.reason == "ARCHITECTURE_UNKNOWN"
    assert "riscv64" in refused.value.message


def test_what_is_given(state: State, tmp_path: Path) -> None:
    """It is copied, and can be run; what is no file is refused by its name. kubectl keeps to its data directory."""
    with pytest.raises(NotFound) as refused:
        asyncio.run(k3s.provide(state, str(tmp_path), nothing))
    assert refused.value.reason == "K3S_MISSING"
    (tmp_path / "given").write_text('#!/bin/sh\necho "$@"\n')
    for _ in range(2):
        asyncio.run(k3s.provide(state, str(tmp_path / "given"), nothing))
    said = subprocess.run([state.bin / "kubectl", "get", "a b"], capture_output=True, text=True, check=True).stdout
    assert said == f"--data-dir={state.k3s} kubectl get a b\n"


class Releases:
    """As GitHub serves them."""

    def __init__(self, content: bytes, sums: str) -> None:
        self.asked: list[str] = []
        self._content, self._sums = content, sums

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.raw_path)
        return web.Response(body=self._sums.encode() if "sha256sum" in request.path else self._content)


@pytest.fixture
def x86(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")


@pytest.mark.usefixtures("x86")
async def test_a_release(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of this version, whose `+` no server may take for a space, by the digest that was published for it."""
    content = b"#!/bin/sh\n"
    digest = hashlib.sha256(content).hexdigest()
    releases = Releases(content, f"{'0' * 64}  k3s-airgap-images-amd64.tar\n{digest}  k3s\n")
    async with serving(releases.answer) as url:
        monkeypatch.setattr(k3s, "RELEASES", url.removesuffix("/k3s"))
        await k3s.provide(state, "", nothing)
    assert K3s(state).program.read_bytes() == content
    at = f"/{k3s.VERSION.replace('+', '%2B')}"
    assert releases.asked == [f"{at}/sha256sum-amd64.txt", f"{at}/k3s"]


@pytest.mark.usefixtures("x86")
async def test_a_release_by_a_proxy(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that the environment names is asked for all of it."""
    content = b"#!/bin/sh\n"
    releases = Releases(content, f"{hashlib.sha256(content).hexdigest()}  k3s\n")
    async with serving(releases.answer) as url:
        monkeypatch.setenv("http_proxy", url.removesuffix("/k3s"))
        monkeypatch.setenv("no_proxy", "")
        monkeypatch.setattr(k3s, "RELEASES", "http://releases.invalid/download")
        await k3s.provide(state, "", nothing)
    assert [asked.partition("/download/")[0] for asked in releases.asked] == ["http://releases.invalid"] * 2


@pytest.mark.usefixtures("x86")
async def test_a_release_without_digest(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody has published a digest for is not fetched."""
    releases = Releases(b"", f"{'0' * 64}  k3s-arm64\n")
    async with serving(releases.answer) as url:
        monkeypatch.setattr(k3s, "RELEASES", url.removesuffix("/k3s"))
        with pytest.raises(FailedPrecondition) as refused:
            await k3s.provide(state, "", nothing)
    assert refused.value.reason == "DOWNLOAD_INTEGRITY"
    assert len(releases.asked) == 1


def test_it_is_started_once(served: State) -> None:
    """One that runs goes on, in a session of its own, whatever terminal ends, and what it says is in its log."""
    pid = until_it_serves(served)
    again = Commands()
    k3s.start(served, again)
    subprocess.run([*again.told[0][:2], *again.told[0][4:]], check=True)  # not apart: then it has tried
    assert until_it_serves(served) == pid
    assert os.getsid(pid) not in (os.getsid(0), pid)
    status = dict(line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    assert int(status["SigIgn"], 16) & 1 << signal.SIGHUP - 1
    while not (said := K3s(served).log.read_text()):
        time.sleep(0.01)
    assert said == f"{' '.join(K3s(served).server()[1:])}\n"
    assert K3s(served).log.stat().st_mode & 0o077 == 0


def test_a_pid_that_is_anothers_by_now(state: State) -> None:
    """After a reboot the number in the file may be any process's: that is left alone, and k3s is started."""
    K3s(state).program.write_text(SERVER)
    K3s(state).program.chmod(0o755)
    with subprocess.Popen(["sleep", "1000"]) as stranger:
        K3s(state).lock.write_text(f"{stranger.pid}\n")
        k3s.start(state, Commands(runs=True))
        os.kill(until_it_serves(state, but=str(stranger.pid)), signal.SIGKILL)
        assert stranger.poll() is None
        stranger.kill()


def test_by_systemd(state: State, tmp_path: Path) -> None:
    """It is told where the program is, and starts it at every boot; nobody waits for it in that command."""
    (tmp_path / "systemd").touch()
    commands = Commands()
    k3s.start(state, commands)
    assert commands.told[1:] == [
        ["systemctl", "daemon-reload"],
        ["systemctl", "enable", "--now", "--no-block", "vibespace-k3s.service"],
    ]
    subprocess.run(commands.told[0], check=True)
    assert (tmp_path / "vibespace-k3s.service").read_text() == k3s.unit(K3s(state))
    assert k3s.served_by_systemd(state)
    assert not k3s.served_by_systemd(State(Path("/elsewhere")))
    k3s.UNIT.write_text(k3s.unit(K3s(State(state.k3s))))
    assert not k3s.served_by_systemd(state)  # one in whose path is ours


def test_the_unit() -> None:
    """What systemd reads; a path in it may have what begins something else there."""
    home = Path("/home/a b%c$d")
    lines = k3s.unit(K3s(State(home))).splitlines()
    data = '"--data-dir=/home/a b%%c$$d/k3s" "--write-kubeconfig=/home/a b%%c$$d/k3s/admin.kubeconfig"'
    spared = "--disable=traefik --disable=servicelb --disable=metrics-server --disable-helm-controller"
    spared += " --flannel-backend=host-gw"
    assert lines == [
        "[Unit]",
        "Description=Kubernetes of vibespace",
        "After=network-online.target",
        "Wants=network-online.target",
        "",
        "[Service]",
        "Type=notify",
        "TimeoutStartSec=0",
        "KillMode=process",
        "Delegate=yes",
        "LimitNOFILE=1048576",
        "TasksMax=infinity",
        "Restart=always",
        "RestartSec=5",
        f'ExecStart="/home/a b%%c$$d/bin/k3s" server {data} --write-kubeconfig-mode=0600 {spared}',
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]


def node(ready: str) -> dict[str, Any]:
    conditions = [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": ready}]
    return {"metadata": {"name": "here"}, "status": {"conditions": conditions}}


def children(pid: int) -> list[int]:
    return [*map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


async def test_ready(state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for until k3s has written how to log in, and its node is ready; that login is on no disk."""
    monkeypatch.setattr(k3s, "_LOOK", 0.0)
    nodes = iter([node("False"), node("Unknown"), node("True")])

    async def answer(request: web.Request) -> web.StreamResponse:
        return apiserver.listed("1", next(nodes))

    async with apiserver.serving(answer, tmp_path) as kubeconfig:
        state.k3s.mkdir()

        def as_root(command: Sequence[str], why: str) -> str:
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as asked:
                while not any(map(children, children(asked.pid))):  # its shell, which sleeps
                    assert asked.poll() is None
                shutil.copy(kubeconfig, K3s(state).admin)
                return asked.communicate()[0]

        with k3s.in_memory() as admin:
            assert await k3s.ready(state, as_root, admin, nothing) == "here"
            assert json.loads(admin.read_text())["kind"] == "Config"
        assert not admin.exists()
    assert sorted(path.name for path in state.home.rglob("*")) == ["admin.kubeconfig", "bin", "k3s"]


async def test_never_ready(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up in the end, and where to look is said."""
    monkeypatch.setattr(k3s, "READY_SECONDS", 0.01)
    over = threading.Event()

    def as_root(command: Sequence[str], why: str) -> str:
        over.wait()
        raise Aborted("ROOT_REFUSED", "It ended with exit code 124.")

    try:
        with k3s.in_memory() as admin, pytest.raises(Aborted) as refused:
            await k3s.ready(state, as_root, admin, nothing)
    finally:
        over.set()
    assert refused.value.reason == "CLUSTER_NOT_READY"
    assert str(K3s(state).log) in refused.value.hint


def test_the_image(state: State, tmp_path: Path) -> None:
    """It is taken by the k3s that has this data directory, and no other is unpacked."""
    commands = Commands()
    k3s.import_image(state, tmp_path / "image.tar", commands)
    data = f"--data-dir={state.k3s}"
    assert commands.told == [[str(K3s(state).program), data, "ctr", "images", "import", str(tmp_path / "image.tar")]]
