"""Which engine is chosen: the order, and what is said where there is none."""

from __future__ import annotations

import http.server
import os
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from vibespace.config import Settings
from vibespace.errors import FailedPrecondition, InvalidArgument, Unavailable
from vibespace.setup import engine, podman
from vibespace.setup.engine import Choice, find, passed_over, reopen
from vibespace.state import State

Engines = Callable[[str, str], str]


@contextmanager
def answering(path: Path, headers: dict[str, str]) -> Iterator[None]:
    """A server at a Unix socket that answers every GET with these headers."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the tests' output is for failures."""

    with socketserver.ThreadingUnixStreamServer(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[Engines]:
    """Starts something that answers like an engine of that brand; the socket's path."""
    headers = {"podman": {"Libpod-API-Version": "4.3.1"}, "docker": {"Api-Version": "1.41"}, "web": {}}
    with ExitStack() as stack:

        def start(name: str, brand: str) -> str:
            path = tmp_path / name
            stack.enter_context(answering(path, headers[brand]))
            return str(path)

        yield start


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No podman on PATH, no usual socket, and a firewall that is not this machine's."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(engine, "_usual_sockets", lambda _environ: iter(()))
    monkeypatch.setattr(engine, "keep_networks_apart", lambda: None)


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "home")


@pytest.fixture
def private(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state: State) -> Choice:
    """A podman on PATH that can be served."""
    (tmp_path / "podman").write_text("#!/bin/sh\n")
    (tmp_path / "podman").chmod(0o755)
    monkeypatch.setattr(podman, "ensure", podman.socket_path)
    return Choice("podman", str(podman.socket_path(state.engine)), private=True)


def test_what_is_asked_for_afterwards_is_told(tmp_path: Path) -> None:
    """The engine stays; of another name of the same one, and where none is asked for, there is nothing to say."""
    (tmp_path / "link").symlink_to(tmp_path / "one")
    chosen = Choice("docker", str(tmp_path / "one"), private=False)
    for asked in ("", str(tmp_path / "one"), str(tmp_path / "link")):
        assert passed_over(Settings(engine_socket=asked), chosen) == ""
    told = passed_over(Settings(engine_socket="/other.sock"), chosen)
    assert told.startswith("'engine.socket' in config.yaml is /other.sock, but the engine was chosen by the first")
    assert f"stays docker at {tmp_path}/one" in told


def test_order(engines: Engines, private: Choice, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """config.yaml, then CONTAINER_HOST, DOCKER_HOST, our own Podman, the system's Podman, Docker."""
    set_, container, docker = engines("set", "docker"), engines("container", "podman"), engines("docker", "docker")
    usual = [Path(engines("usual", "podman")), Path(docker)]
    environ = {"CONTAINER_HOST": f"unix://{container}", "DOCKER_HOST": f"unix://{docker}"}
    monkeypatch.setattr(engine, "_usual_sockets", lambda _environ: iter(usual))
    assert find(Settings(engine_socket=set_), state, environ) == Choice("docker", set_, private=False)
    assert find(Settings(), state, environ) == Choice("podman", container, private=False)
    del environ["CONTAINER_HOST"]
    assert find(Settings(), state, environ) == Choice("docker", docker, private=False)
    assert find(Settings(), state, {}) == private
    monkeypatch.setenv("PATH", os.devnull)
    assert find(Settings(), state, {}) == Choice("podman", str(usual[0]), private=False)
    del usual[0]
    assert find(Settings(), state, {}) == Choice("docker", docker, private=False)


def test_usual_sockets_of_a_user(engines: Engines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own sockets are looked for in XDG_RUNTIME_DIR, after the system's of the same brand."""
    monkeypatch.undo()
    names = [str(path) for path in engine._usual_sockets({"XDG_RUNTIME_DIR": "/x"})]
    assert names == ["/run/podman/podman.sock", "/x/podman/podman.sock", "/var/run/docker.sock", "/x/docker.sock"]


def test_nothing_there(state: State) -> None:
    """Without any engine the packages are named that make one."""
    with pytest.raises(FailedPrecondition) as refused:
        find(Settings(), state, {})
    assert refused.value.reason == "ENGINE_MISSING"
    assert "apt-get install -y podman" in refused.value.hint


def test_podman_without_its_helpers(
    private: Choice, engines: Engines, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Podman that cannot run containers is passed over for an engine that answers, and else named."""
    missing = FailedPrecondition("ENGINE_MISSING", "No netavark.", hint="install it")

    def refuse(_directory: Path) -> Path:
        raise missing

    monkeypatch.setattr(podman, "ensure", refuse)
    with pytest.raises(FailedPrecondition) as refused:
        find(Settings(), state, {})
    assert refused.value is missing
    docker = engines("docker", "docker")
    monkeypatch.setattr(engine, "_usual_sockets", lambda _environ: iter([Path(docker)]))
    assert find(Settings(), state, {}) == Choice("docker", docker, private=False)


@pytest.mark.parametrize("brand", ["", "web"])
def test_asked_for_and_not_there(brand: str, engines: Engines, private: Choice, state: State, tmp_path: Path) -> None:
    """What was asked for by name is used or refused; nothing else is taken in its place."""
    path = engines("named", brand) if brand else str(tmp_path / "named")
    for settings, environ in ((Settings(engine_socket=path), {}), (Settings(), {"DOCKER_HOST": f"unix://{path}"})):
        with pytest.raises(Unavailable) as refused:
            find(settings, state, environ)
        assert refused.value.reason == "ENGINE_UNREACHABLE"
        assert path in refused.value.message


@pytest.mark.parametrize("address", ["tcp://1.2.3.4:2375", "ssh://me@there", "/just/a/path", "unix://relative"])
def test_other_addresses(address: str, state: State) -> None:
    """An address that is not a Unix socket is refused by the name of its variable."""
    with pytest.raises(InvalidArgument) as refused:
        find(Settings(), state, {"CONTAINER_HOST": address})
    assert refused.value.reason == "ENGINE_ADDRESS"
    assert "CONTAINER_HOST" in refused.value.message


def test_reopen(engines: Engines, private: Choice, state: State, tmp_path: Path) -> None:
    """An engine chosen earlier must still answer; only our own is started again."""
    reopen(Choice("docker", engines("docker", "docker"), private=False), state)
    reopen(private, state)
    with pytest.raises(Unavailable):
        reopen(Choice("docker", str(tmp_path / "gone"), private=False), state)
