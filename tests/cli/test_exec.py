"""exec passes bytes, signals and exit codes, and adds nothing."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from vibespace_cli.handmade import connect

from tests.cli.conftest import Run
from tests.cli.daemon import Daemon
from tests.cli.process import on_terminal, start
from vibespace.client import ATTEMPTS
from vibespace.errors import Unavailable
from vibespace.resume import LOST
from vibespace.v1.agents_pb2 import ExecExit, ExecRequest, ExecResponse
from vibespace.v1.conversations_pb2 import OpenTerminalResponse
from vibespace.v1.credentials_pb2 import GetLoginResponse

EXEC = "AgentService/Exec"
LINE = ["exec", "claude-1@demo", "--", "some", "-x", "--json", "word"]

Requests = Iterator[ExecRequest]


def _exit(code: int) -> ExecResponse:
    return ExecResponse(exit=ExecExit(code=code))


def _echo(requests: Requests) -> Iterator[ExecResponse]:
    for request in requests:
        if request.stdin_closed:
            break
        if request.stdin:
            yield ExecResponse(stdout=request.stdin)
    yield _exit(0)


def test_the_command_is_passed_on_as_it_is(vibespace: Run, daemon: Daemon) -> None:
    """What stands after -- is the command's, flags of ours included, and its exit code is ours."""
    seen: list[Any] = []

    def answer(requests: Requests) -> Iterator[ExecResponse]:
        seen.append(next(requests).start)
        yield ExecResponse(stdout=b"out")
        yield ExecResponse(stderr=b"err")
        yield _exit(7)

    daemon.answers[EXEC] = answer
    done = vibespace(*LINE)
    assert (done.code, done.out, done.err) == (7, "out", "err")
    assert (seen[0].name, list(seen[0].command)) == (
        "vibespaces/demo/agents/claude-1",
        ["some", "-x", "--json", "word"],
    )


def test_input_and_output_are_bytes(daemon: Daemon) -> None:
    """Four megabytes of every byte there is come back as they went."""
    daemon.answers[EXEC] = _echo
    data = bytes(range(256)) * 16384
    process = start(*LINE, stdin=subprocess.PIPE)
    out, err = process.communicate(data)
    assert (process.returncode, out == data, err) == (0, True, b"")


def test_a_terminal_is_not_read_unless_asked_to(daemon: Daemon) -> None:
    """Without -i the command gets an end of input at once; with it, what is typed."""
    daemon.answers[EXEC] = _echo
    assert on_terminal("exec", "a@demo", "--", "cat") == (0, "")
    code, seen = on_terminal("exec", "-i", "a@demo", "--", "cat", typed=b"hello\n\x04")
    assert (code, seen.count("hello")) == (0, 2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_are_for_the_command(daemon: Daemon, number: signal.Signals) -> None:
    """A signal to the command line arrives by name, and the command decides what becomes of it."""
    running = threading.Event()

    def answer(requests: Requests) -> Iterator[ExecResponse]:
        running.set()
        got = next(r.signal for r in requests if r.signal)
        yield ExecResponse(stdout=got.encode())
        yield _exit(42)

    daemon.answers[EXEC] = answer
    process = start(*LINE)
    running.wait()
    process.send_signal(number)
    out, _ = process.communicate()
    assert (process.returncode, out) == (42, number.name.removeprefix("SIG").encode())


def test_a_closed_pipe_ends_it_quietly(daemon: Daemon) -> None:
    """Whoever reads our output may stop: no word on stderr, and the exit code of a broken pipe."""

    def answer(requests: Requests) -> Iterator[ExecResponse]:
        while True:
            yield ExecResponse(stdout=b"y\n" * 30000)

    daemon.answers[EXEC] = answer
    process = start(*LINE)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"y\n"
    process.stdout.close()
    assert (process.wait(), process.stderr.read()) == (128 + signal.SIGPIPE, b"")


def test_a_terminal_of_its_own(daemon: Daemon) -> None:
    """With -t the command gets a terminal like ours; with -i too, keys go through as they are."""
    started: list[Any] = []

    def answer(requests: Requests) -> Iterator[ExecResponse]:
        started.append(next(requests).start)
        yield from _echo(requests)

    daemon.answers[EXEC] = answer
    assert on_terminal("exec", "-t", "a@demo", "--", "top") == (0, "")
    assert (started[0].terminal.type, started[0].terminal.size.rows > 0) == ("xterm", True)


def test_input_for_a_terminal_is_a_terminal(vibespace: Run) -> None:
    """What is piped in cannot be typed: said before anything runs."""
    done = vibespace("exec", "-it", "a@demo", "--", "cat")
    assert (done.code, done.out) == (2, "")
    assert "Leave -t out" in done.err


@pytest.mark.parametrize("more", [(), ("--shell",), ("--take-over",)])
def test_connect_needs_a_terminal(vibespace: Run, daemon: Daemon, more: tuple[str, ...]) -> None:
    """Without one it says what does not, and asks the daemon for nothing."""
    done = vibespace("connect", "a@demo", *more)
    assert (done.code, daemon.requests) == (2, [])
    assert "'vibespace ask'" in done.err
    assert "'vibespace exec AGENT -- COMMAND'" in done.err


def test_who_was_joined_to_a_program_hears_that_it_goes_on(daemon: Daemon) -> None:
    """When the daemon ends; a shell has ended with it."""

    def lost(_: Requests) -> Iterator[ExecResponse]:
        raise Unavailable(LOST, "The daemon ended.")

    daemon.answers["ConversationService/OpenTerminal"] = lambda _: [OpenTerminalResponse(command=["join"])]
    daemon.answers[EXEC] = lost
    code, seen = on_terminal("connect", "a@demo")
    assert (code, "'vibespace connect a@demo' joins it again" in " ".join(seen.split())) == (15, True)
    assert "joins it again" not in on_terminal("connect", "a@demo", "--shell")[1]


def test_who_was_joined_to_what_was_killed_hears_it(daemon: Daemon) -> None:
    """And what joins the agent again; of a shell the exit code says enough."""
    daemon.answers["ConversationService/OpenTerminal"] = lambda _: [OpenTerminalResponse(command=["join"])]
    daemon.answers[EXEC] = lambda _: iter([_exit(137)])
    code, seen = on_terminal("connect", "a@demo")
    said = "ended by signal 9; 'vibespace connect a@demo' joins it again."
    assert (code, said in " ".join(seen.split())) == (137, True)
    assert "joins it again" not in on_terminal("connect", "a@demo", "--shell")[1]


def test_who_waits_for_a_program_does_not_mind_another_daemon(daemon: Daemon) -> None:
    """It is asked again, as often as any call is made."""
    told: list[Any] = []

    def dies(_: Any) -> Iterator[OpenTerminalResponse]:
        told.append(None)
        yield OpenTerminalResponse(waiting="a is at work")
        raise Unavailable(LOST, "The daemon ended.")

    def answer(_: Requests) -> Iterator[ExecResponse]:
        yield _exit(3)

    daemon.answers["ConversationService/OpenTerminal"] = lambda asked: (
        dies(asked) if len(told) < 2 else [OpenTerminalResponse(command=["join"])]
    )
    daemon.answers[EXEC] = answer
    assert on_terminal("connect", "a@demo")[0] == 3
    daemon.answers["ConversationService/OpenTerminal"] = dies
    told.clear()
    assert (on_terminal("connect", "a@demo")[0], len(told)) == (15, ATTEMPTS)


@pytest.mark.parametrize("line", [("login",), ("credential", "login")])
def test_a_login_runs_on_the_terminal(vibespace: Run, daemon: Daemon, line: tuple[str, ...]) -> None:
    """What the daemon says is to be run, with keys passed through, and its exit code is ours; without a terminal it is
    said what does not need one, and nothing is asked.
    """
    started: list[Any] = []

    def answer(requests: Requests) -> Iterator[ExecResponse]:
        started.append(next(requests).start)
        yield ExecResponse(stdout=b"open https://example.org")
        yield _exit(3)

    daemon.answers[EXEC] = answer
    daemon.answers["CredentialService/GetLogin"] = lambda asked: GetLoginResponse(command=["log", "in", asked.name])
    assert on_terminal(*line, "a@demo") == (3, "open https://example.org")
    assert (started[0].terminal.type, list(started[0].command)) == ("xterm", ["log", "in", "vibespaces/demo/agents/a"])
    asked = len(daemon.requests)
    done = vibespace(*line, "a@demo")
    assert (done.code, len(daemon.requests)) == (2, asked)
    assert "'vibespace credential set'" in done.err


def test_the_command_stands_after_two_dashes(vibespace: Run) -> None:
    """Without them, what is an agent and what a command cannot be told."""
    for line in (["exec", "ls"], ["exec"], ["exec", "a@demo", "--"], ["exec", "a@demo", "ls", "-l", "/"]):
        done = vibespace(*line)
        assert (done.code, done.out) == (2, "")
        assert "after '--'" in done.err


def test_a_connection_that_ends_early_is_an_error(vibespace: Run, daemon: Daemon) -> None:
    """No exit code came: that is never taken for 0."""
    daemon.answers[EXEC] = lambda _: iter([ExecResponse(stdout=b"so far")])
    done = vibespace(*LINE)
    assert (done.code, done.out) == (15, "so far")


def test_a_dumb_terminal_shows_no_interface(vibespace: Run, daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said before anybody is interrupted for it."""
    monkeypatch.setattr(connect, "is_terminal", lambda _: True)
    monkeypatch.setenv("TERM", "dumb")
    done = vibespace("connect", "claude-1@demo", "--take-over")
    assert (done.code, "TERM says that this one is dumb" in done.err) == (2, True), done
    assert daemon.asked("ConversationService/OpenTerminal") == []
