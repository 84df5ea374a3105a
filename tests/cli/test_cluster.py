"""What `init` refuses about clusters before anything is made, and what nobody may miss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from vibespace_cli import clusteroptions, machine
from vibespace_cli.output import Output
from vibespace_cli.session import Session

from tests.cli.conftest import Run
from tests.cli.daemon import Daemon
from vibespace.engine.base import Identity
from vibespace.setup import init
from vibespace.setup.engine import Choice
from vibespace.v1 import system_pb2

FIELD = "enforces_network_policies"

CONTAINERS = system_pb2.HostEngine(brand="podman", address="/ours/sock", private=True)
EXTERNAL = system_pb2.HostEngine(brand="kubernetes", address="https://there/vibespace")
OWN = system_pb2.HostEngine(brand="kubernetes", address="https://127.0.0.1:6443/vibespace", private=True)


@pytest.fixture
def on(daemon: Daemon) -> Any:
    """Has the daemon say that this engine was chosen."""

    def choose(engine: system_pb2.HostEngine) -> None:
        host = system_pb2.Host(initialized=True, engine=engine)
        daemon.answers["SystemService/GetStatus"] = lambda _: system_pb2.GetStatusResponse(host=host)

    return choose


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        (CONTAINERS, ["--bare-metal"]),
        (CONTAINERS, ["--external", "--kubeconfig", "/nowhere"]),
        (EXTERNAL, ["--bare-metal"]),
        (EXTERNAL, ["--engine", "containers"]),
        (OWN, ["--external", "--kubeconfig", "/nowhere"]),
        (OWN, ["--engine", "containers"]),
    ],
)
def test_another_engine(vibespace: Run, on: Any, home: Path, chosen: system_pb2.HostEngine, words: list[str]) -> None:
    """One that was not chosen is refused, whichever it is, and nothing of it is there afterwards."""
    on(chosen)
    done = vibespace("init", "--json", *words)
    assert (done.code, done.json["error"]["reason"]) == (16, "ENGINE_CHOSEN")
    assert chosen.address in done.json["error"]["message"]
    assert [path.name for path in home.iterdir()] == ["daemon.sock"]


def test_each_word_is_where_it_belongs() -> None:
    """What was said of a cluster is asked of it, each by its name."""
    names = ("kubeconfig", "context", "namespace", "storage_class", "pull_secret", "image", "k3s", "engine")
    given: dict[str, Any] = {name: name for name in names} | {"external": True, "print_rbac": False}
    given |= {"bare_metal": False, "k3s": None, "engine": None}
    asked = clusteroptions.asked(given)
    assert asked is not None
    for name in ("kubeconfig", "context", "namespace", "storage_class", "pull_secret"):
        assert getattr(asked, name) == name
    assert asked.node == ""


@pytest.mark.parametrize("enforces", [True, False, None])
def test_what_was_found_out_stays(
    daemon: Daemon, on: Any, monkeypatch: pytest.MonkeyPatch, enforces: bool | None
) -> None:
    """Another image is recorded with what `init` has seen of the network, which it has not tried again."""

    async def find(*_: object) -> init.Engine:
        return init.Engine(
            Choice("kubernetes", "https://there/vibespace", private=False), Identity("kubernetes", "2", "x")
        )

    monkeypatch.setattr(init, "find_engine", find)
    on(system_pb2.HostEngine(brand="kubernetes", address="https://there/vibespace", enforces_network_policies=enforces))
    daemon.answers["SystemService/Initialize"] = lambda _: system_pb2.InitializeResponse()
    session = Session()
    machine.record(session, machine.engine(session), "registry.example/agent:2")
    [asked] = daemon.asked("SystemService/Initialize")
    assert (asked.engine.enforces_network_policies if asked.engine.HasField(FIELD) else None) is enforces


def test_an_announcement_is_never_left_out(capfd: pytest.CaptureFixture[str]) -> None:
    """What is done as root is shown also to who wants no words, and as long as it is."""
    output = Output()
    output.quiet = True
    output.announce("As root, which ends it:\nsh -c 'one\ntwo'")
    assert capfd.readouterr() == ("", "As root, which ends it:\nsh -c 'one\ntwo'\n")
