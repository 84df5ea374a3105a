"""The daemon is there when it is needed, once, and for its owner alone."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.asroot import nobody
from tests.client.calling import end, init, status
from tests.relays import join
from vibespace import client, launch
from vibespace.client import Client
from vibespace.daemon import lock
from vibespace.errors import FailedPrecondition, PermissionDenied, Unavailable
from vibespace.setup import uninstall
from vibespace.state import State
from vibespace.v1.events_pb2 import StreamEventsRequest, StreamEventsResponse, WatchRequest, WatchResponse
from vibespace.v1.system_pb2 import (
    GetStatusRequest,
    GetStatusResponse,
    RestRequest,
    RestResponse,
)


def test_a_call_starts_the_daemon(state: State) -> None:
    """Nothing runs; the call is answered all the same, by a daemon of this state directory."""
    assert status(state).daemon.home == str(state.home)


def test_twenty_callers_at_once_start_one_daemon(state: State) -> None:
    """Processes that all find no daemon end up with the same one, and none fails."""
    ask = (
        "from pathlib import Path; from vibespace.client import Client; from vibespace.state import State;"
        "from vibespace.v1.system_pb2 import *;"
        f"s = State(Path({str(state.home)!r}));"
        "print(Client(s).unary('SystemService/GetStatus', GetStatusRequest(), GetStatusResponse).daemon.pid)"
    )

    def caller(_: int) -> str:
        line = [sys.executable, "-c", ask]
        return subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True).stdout

    with ThreadPoolExecutor(20) as callers:
        pids = set(callers.map(caller, range(20)))
    assert pids == {f"{status(state).daemon.pid}\n"}


def test_a_killed_daemon_is_started_again_by_the_next_call_on_the_same_channel(state: State) -> None:
    """kill -9 between two calls of one client costs the second nothing but time."""
    caller = Client(state)
    first = caller.unary("SystemService/GetStatus", GetStatusRequest(), GetStatusResponse)
    end(state, signal.SIGKILL)
    second = caller.unary("SystemService/GetStatus", GetStatusRequest(), GetStatusResponse)
    assert first.daemon.pid != second.daemon.pid
    assert first.cursor.log_id == second.cursor.log_id


def test_a_socket_that_nobody_serves_is_replaced(state: State) -> None:
    """A stale socket file, as kill -9 leaves one, is no daemon."""
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(state.socket))
    assert not launch.answers(state.socket)
    assert status(state).daemon.home == str(state.home)


def test_a_daemon_that_cannot_start_says_why(state: State) -> None:
    """The caller reads the reason, the sentence and the hint, as if the daemon had answered."""
    state.log.mkdir()
    with pytest.raises(FailedPrecondition) as refused:
        status(state)
    assert refused.value.reason == "LOG_UNUSABLE"
    assert str(state.log) in refused.value.message
    assert "backup" in refused.value.hint


def test_a_daemon_that_dies_without_a_word(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """When not even the reason could be told, its exit code and its last line on stderr are."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(Unavailable) as refused:
        status(state)
    assert refused.value.reason == "DAEMON_NOT_STARTED"
    assert "exit code 1" in refused.value.message


def test_a_state_directory_that_others_can_enter_is_refused(state: State) -> None:
    """The directory's mode is what keeps other users from the socket."""
    state.home.chmod(0o750)
    with pytest.raises(PermissionDenied) as refused:
        status(state)
    assert refused.value.reason == "HOME_NOT_PRIVATE"
    state.home.chmod(0o700)


def test_the_command_that_closes_a_state_directory_is_one_to_a_shell(tmp_path: Path) -> None:
    """Typed as it is told, it closes that directory, whatever its name is."""
    home = tmp_path / "a home; it's"
    home.mkdir(mode=0o750)
    with pytest.raises(PermissionDenied) as refused:
        launch.ensure_home(home)
    subprocess.run(refused.value.hint.removeprefix("Close it: "), shell=True, check=True)
    launch.ensure_home(home)


def test_a_state_directory_of_somebody_else_is_refused(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever owns it could serve a socket of their own there."""
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    with pytest.raises(PermissionDenied) as refused:
        launch.ensure_daemon(state)
    assert refused.value.reason == "HOME_NOT_USABLE"


def test_a_file_is_no_state_directory(state: State) -> None:
    """What is in the way is named."""
    taken = State(state.home / "file")
    taken.home.touch()
    with pytest.raises(PermissionDenied, match="is not a directory"):
        launch.ensure_daemon(taken)


def test_a_new_state_directory_is_for_its_owner_alone(state: State) -> None:
    """Made with mode 0700, with the directories above it, whatever the umask."""
    before = os.umask(0)
    try:
        launch.ensure_home(state.home / "a" / "b")
    finally:
        os.umask(before)
    assert (state.home / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_a_daemon_that_hangs_before_it_serves_is_given_up(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller hears which process it is and how to end it; who asks next waits no longer."""
    ends = state.home / "ends"
    os.mkfifo(ends)
    program = state.home / "hangs"
    program.write_text(f"#!/bin/sh\nexec cat {ends}\n")  # until somebody writes, which nobody does
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(launch, "PATIENCE", 0.2)
    with pytest.raises(Unavailable) as refused:
        status(state)
    assert refused.value.reason == "DAEMON_SILENT"
    pid = int(refused.value.hint.rpartition(" ")[2])
    assert f"process id {pid}" in refused.value.message
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_a_daemon_that_keeps_its_lock_and_serves_nobody_is_given_up(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was there before: it is named as well, and nothing is done to it."""
    held = lock.hold(state.lock)
    monkeypatch.setattr(launch, "PATIENCE", 0.2)
    monkeypatch.setattr(launch, "_start", lambda *_: launch.LOCKED)  # what a second daemon ends with, however slowly
    try:
        with pytest.raises(Unavailable, match=f"process id {os.getpid()}") as refused:
            status(state)
    finally:
        os.close(held)
    assert refused.value.reason == "DAEMON_SILENT"


def _waiting_for_uninstall(state: State, monkeypatch: pytest.MonkeyPatch, call: Callable[[], object]) -> Future[object]:
    """`call`, made while `uninstall --keep-data` keeps any daemon from being started; returns once that is done."""
    waiting, take, calls = threading.Event(), launch._take, list[Future[object]]()

    def told(lock: int, how: int, until: float | None) -> bool:
        waiting.set()  # it has the file open, which is taken away before the lock on it is free
        return take(lock, how, until)

    def progress(text: str) -> None:
        if text == f"Removing {state.home}":
            calls.append(callers.submit(call))
            assert waiting.wait(60)

    plan = uninstall.plan(state, keep_data=True)
    assert plan is not None
    with monkeypatch.context() as patched, ThreadPoolExecutor(1) as callers:
        patched.setattr(launch, "_take", told)
        uninstall.carry_out(plan, progress, nobody)
    [made] = calls
    return made


def test_an_init_that_waited_for_uninstall_brings_the_data_back(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it was to find was not there yet when it came: the marker is read by who has the lock."""
    init(state, image="before")
    before = status(state)
    _waiting_for_uninstall(state, monkeypatch, lambda: init(state, image="after")).result()
    after = status(state)
    assert (after.host.image, after.cursor.log_id) == ("after", before.cursor.log_id)
    assert after.daemon.pid != before.daemon.pid
    assert not launch.uninstalled(state)


def test_others_that_waited_for_uninstall_start_nothing(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are told what they would have been told afterwards."""
    init(state)
    refused = _waiting_for_uninstall(state, monkeypatch, lambda: status(state)).exception()
    assert isinstance(refused, FailedPrecondition)
    assert (refused.reason, refused.hint) == ("UNINSTALLED", "'vibespace init' brings it back.")
    assert launch.uninstalled(state)
    assert not state.socket.exists()


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    while not all("State:\tT" in (thread / "status").read_text() for thread in Path(f"/proc/{pid}/task").iterdir()):
        os.sched_yield()  # until the last thread has heard of it: one that has not may still greet us
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_daemon_that_hangs_while_it_serves_is_given_up(state: State) -> None:
    """It took the connection and says no word (10 s, which are what gRPC gives it, and then we)."""
    pid = status(state).daemon.pid
    with _stopped(pid), pytest.raises(Unavailable, match=f"process id {pid}") as refused:
        status(state)
    assert refused.value.reason == "DAEMON_SILENT"


IMPATIENT = (
    *(option for option in client.OPTIONS if "keepalive" not in option[0] and "ping_timeout" not in option[0]),
    ("grpc.keepalive_time_ms", 100),
    ("grpc.keepalive_timeout_ms", 1000),
    ("grpc.http2.ping_timeout_ms", 1000),
)
"""As OPTIONS, in less time."""


def test_where_nobody_is_let_in_any_more(state: State) -> None:
    """A socket at which too many wait already is one that listens, and hangs; nobody waits there for ever."""
    state.home.mkdir(mode=0o700, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listening, ExitStack() as stack:
        listening.bind(os.fspath(state.socket))
        listening.listen(1)
        waiting = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(9)]
        for each in waiting:
            each.setblocking(False)
        assert errno.EAGAIN in [each.connect_ex(os.fspath(state.socket)) for each in waiting]
        assert launch.answers(state.socket)
        assert launch.hangs(state.socket)


def test_a_daemon_that_hangs_amid_a_call_is_given_up(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has answered before; whoever waits for more of it is told which process to end."""
    monkeypatch.setattr(client, "OPTIONS", IMPATIENT)
    monkeypatch.setattr(launch, "FIRST_WORD", 0.5)
    init(state)
    pid = status(state).daemon.pid
    history = Client(state).follow("EventService/StreamEvents", StreamEventsRequest(follow=True), StreamEventsResponse)
    next(history)
    with _stopped(pid), pytest.raises(Unavailable, match=f"process id {pid}") as refused:
        list(history)
    assert refused.value.reason == "DAEMON_SILENT"


def test_what_is_resumed_does_not_undo_a_stop(state: State) -> None:
    """The daemon that ended at rest stays away until somebody asks for one; whoever that is finds it again."""
    init(state)
    first = status(state).daemon.pid
    Client(state).unary("SystemService/Rest", RestRequest(), RestResponse)
    launch.wait_until_ended(state)
    assert launch.holder(state) == str(first)
    with pytest.raises(FailedPrecondition) as refused:
        list(Client(state).stream("EventService/Watch", WatchRequest(resumed=True), WatchResponse))
    assert (refused.value.reason, launch.answers(state.socket)) == ("AT_REST", False)
    assert first != status(state).daemon.pid == int(launch.holder(state))


def test_a_quiet_stream_goes_on(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that gives signs of life is waited for, however often it is asked: it hangs up on nobody for that.

    Six seconds, for gRPC asks once a second at most, and gRPC's own patience with who asks ends after three.
    """
    monkeypatch.setattr(client, "OPTIONS", IMPATIENT)
    init(state)
    cursor = status(state).cursor
    enough, alive = threading.Event(), 0
    behind = State(state.home / "relay")
    behind.home.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as served:
        listening.bind(str(behind.socket))
        listening.listen()
        served.connect(str(state.socket))

        def count(data: bytes) -> None:
            nonlocal alive
            alive += data.count(b"\0\0\x08\6\1")  # the head of a PING that is an answer (RFC 9113, 6.7)
            if alive > 5:
                enough.set()

        def relay() -> None:
            listening.accept()[0].close()  # who only looks whether anybody listens
            asked = listening.accept()[0]
            join(asked, served, count)
            asked.close()

        relaying = threading.Thread(target=relay)
        relaying.start()
        request = StreamEventsRequest(follow=True, after=cursor)
        follower = Client(behind)
        history = follower.stream("EventService/StreamEvents", request, StreamEventsResponse)
        told = ThreadPoolExecutor(1).submit(lambda: next(r for r in history if r.events))
        assert enough.wait(60)
        init(state, image="another")
        assert told.result(60).events[0].cursor.position == cursor.position + 1
        follower.close()
        relaying.join()
