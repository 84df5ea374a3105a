"""An installation is taken away with all that is its own, and nothing else, wherever the work is cut off.

On a Podman of its own, with an image of one file: no agent is needed to hold a container, a network and volumes.
"""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from tests.asroot import nobody
from tests.places import user
from tests.podman import purge
from vibespace import launch
from vibespace.engine.api import Api
from vibespace.engine.bodies import LOG, VIBESPACE
from vibespace.errors import FailedPrecondition, PermissionDenied, Unavailable
from vibespace.setup import image, installation, podman, processes, uninstall
from vibespace.setup.engine import Choice
from vibespace.setup.installation import Installation
from vibespace.setup.objects import NOTHING
from vibespace.state import State

pytestmark = pytest.mark.containers

ROOT = Path(__file__).parents[2]

CUT = """
import os, sys
from pathlib import Path
from tests.asroot import nobody
from vibespace.setup import ending, firewall, installation, objects, podman, tree, uninstall
from vibespace.state import State

left = [int(sys.argv[2])]

def cut(module, name):
    whole = getattr(module, name)
    def until(*arguments, **more):
        if left[0] == 0:
            os.kill(os.getpid(), 9)
        left[0] -= 1
        return whole(*arguments, **more)
    setattr(module, name, until)

for module, name in ((installation, "write"), (tree, "remove"), (podman, "stop"), (firewall, "remove_unless_used"),
                     (objects, "take"), (objects, "_remove_container"), (objects, "gone")):
    cut(module, name)
plan = uninstall.plan(State(Path(sys.argv[1])), keep_data=False)
if plan:
    uninstall.carry_out(plan, lambda text: None, nobody)
"""
"""Uninstalls, and is killed before the n-th of its steps."""


@pytest.fixture
def state() -> Iterator[State]:
    made = State(Path(f"/tmp/vs-{uuid4().hex[:8]}"))
    launch.ensure_home(made.home)
    yield made
    try:
        if made.engine.exists():  # containers go on without the service, and without their directory
            asyncio.run(purge(str(podman.ensure(made.engine))))
    finally:
        podman.stop(made.engine)
        shutil.rmtree(made.home, ignore_errors=True)
    assert traces(str(made.home)) == []


@pytest.fixture
def installed(state: State) -> str:
    """The log's id of an installation with our own Podman, a container that runs, a network and a volume."""
    log_id = str(uuid4())
    socket = podman.ensure(state.engine)
    asyncio.run(_fill(str(socket), log_id))
    installation.write(state, Installation(log_id, Choice("podman", str(socket), private=True)))
    for name in ("events.db", "events.db-wal", "config.yaml", "daemon.stderr", "debug.log.1"):
        (state.home / name).touch()
    (state.keys).mkdir()
    (state.cache).mkdir()
    return log_id


async def _fill(socket: str, log_id: str) -> None:
    """A container that runs, in a network, on a volume, of an image with one program."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        tar.add("/usr/bin/catatonit", "pause")
    api, mine, name = Api(socket), {LOG: log_id}, f"vs-{log_id}"
    try:
        imported = api.stream("POST", "/images/create", file.getvalue()[: tar.offset], fromSrc="-", repo="localhost/p")
        async for _ in imported:
            pass
        await api.post("/networks/create", {"Name": name, "Driver": "bridge", "Labels": mine})
        await api.post("/volumes/create", {"Name": name, "Labels": {**mine, VIBESPACE: "demo"}})
        body = {
            "Image": "localhost/p",
            "Entrypoint": ["/pause", "-P"],
            "Labels": mine,
            "HostConfig": {"NetworkMode": name, "Mounts": [{"Type": "volume", "Source": name, "Target": "/v"}]},
        }
        await api.post("/containers/create", body, name=name)
        await api.post(f"/containers/{name}/start")
    finally:
        await api.close()


def take(state: State, *, keep_data: bool = False) -> None:
    found = uninstall.plan(state, keep_data=keep_data)
    assert found is not None
    uninstall.carry_out(found, lambda _text: None, nobody)


def traces(*signs: str) -> list[str]:
    """What on this machine still bears one of these signs: files, mounts, interfaces, processes."""
    found = []
    for top in ("/run", "/etc", "/dev/shm", "/var/lib", "/var/cache", "/var/tmp", str(Path.home() / ".config")):
        for folder, folders, files in os.walk(top):
            found += [f"{folder}/{name}" for name in (*folders, *files) if any(sign in name for sign in signs)]
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found += [line for line in mounts if any(sign in line for sign in signs)]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended while we looked
        if any(sign in line for sign in signs):
            found.append(line)
    return found


def test_nothing_is_left(state: State, installed: str) -> None:
    """A container that runs, its network, volume, image and store: all gone, with the directory and the service."""
    socket = str(podman.socket_path(state.engine))
    container = subprocess.run(
        ["podman", "ps", "-q", "--no-trunc"],
        env=podman.environment(state.engine),
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    signs = (str(state.home), socket, container, installed)
    assert len(traces(*signs)) > 3
    plan = uninstall.plan(state, keep_data=False)
    assert plan is not None
    assert list(plan.objects.containers) == [container]
    assert (plan.objects.networks, plan.objects.volumes) == ((f"vs-{installed}",), (f"vs-{installed}",))
    cache = f"{uninstall.ROOTS_CACHE}, where Podmans of root note which layers came from where"
    assert (plan.kept, plan.left) == ([], [cache])
    uninstall.carry_out(plan, lambda _text: None, nobody)
    assert not state.home.exists()
    assert traces(*signs) == []
    assert uninstall.plan(state, keep_data=False) is None


def test_a_users_podman(tmp_path: Path) -> None:
    """What an `init` that failed has left of a user's Podman goes with all of its processes, and nothing of that lies
    elsewhere in his home.
    """
    program = str(Path(sys.executable).parent / "vibespace")
    with user(tmp_path / "a home") as him:
        base = him.home / "base.tar"
        with tarfile.open(base, mode="w") as tar:
            tar.add("/usr/bin/catatonit", "pause")
        him.give(base)
        (him.home / "bin").mkdir()
        (him.home / "bin/npm").symlink_to("/bin/false")  # the base is imported, and nothing fetched
        environ = him.environment()
        environ["PATH"] = f"{him.home}/bin:{environ['PATH']}"
        init = him.command(program, "init", "--base", str(base))
        assert subprocess.run(init, env=environ, capture_output=True, check=False).returncode != 0
        assert (him.home / ".vibespace/engine/store").exists()
        him.run(program, "uninstall", "-f")
        assert {path.name for path in him.home.iterdir()} == {"base.tar", "bin"}
        assert living(him.home) == []


def living(home: Path) -> list[str]:
    """Command lines of processes that were started by who lives at `home`; not of those that have ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"HOME={home}".encode() in (path / "environ").read_bytes().split(b"\0"):
                found.append(" ".join(processes.words(path.name)))
    return found


def test_cut_off_anywhere(state: State, installed: str) -> None:
    """Killed before each of its steps in turn, over and over on what the one before left, it comes to its end."""
    steps, code = 0, -signal.SIGKILL
    while code:
        cut = [sys.executable, "-c", CUT, str(state.home), str(steps)]
        code = subprocess.run(cut, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}).returncode
        assert code in (0, -signal.SIGKILL)
        steps += 1
        assert steps < 30
    assert not state.home.exists()
    assert traces(str(state.home), installed) == []


def test_what_images_are_built_on_is_not_counted(state: State, installed: str) -> None:
    """Each instruction leaves something between two images: it goes with them, and is no image to a person. The marker,
    which goes last, is among the files.
    """
    words = ["podman", "build", "--quiet", "--layers", "--tag", "localhost/q", "-"]
    lines = b"FROM localhost/p\nLABEL a=1\nLABEL b=2\n"
    subprocess.run(words, input=lines, env=podman.environment(state.engine), check=True, capture_output=True)
    plan = uninstall.plan(state, keep_data=False)
    assert plan is not None
    assert (len(plan.objects.images), len(plan.objects.layers)) == (2, 1)
    assert state.marker in plan.files
    uninstall.carry_out(plan, lambda _text: None, nobody)
    assert not state.home.exists()


def test_data_is_kept_with_the_images_that_agents_may_be_on(state: State, installed: str) -> None:
    """Those that init makes go; what somebody built on one of them, or beside, is kept, told by name, and whole."""
    environ, ours = podman.environment(state.engine), image.LATEST

    def call(*words: str, given: bytes = b"") -> bytes:
        return subprocess.run(["podman", *words], input=given, env=environ, check=True, capture_output=True).stdout

    call("build", "--layers", "--tag", ours, "-", given=b"FROM localhost/p\nLABEL a=1\nLABEL b=2\n")
    call("build", "--layers", "--tag", "localhost/mine", "-", given=f"FROM {ours}\nLABEL c=1\nLABEL d=1\n".encode())
    call("tag", ours, f"{image.NAME}:0123")
    plan = uninstall.plan(state, keep_data=True)
    assert plan is not None
    assert len(plan.objects.images) == 1
    names = ("localhost/mine:latest", "localhost/p:latest")
    assert plan.kept[-2:] == [f"image {name}, in our own Podman" for name in names]
    uninstall.carry_out(plan, lambda _text: None, nobody)
    podman.ensure(state.engine)
    there = call("images", "--all", "--format", "{{.Repository}}:{{.Tag}}").decode().split()
    assert tuple(sorted(there)) == names
    call("run", "--rm", "--entrypoint", "/pause", "localhost/mine", "--version")
    take(state)
    assert not state.home.exists()


def test_looking_changes_nothing(state: State, installed: str) -> None:
    """A plan starts our own Podman when it rests, and puts it to rest again."""
    asyncio.run(_remove_container(state, installed))
    podman.stop(state.engine)
    before = sorted(state.home.iterdir())
    plan = uninstall.plan(state, keep_data=False)
    assert plan is not None
    assert plan.objects.volumes == (f"vs-{installed}",)
    assert sorted(state.home.iterdir()) == before
    assert not podman.socket_path(state.engine).exists()


def test_data_is_kept(state: State, installed: str) -> None:
    """With keep_data the volume, the history, the keys and the settings stay, and what was kept can go later."""
    (state.engine / "store/volumes" / f"vs-{installed}" / "_data/file").write_text("kept")
    goes = uninstall.plan(state, keep_data=False, measured=True)
    assert goes is not None
    assert (goes.objects.vibespaces, goes.data_bytes) == (1, 4)
    kept = uninstall.plan(state, keep_data=True)
    assert kept is not None
    assert f"data of demo (vs-{installed}), in our own Podman" in kept.kept
    take(state, keep_data=True)
    assert launch.uninstalled(state)
    names = ["config.yaml", "engine", "events.db", "events.db-wal", "installation.json", "keys"]
    assert sorted(path.name for path in state.home.iterdir()) == names
    assert (state.engine / "store/volumes" / f"vs-{installed}" / "_data/file").read_text() == "kept"
    plan = uninstall.plan(state, keep_data=False)
    assert plan is not None
    assert plan.objects.containers == {}
    assert plan.objects.volumes == (f"vs-{installed}",)
    uninstall.carry_out(plan, lambda _text: None, nobody)
    assert not state.home.exists()


def test_others_on_our_podman(state: State, installed: str) -> None:
    """What another installation made in our own Podman is not taken along: it is told of before anything is done."""
    asyncio.run(_volume(state, "other", {LOG: "another-log"}))
    with pytest.raises(FailedPrecondition) as refused:
        uninstall.plan(state, keep_data=False)
    assert refused.value.reason == "ENGINE_SHARED"
    assert "another-log" in refused.value.message


def test_what_is_not_ours_stays(state: State) -> None:
    """A file that we do not make keeps the directory, and is told of; so does what a link leads to."""
    installation.write(state, Installation("log"))
    precious = state.home.with_name(f"{state.home.name}-precious")
    precious.mkdir()
    (state.home / "thesis.txt").touch()
    state.cache.symlink_to(precious)
    try:
        plan = uninstall.plan(state, keep_data=False)
        assert plan is not None
        assert plan.objects == NOTHING
        assert plan.left == [f"{state.home}/thesis.txt", f"{precious}, which {state.cache} is a link to"]
        uninstall.carry_out(plan, lambda _text: None, nobody)
        assert [path.name for path in state.home.iterdir()] == ["thesis.txt"]
    finally:
        precious.rmdir()


@pytest.mark.parametrize("chosen", [None, Choice("fake", "memory", private=False)])
def test_an_engine_that_was_only_tried(state: State, installed: str, chosen: Choice | None) -> None:
    """Our own Podman, left by an init that then took no engine, or another one, goes as well."""
    asyncio.run(_remove_container(state, installed))
    installation.write(state, Installation(installed, chosen))
    take(state)
    assert traces(str(state.home)) == []


def test_an_engine_that_is_gone(state: State) -> None:
    """Without the engine, what is in it cannot be taken away: nothing is done, and both ways out are said."""
    installation.write(state, Installation("log", Choice("docker", "/nowhere/docker.sock", private=False)))
    with pytest.raises(Unavailable) as refused:
        uninstall.plan(state, keep_data=False)
    assert refused.value.reason == "ENGINE_UNREACHABLE"
    assert f"delete {state.home}" in refused.value.hint
    assert state.marker.exists()


def test_a_linked_directory(state: State) -> None:
    """A state directory that is reached through a link goes with the link."""
    link = state.home.with_name(f"{state.home.name}-link")
    link.symlink_to(state.home)
    installation.write(state, Installation("log"))
    take(State(link))
    assert not state.home.exists()
    assert not link.is_symlink()


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"log_id": 1, "engine": {"x": 1}, "leaving": 0}', None])
def test_another_directory(state: State, content: str | None) -> None:
    """Without a marker of ours nothing is touched, whatever the files are called."""
    state.log.touch()
    if content is not None:
        state.marker.write_text(content)
    with pytest.raises(FailedPrecondition) as refused:
        uninstall.plan(state, keep_data=False)
    assert refused.value.reason == "NOT_OURS"
    assert state.log.exists()


def test_another_users_directory(state: State) -> None:
    """What belongs to another user is theirs to uninstall."""
    installation.write(state, Installation("log"))
    os.chown(state.home, 65534, 65534)
    with pytest.raises(PermissionDenied):
        uninstall.plan(state, keep_data=False)


async def _remove_container(state: State, log_id: str) -> None:
    api = Api(str(podman.socket_path(state.engine)))
    try:
        await api.delete(f"/containers/vs-{log_id}", force=True)
    finally:
        await api.close()


async def _volume(state: State, name: str, labels: dict[str, str]) -> None:
    api = Api(str(podman.socket_path(state.engine)))
    try:
        await api.post("/volumes/create", {"Name": name, "Labels": labels})
    finally:
        await api.close()
