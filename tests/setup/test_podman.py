"""The private Podman: served once, adopted, ended, and nobody else's process touched. Starts real ones."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.engines import Podman
from tests.places import User
from vibespace.errors import FailedPrecondition, Unavailable
from vibespace.setup import podman, processes
from vibespace.setup.ping import brand_at
from vibespace.state import UNIX_PATH_MAX, State

pytestmark = pytest.mark.containers

ENSURE = "import sys; from pathlib import Path; from vibespace.setup import podman; podman.ensure(Path(sys.argv[1]))"


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "engine"
    yield path
    podman.stop(path)


def pid(directory: Path) -> int:
    return int((directory / "pid").read_text())


def test_served_and_adopted(directory: Path) -> None:
    """ensure serves it, and a second ensure adopts the very same process."""
    assert podman.ensure(directory) == podman.socket_path(directory)
    assert brand_at(podman.socket_path(directory)) == "podman"
    first = pid(directory)
    podman.ensure(directory)
    assert pid(directory) == first
    assert directory.stat().st_mode & 0o777 == 0o700


def test_twenty_at_once(directory: Path) -> None:
    """Twenty processes that all ensure at once end with one service."""
    starting = [sys.executable, "-c", ENSURE, str(directory)]
    with ThreadPoolExecutor(20) as pool:
        results = list(pool.map(lambda _n: subprocess.run(starting, check=False).returncode, range(20)))
    assert results == [0] * 20
    uri = f"unix://{podman.socket_path(directory)}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended while we looked
        if b"service" in words and uri in words:
            found.append(int(path.parent.name))
    assert found == [pid(directory)]


def test_killed_comes_back(directory: Path) -> None:
    """A service that was killed, with its socket and pid file left behind, is started again."""
    podman.ensure(directory)
    first = pid(directory)
    os.kill(first, signal.SIGKILL)
    podman.ensure(directory)
    assert pid(directory) != first
    assert brand_at(podman.socket_path(directory)) == "podman"


def test_hanging_is_replaced(directory: Path) -> None:
    """A service that no longer answers is ended and started again."""
    podman.ensure(directory)
    first = pid(directory)
    os.kill(first, signal.SIGSTOP)
    os.waitpid(first, os.WUNTRACED)  # until then one of its threads may still answer
    podman.ensure(directory)
    assert pid(directory) != first


def test_stop_leaves_nothing(directory: Path) -> None:
    """After stop nothing answers, nothing is mounted, and stopping again is no error."""
    podman.ensure(directory)
    podman.stop(directory)
    podman.stop(directory)
    assert brand_at(podman.socket_path(directory)) == ""
    assert str(directory) not in Path("/proc/self/mountinfo").read_text()


def test_stop_unmounts_what_a_killed_build_left(directory: Path) -> None:
    """Any mount below the storage is taken away with it, as long as no container runs."""
    podman.ensure(directory)
    left = directory / "store/overlay/left/merged"
    left.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(left)], check=True)
    podman.stop(directory)
    assert str(directory) not in Path("/proc/self/mountinfo").read_text()


def test_other_processes_are_safe(directory: Path) -> None:
    """A pid file that names somebody else's process, as after a boot, ends nobody."""
    directory.mkdir()
    with subprocess.Popen(["sleep", "1000"]) as stranger:
        (directory / "pid").write_text(str(stranger.pid))
        podman.ensure(directory)
        podman.stop(directory)
        assert stranger.poll() is None
        stranger.kill()


def test_names_of_what_is_gone(unprivileged: User) -> None:
    """A user's name service that networks left behind by a crash keep alive ends; a number of one that died means
    nobody."""
    engine = Podman(unprivileged.home / "names", unprivileged)
    names = engine.directory / "session/containers/networks/aardvark-dns"
    service = ("/usr/lib/podman/aardvark-dns", "--config", str(names), "-p", "5354", "run")
    try:
        with subprocess.Popen(["sleep", "1000"]) as stranger:
            unprivileged.run("mkdir", "-p", str(names))
            (names / "aardvark.pid").write_text(str(stranger.pid))
            engine.serve()
            assert not [*names.iterdir()]
            (names / "gone").write_text("127.0.0.1\n0123 127.0.0.2  agent\n")
            unprivileged.run(*service)
            [living] = processes.having(*service)
            ended = os.pidfd_open(living)
            engine.stop()
            assert select.select([ended], [], [], 10)[0]
            os.close(ended)
            assert not [*names.iterdir()]
            assert stranger.poll() is None
            stranger.kill()
    finally:
        engine.stop()
        shutil.rmtree(engine.directory)


def test_all_lies_in_the_directory(directory: Path) -> None:
    """Podman itself says that storage, running state and volumes lie in the directory."""
    podman.ensure(directory)
    told = subprocess.run(
        ["podman", "info", "--format", "{{.Store.GraphRoot}} {{.Store.RunRoot}} {{.Store.VolumePath}}"],
        env=podman.environment(directory),
        check=True,
        capture_output=True,
        text=True,
    )
    assert told.stdout.split() == [str(directory / name) for name in ("store", "run", "store/volumes")]


def test_the_environment_speaks_of_another(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CONTAINER_HOST of whoever starts it would have `podman` ask there, and serve nothing here."""
    monkeypatch.setenv("CONTAINER_HOST", "unix:///nowhere")
    podman.ensure(directory)
    assert "CONTAINER_HOST" not in podman.environment(directory)


def test_another_boot_is_noticed(directory: Path) -> None:
    """What a former boot left of the running state is thrown away; storage stays."""
    podman.ensure(directory)
    podman.stop(directory)
    (directory / "boot").write_text("another one")
    (directory / "tmp/stale").touch()
    (directory / "store/kept").touch()
    podman.ensure(directory)
    assert not (directory / "tmp/stale").exists()
    assert (directory / "store/kept").exists()


def test_the_longest_state_directory(tmp_path: Path) -> None:
    """Where the daemon's socket just fits, so does Podman's."""
    room = UNIX_PATH_MAX - len(str(tmp_path)) - len("/daemon.sock") - 1
    state = State(tmp_path / ("x" * room))
    assert len(str(state.socket)) == UNIX_PATH_MAX
    podman.ensure(state.engine)
    podman.stop(state.engine)


def test_helpers_missing(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Podman lacks a helper, the Debian packages are named and nothing is made."""
    monkeypatch.setattr(podman, "_program", lambda name: "" if name in ("netavark", "runc", "crun") else name)
    with pytest.raises(FailedPrecondition) as refused:
        podman.ensure(directory)
    assert refused.value.reason == "ENGINE_MISSING"
    assert refused.value.hint == "As root: apt-get install -y netavark runc"
    assert not directory.exists()


def test_does_not_start(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When Podman ends at once, what it said last is told."""
    monkeypatch.setattr(podman, "_runtime", lambda: "no-such-runtime")
    with pytest.raises(Unavailable) as refused:
        podman.ensure(directory)
    assert "no-such-runtime" in refused.value.message
    assert str(directory / "service.log") in refused.value.hint
