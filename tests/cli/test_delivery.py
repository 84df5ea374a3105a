"""Where an image that was made here is recorded, and under which name, by where agents run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from vibespace_cli import cluster, machine

from tests.cli.conftest import Run
from tests.cli.daemon import Daemon
from vibespace.engine.base import Identity
from vibespace.engine.cluster import Cluster
from vibespace.setup import image, init
from vibespace.setup.cluster import Found, Tried
from vibespace.setup.engine import Choice
from vibespace.setup.init import Engine
from vibespace.v1 import system_pb2
from vibespace.v1.cursor_pb2 import Cursor

DIGITS = "0123456789abcdef" * 4
MADE, NAMED = f"sha256:{DIGITS}", f"localhost/vibespace-agent:{DIGITS[:12]}"
REFERENCE = "registry.example/team/agent:1"
PINNED = f"{REFERENCE}@sha256:{DIGITS[::-1]}"

CONTAINERS = Choice("podman", "/ours/sock", private=True)
EXTERNAL = Choice("kubernetes", "https://there/vibespace", private=False)
OWN = Choice("kubernetes", "https://127.0.0.1:6443/vibespace", private=True)

On = Callable[..., None]


@pytest.fixture
def on(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> On:
    """Has the daemon say that this engine was chosen, and takes an image of before."""

    @asynccontextmanager
    async def api(_: Any) -> AsyncIterator[None]:
        yield None

    async def made(*_: Any, **__: Any) -> str:
        return MADE

    async def listed(_: Any) -> list[image.Image]:
        return [
            image.Image("sha256:1", (REFERENCE, "localhost/vibespace-agent:old"), 1, 1, {"codex": "0.45.0"}),
            image.Image(MADE, (NAMED,), 2, 1, {"codex": "0.46.0"}),
        ]

    async def push(choice: Choice, id: str, reference: str, *_: Any) -> str:
        assert (choice.brand, id, reference) == ("podman", MADE, REFERENCE)
        return PINNED

    monkeypatch.setattr(init, "api", api)
    monkeypatch.setattr(init, "push_image", push)
    monkeypatch.setattr(image, "build", made)
    monkeypatch.setattr(image, "ensure", made)
    monkeypatch.setattr(image, "list_images", listed)
    monkeypatch.setattr(cluster, "give_image", lambda *_: NAMED)
    monkeypatch.setattr(machine, "builder", lambda _: Engine(CONTAINERS, Identity("podman", "4", "/ours/sock")))

    def choose(chosen: Choice | None, before: str = "") -> None:
        host = system_pb2.Host(initialized=chosen is not None, image=before)
        if chosen:
            host.engine.MergeFrom(
                system_pb2.HostEngine(brand=chosen.brand, address=chosen.socket, private=chosen.private)
            )
            engine = Engine(chosen, Identity(chosen.brand, "1", chosen.socket))
            monkeypatch.setattr(machine, "engine", lambda _: engine)
        daemon.answers["SystemService/GetStatus"] = lambda _: system_pb2.GetStatusResponse(host=host)
        daemon.answers["SystemService/Initialize"] = lambda _: system_pb2.InitializeResponse(cursor=Cursor())

    return choose


def recorded(daemon: Daemon) -> list[tuple[str, str]]:
    return [(each.engine.address, each.image) for each in daemon.asked("SystemService/Initialize")]


@pytest.mark.parametrize("word", ["build", "upgrade"])
@pytest.mark.parametrize(
    ("chosen", "words", "takes", "pushed"),
    [
        (CONTAINERS, [], MADE, ""),
        (CONTAINERS, ["--push", REFERENCE], MADE, PINNED),
        (EXTERNAL, ["--push", REFERENCE], PINNED, PINNED),
        (OWN, [], NAMED, ""),
        (OWN, ["--push", REFERENCE], NAMED, PINNED),
    ],
)
def test_what_agents_take(
    vibespace: Run, daemon: Daemon, on: On, word: str, chosen: Choice, words: list[str], takes: str, pushed: str
) -> None:
    """By its id where it was made; by its digest from a registry; on this machine's cluster by a name of its own."""
    on(chosen)
    told = vibespace("image", word, *words).json["data"]
    assert (told["image"], told["pushed"]) == (takes, pushed)
    assert recorded(daemon) == [(chosen.socket, takes)]


@pytest.mark.parametrize("word", ["build", "upgrade"])
def test_before_there_is_an_engine(vibespace: Run, daemon: Daemon, on: On, word: str) -> None:
    """Nothing is recorded; what `init --image` is to be told is the answer."""
    on(None)
    assert vibespace("image", word, "--push", REFERENCE, "--quiet").out == f"{PINNED}\n"
    assert recorded(daemon) == []


def test_an_upgrade_that_nobody_would_get(
    vibespace: Run, daemon: Daemon, on: On, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a cluster of others it is refused without a registry, before anything is made, with what to type."""
    on(EXTERNAL)
    monkeypatch.setattr(machine, "builder", lambda _: pytest.fail("it was begun"))
    error = vibespace("image", "upgrade", "--json").json["error"]
    assert error["reason"] == "REGISTRY_NOT_NAMED"
    assert "'vibespace image upgrade --push REF'" in error["hint"]
    assert vibespace("image", "upgrade", "--push", "agent").code == 2
    assert recorded(daemon) == []


def test_a_build_that_nobody_gets_yet(vibespace: Run, daemon: Daemon, on: On, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made, for there are other ways to nodes; that agents do not take it is said."""
    on(EXTERNAL)
    monkeypatch.setattr("vibespace_cli.output.Output.as_json", False)
    done = vibespace("image", "build")
    assert done.out == f"Image: {DIGITS[:12]}\n"
    assert "once it is in a registry" in done.err
    assert recorded(daemon) == []


@pytest.mark.parametrize("before", ["sha256:1", "localhost/vibespace-agent:old", f"{REFERENCE}@sha256:{DIGITS}"])
def test_what_an_upgrade_changes(vibespace: Run, on: On, monkeypatch: pytest.MonkeyPatch, before: str) -> None:
    """The programs of before are known by whatever name their image has here; names are short on a terminal."""
    on(EXTERNAL, before)
    monkeypatch.setattr("vibespace_cli.output.Output.as_json", False)
    done = vibespace("image", "upgrade", "--push", REFERENCE)
    assert done.out == "codex 0.45.0 -> 0.46.0\n"
    assert f"Pushed: {REFERENCE}@{DIGITS[::-1][:12]}\n" in done.err
    assert "at their next start" in done.err


@pytest.mark.parametrize(
    ("said", "before", "looked_into"),
    [
        (REFERENCE, PINNED, PINNED),
        (None, PINNED, PINNED),
        ("registry.example/team/agent:2", PINNED, "registry.example/team/agent:2"),
        (PINNED.replace("0", "1"), PINNED, PINNED.replace("0", "1")),
        (REFERENCE, "", REFERENCE),
    ],
)
def test_init_again(
    vibespace: Run, on: On, monkeypatch: pytest.MonkeyPatch, said: str | None, before: str, looked_into: str
) -> None:
    """The same words leave the digest that is recorded; another name or digest does not."""
    seen: list[str] = []

    async def look(_state: Any, _log_id: str, name: str, _progress: Any) -> None:
        seen.append(name)

    async def nothing(*_: Any) -> None:
        """All of it is as it should be."""

    async def tried(*_: Any) -> Tried:
        return Tried(enforces=True, note="It does.")

    on(EXTERNAL, before)
    there = Found(Cluster("https://there", "vibespace"), Identity("kubernetes", "1", ""), "", ())
    monkeypatch.setattr(cluster, "_prepared", lambda *_: there)
    monkeypatch.setattr("vibespace.setup.cluster.check", nothing)
    monkeypatch.setattr("vibespace.setup.cluster.check_image", look)
    monkeypatch.setattr("vibespace.setup.cluster.try_network", tried)
    monkeypatch.setattr(machine, "seen", lambda _session, host: host)
    words = ["init", "--external", *(["--image", said] if said else [])]
    assert vibespace(*words).code == 0
    assert seen == [looked_into]
