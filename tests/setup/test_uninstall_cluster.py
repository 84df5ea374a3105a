"""An installation on a cluster of this machine is taken away by what is on the disk, whether that runs or not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.asroot import Commands
from vibespace import launch
from vibespace.engine import cluster
from vibespace.engine.cluster import Cluster
from vibespace.errors import Unavailable
from vibespace.setup import firewall, guard, installation, k3s, podman, sshconfig, uninstall
from vibespace.setup.engine import Choice
from vibespace.setup.installation import Installation
from vibespace.setup.k3s import K3s
from vibespace.state import State

AWAY = Cluster("https://127.0.0.1:9", "vibespace")
"""Where nothing listens."""


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> State:
    """One with a log; nothing of this machine is looked at or changed."""
    monkeypatch.setattr(guard, "release", lambda _log_id: None)
    monkeypatch.setattr(firewall, "remove_unless_used", lambda: None)
    monkeypatch.setattr(sshconfig, "user_file", lambda: tmp_path / "config")
    monkeypatch.setattr(k3s, "UNIT", tmp_path / "vibespace-k3s.service")
    made = State(tmp_path / "h")
    launch.ensure_home(made.home)
    made.log.touch()
    return made


def own(state: State) -> Installation:
    """What is recorded of a cluster of this machine."""
    state.kubeconfig.write_text(cluster.write(AWAY, "", {"token": "t"}))
    return Installation("log", Choice("kubernetes", AWAY.address, private=True))


@pytest.mark.parametrize("sign", ["k3s", "k3s.lock"])
def test_an_init_that_came_to_no_end(state: State, sign: str) -> None:
    """What it has begun, and nobody has recorded, is found on the disk, told of, and ended; the directory goes."""
    installation.write(state, Installation("log"))
    K3s(state).lock.touch() if sign == "k3s.lock" else state.k3s.mkdir()
    plan = uninstall.plan(state, keep_data=False)
    assert plan is not None
    assert state.home / sign in plan.files
    commands = Commands()
    uninstall.carry_out(plan, lambda _text: None, commands)
    assert [command for command in commands.told if str(K3s(state).lock) in command] != []
    assert [command for command in commands.told if command[0] == "rm" and str(state.k3s) in command] != []
    assert not state.home.exists()


def test_one_that_does_not_run(state: State) -> None:
    """It need not be started to be taken away; that nobody could count what is in it is told before."""
    installation.write(state, own(state))
    state.k3s.mkdir()
    plan = uninstall.plan(state, keep_data=False)
    assert plan is not None
    assert plan.outside == ["all that is in the cluster of this machine, which does not answer now"]
    uninstall.carry_out(plan, lambda _text: None, Commands())
    assert not state.home.exists()


def test_one_that_does_not_run_is_kept(state: State) -> None:
    """With its data it is ended, and stays what it is; the next `init` finds it."""
    installation.write(state, own(state))
    state.k3s.mkdir()
    plan = uninstall.plan(state, keep_data=True)
    assert plan is not None
    assert "all that is in the cluster of this machine, which does not answer now" in plan.kept
    assert plan.outside == []
    commands = Commands()
    uninstall.carry_out(plan, lambda _text: None, commands)
    assert [command for command in commands.told if command[0] == "rm"] == []
    assert state.k3s.exists()
    assert json.loads(state.marker.read_text())["uninstalled"] is True


def test_one_of_others_must_answer(state: State) -> None:
    """What is in it stays there where nobody takes it away: nothing is done, and what to do is said."""
    installation.write(state, Installation("log", Choice("kubernetes", AWAY.address, private=False)))
    state.kubeconfig.write_text(cluster.write(AWAY, "", {"token": "t"}))
    with pytest.raises(Unavailable) as refused:
        uninstall.plan(state, keep_data=False)
    assert refused.value.reason == "ENGINE_UNREACHABLE"
    assert "uninstall again" in refused.value.hint
    assert state.marker.exists()


def test_where_its_image_was_made(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Podman of a user's, which has made the image, goes by what acts for its users: its files are not his."""
    removed: list[State] = []
    monkeypatch.setattr(uninstall, "_remove_rootless", removed.append)
    monkeypatch.setattr(podman, "stop", lambda _directory: None)
    installation.write(state, own(state))
    state.k3s.mkdir()
    (state.engine / "store").mkdir(parents=True)
    plan = uninstall.plan(state, keep_data=False)
    assert plan is not None
    uninstall.carry_out(plan, lambda _text: None, Commands())
    assert removed == [state]
