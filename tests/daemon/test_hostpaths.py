"""Paths of this machine: what is resolved, and what is never shown to an agent."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.running import DEMO, Running, create, quiet, refused, serving
from vibespace.daemon import server
from vibespace.daemon.access import check_fields
from vibespace.daemon.hostpaths import HostPaths
from vibespace.daemon.principal import LOCAL, Principal
from vibespace.engine.fake_world import World
from vibespace.errors import InvalidArgument, PermissionDenied
from vibespace.v1 import agents_pb2 as a
from vibespace.v1 import vibespaces_pb2 as v


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A machine in small: a user with a state directory, an engine's socket, a kubeconfig, and data."""
    for directory in ("user/.vibespace/keys", "user/.kube", "run", "data/inner"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "data/file").write_text("x")
    (tmp_path / "user/kubeconfig").write_text("x")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "run/engine.sock"))
    return tmp_path


@pytest.fixture
def paths(here: Path) -> HostPaths:
    environ = {"HOME": str(here / "user"), "KUBECONFIG": str(here / "user/kubeconfig")}
    return HostPaths(here / "user/.vibespace", lambda: str(here / "run/engine.sock"), environ)


def reason(call: Callable[[], object]) -> str:
    with pytest.raises(InvalidArgument) as refused:
        call()
    return refused.value.reason


def test_resolved(paths: HostPaths, here: Path) -> None:
    """Directories and files, with links followed and dots gone."""
    (here / "link").symlink_to(here / "data")
    assert paths.resolve(f"{here}/link/inner/../file") == str(here / "data/file")
    assert paths.resolve(str(here / "data")) == str(here / "data")


def test_missing(paths: HostPaths, here: Path) -> None:
    """Nothing there, a link to nothing, and links in a circle."""
    (here / "dangling").symlink_to(here / "nothing")
    (here / "circle").symlink_to(here / "circle")
    for name in ("nothing", "dangling", "circle"):
        assert reason(partial(paths.resolve, str(here / name))) == "MOUNT_MISSING"


@pytest.mark.parametrize(
    "path",
    [
        *("user/.vibespace", "user/.vibespace/keys", "user", "run/engine.sock", "run", "user/.kube", "user/kubeconfig"),
        *(".", "link to state", "link to kube", "hard link", "fifo", "a:b"),
    ],
)
def test_refused(paths: HostPaths, here: Path, path: str) -> None:
    """What is, holds or lies in the state directory, an engine's socket or a kubeconfig, however it is reached."""
    (here / "link to state").symlink_to(here / "user/.vibespace/keys")
    (here / "link to kube").symlink_to(here / "user/.kube")
    os.link(here / "user/kubeconfig", here / "hard link")
    os.mkfifo(here / "fifo")
    (here / "a:b").mkdir()
    assert reason(lambda: paths.resolve(str(here / path))) == "MOUNT_REFUSED"


@pytest.mark.parametrize("path", ["/", "/proc", "/proc/1", "/sys", "/sys/fs/cgroup", "/dev", "/dev/null"])
def test_the_machine_itself(paths: HostPaths, path: str) -> None:
    """The root, and what the kernel shows."""
    assert reason(lambda: paths.resolve(path)) == "MOUNT_REFUSED"


def test_what_a_users_engine_has(here: Path) -> None:
    """Neither what it keeps in the home directory is shown, nor where it listens in the runtime directory."""
    environ = {"HOME": str(here / "user"), "XDG_RUNTIME_DIR": str(here / "run")}
    paths = HostPaths(here / "user/.vibespace", lambda: "", environ)
    held = [
        "run/podman",
        "run/docker.sock",
        "run/containers",
        "user/.local/share/containers",
        "user/.local/share/docker",
    ]
    for each in held:
        (here / each).mkdir(parents=True)
        assert reason(partial(paths.resolve, str(here / each))) == "MOUNT_REFUSED", each


def test_rechecked(paths: HostPaths, here: Path) -> None:
    """A directory that has become a link, or has gone, is not shown any more."""
    paths.recheck([str(here / "data")])
    (here / "data").rename(here / "moved")
    assert reason(lambda: paths.recheck([str(here / "data")])) == "MOUNT_MISSING"
    (here / "data").symlink_to(here / "moved")
    assert reason(lambda: paths.recheck([str(here / "data")])) == "MOUNT_REFUSED"


def test_devices_may_not_mount() -> None:
    """A device that sets a mount is refused by the field's name, and may ask for all else; the local user may mount."""
    request = v.CreateVibespaceRequest(spec=v.VibespaceSpec(mounts=["/srv:/mnt"]))
    device = Principal("device", "d")
    with pytest.raises(PermissionDenied) as refused:
        check_fields(request, device)
    assert (refused.value.reason, refused.value.field) == ("FIELD_NOT_ALLOWED", "spec.mounts")
    check_fields(request, LOCAL)
    check_fields(v.CreateVibespaceRequest(vibespace_id="demo", spec=v.VibespaceSpec(cpu="1")), device)
    check_fields(v.GetVibespaceRequest(name=DEMO), device)


async def test_mounts_over_the_wire(home: Path, world: World, tmp_path: Path) -> None:
    """The real path is recorded and shown; what is refused creates nothing; a start looks again and says why not."""
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    async with serving(home, world) as daemon:
        await daemon.init()
        wrong = await refused(_create(daemon, f"{tmp_path}:/mnt"))
        assert (wrong.reason, wrong.field, daemon.feed.state.vibespaces) == ("MOUNT_REFUSED", "spec.mounts", {})
        made = await _create(daemon, f"{tmp_path}/link:/mnt:ro")
        assert list(made.vibespace.spec.mounts) == [f"{tmp_path}/data:/mnt:ro"]
        await daemon.until(quiet)
        await daemon.vibespaces.StopVibespace(v.StopVibespaceRequest(name=DEMO))
        await daemon.until(quiet)
        (tmp_path / "data").rmdir()
        await daemon.vibespaces.StartVibespace(v.StartVibespaceRequest(name=DEMO))
        await daemon.until(lambda feed: "cannot be mounted" in feed.state.primary("demo").reason)
        (tmp_path / "data").mkdir()
        await daemon.vibespaces.StartVibespace(v.StartVibespaceRequest(name=DEMO))
        await daemon.until(quiet)


async def test_devices_are_refused_over_the_wire(
    home: Path, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call is checked: a daemon whose callers are all devices creates what has no mount."""
    monkeypatch.setattr(server, "LOCAL", Principal("device", "d"))
    (tmp_path / "data").mkdir()
    async with serving(home, world) as daemon:
        await daemon.init()
        wrong = await refused(_create(daemon, f"{tmp_path}/data:/mnt"))
        assert (type(wrong), wrong.reason, wrong.field) == (PermissionDenied, "FIELD_NOT_ALLOWED", "spec.mounts")
        await daemon.vibespaces.CreateVibespace(create())


def _create(daemon: Running, mount: str) -> Any:
    agent = a.AgentSettings(type=a.AGENT_TYPE_CODEX)
    return daemon.vibespaces.CreateVibespace(create(agent=agent, spec=v.VibespaceSpec(mounts=[mount])))
