"""The daemon as a process: one a state directory, private, and orderly at its end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import grpc
import pytest

from tests.daemon.process import daemon, start
from tests.daemon.running import initialize
from vibespace.app.log import Log
from vibespace.daemon import lock
from vibespace.errors import FailedPrecondition
from vibespace.launch import LOCKED, ensure_home
from vibespace.state import State
from vibespace.v1 import agents_pb2 as a
from vibespace.v1 import system_pb2 as s
from vibespace.v1 import vibespaces_pb2 as v
from vibespace.v1.system_pb2_grpc import SystemServiceStub
from vibespace.v1.vibespaces_pb2_grpc import VibespaceServiceStub


def dial(home: Path) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(f"unix:{quote(str(State(home).socket))}")


async def pid_of(home: Path) -> int:
    """As the daemon that answers there says it."""
    async with dial(home) as channel:
        return (await SystemServiceStub(channel).GetStatus(s.GetStatusRequest())).daemon.pid


def modes(directory: Path) -> dict[str, int]:
    """Of what is in it; a daemon at work replaces files there."""
    found = {}
    for path in directory.iterdir():
        with suppress(FileNotFoundError):
            found[path.name] = stat.S_IMODE(path.stat().st_mode)
    return found


async def test_a_state_directory_has_one_daemon_and_belongs_to_its_user(tmp_path: Path) -> None:
    """The directory is 0700 and what is in it nobody else's; a second daemon is refused with the first one's pid; what
    a killed one leaves, its socket and its lock, is in nobody's way.
    """
    home = tmp_path / "a home%41 #?"
    with daemon(home) as first:
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        assert {name for name, mode in modes(home).items() if mode & 0o077} == set()
        assert stat.S_ISSOCK(State(home).socket.stat().st_mode)
        assert await pid_of(home) == first.pid
        second, serves = start(home)
        _, said = second.communicate()
        assert (serves, second.returncode) == (False, LOCKED)
        assert said == f"A daemon runs here already, with process id {first.pid}.\n"
        assert await pid_of(home) == first.pid
        first.kill()
        first.wait()
        assert State(home).socket.exists()
        with daemon(home) as third:
            assert await pid_of(home) == third.pid


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
async def test_an_orderly_end_loses_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """Told to end amid commands, the daemon ends with 0, and every command that was answered is in the log, once."""
    home = tmp_path / "home"
    answered: dict[str, int] = {}
    ten = asyncio.Event()

    async def ask(channel: grpc.aio.Channel, client: int) -> None:
        kind = a.AgentSettings(type=a.AGENT_TYPE_CODEX)
        try:
            for n in range(1000):
                name = f"c{client}-{n}"
                request = v.CreateVibespaceRequest(vibespace_id=name, agent=kind, request_id=name)
                answer = await VibespaceServiceStub(channel).CreateVibespace(request)
                answered[name] = answer.cursor.position
                if len(answered) == 10:
                    ten.set()
        except grpc.aio.AioRpcError as e:
            if e.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                raise

    with daemon(home) as process:
        async with dial(home) as channel:
            await initialize(channel)
            asking = asyncio.gather(*(ask(channel, client) for client in range(5)))
            await ten.wait()
            process.send_signal(number)
            await asking
        assert process.stderr
        assert (process.stderr.read(), process.wait()) == ("", 0)
    log = Log(State(home).log)
    log.load()
    found = [r for r in log.read(0, 100_000) if r.topic == "agent.created"]
    log.close()
    requests = [recorded.body["request_id"] for recorded in found]
    assert len(set(requests)) == len(requests)
    assert {r.body["request_id"]: r.position for r in found if r.body["request_id"] in answered} == answered


async def test_it_tells_what_it_does_when_asked(tmp_path: Path) -> None:
    """debug.log is there with VIBESPACE_DEBUG=1 only, and each of its lines is a JSON object."""
    home = tmp_path / "home"
    with daemon(home) as process:
        assert not State(home).debug_log.exists()
        process.terminate()
        process.wait()
    with daemon(home, VIBESPACE_DEBUG="1") as process:
        async with dial(home) as channel:
            await initialize(channel)
        process.terminate()
        process.wait()
    lines = [json.loads(line) for line in State(home).debug_log.read_text().splitlines()]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    assert "called: SystemService/Initialize" in [line["message"] for line in lines]


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda home: home.chmod(0o755), "can be reached by other users"),
        (lambda home: (home / "events.db").write_bytes(b"not a database, by far"), "is not a log that can be read"),
        (lambda home: (home / "daemon.sock").mkdir(), "daemon.sock"),
    ],
    ids=["open to others", "no log", "no socket"],
)
def test_what_it_cannot_serve_is_one_sentence(tmp_path: Path, break_it: object, said: str) -> None:
    """A daemon that cannot serve ends with 1 and one line that says why."""
    home = tmp_path / "home"
    ensure_home(home)
    assert callable(break_it)
    break_it(home)
    process, serves = start(home)
    _, stderr = process.communicate()
    assert (serves, process.returncode) == (False, 1)
    assert said in stderr
    assert stderr.count("\n") == 1


def test_a_lock_is_held_by_one_and_let_go_with_its_descriptor(tmp_path: Path) -> None:
    """The second to take the lock hears the first one's pid; once the first is gone it can be taken."""
    held = lock.hold(tmp_path / "lock")
    with pytest.raises(FailedPrecondition) as e:
        lock.hold(tmp_path / "lock")
    assert (e.value.reason, e.value.metadata) == ("DAEMON_RUNNING", {"pid": str(os.getpid())})
    os.close(held)
    os.close(lock.hold(tmp_path / "lock"))
