"""`exec -it` and `connect --shell` on real containers, driven as a person at a terminal does."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.installation import Installation
from tests.e2e.person import Person, person

pytestmark = pytest.mark.containers


@pytest.fixture(scope="module")
def agent(vs: Installation, demo: str) -> str:
    return f"claude-1@{demo}"


@contextmanager
def shell(vs: Installation, agent: str) -> Iterator[Person]:
    with person(vs, "connect", agent, "--shell") as there:
        there.type("PS1='r''eady> '\n")
        there.sees("ready> ")
        yield there


@pytest.mark.core
@pytest.mark.clustered
def test_a_shell(vs: Installation, agent: str) -> None:
    """A shell where exec begins: our TERM and size, UTF-8, Ctrl-C, its exit code, and our terminal back."""
    with shell(vs, agent) as there:
        there.type("pwd; stty size; echo $TERM ä; sh -c 'echo u''p; sleep 1000'\n")
        there.sees(f"{vs.inside(agent, 'pwd')}\r\n24 80\r\nxterm ä\r\nup")
        assert not there.restored
        there.type("\x03")
        there.sees("ready> ")
        there.type("echo cod''e $?\n")
        there.sees("code 130")
        there.resize(50, 132)
        there.process.send_signal(signal.SIGWINCH)  # it has no controlling terminal to hear it from
        there.type("until [ $(stty size | tr -d ' ') = 50132 ]; do sleep 0.01; done; echo wid''e; exit 7\n")
        there.sees("wide")
        assert there.wait() == 7
        assert there.restored


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_ended_by_a_signal(vs: Installation, agent: str, number: signal.Signals) -> None:
    """A client that is told to end puts the terminal back, and the shell goes."""
    with shell(vs, agent) as there:
        inside = _pid(there)
        there.process.send_signal(number)
        assert there.wait() == 128 + number
        assert there.restored
    _gone(vs, agent, inside)


def test_killed(vs: Installation, agent: str) -> None:
    """A client that is killed takes the shell and its jobs along; what was begun with nohup goes on."""
    with shell(vs, agent) as there:
        inside = _pid(there)
        # It says its own number, so that nohup is in force once we know it.
        loop = "echo pid $$ >/dev/tty; while :; do sleep 0.1; done"
        there.type(f"nohup sh -c '{loop}' >/dev/null 2>&1 </dev/null &\n")
        stays = there.sees(r"pid (\d+)")[1].decode()
        there.process.kill()
    _gone(vs, agent, inside)
    vs.inside(agent, f"kill {stays}")


def test_closed(vs: Installation, agent: str) -> None:
    """A terminal that is closed under the client ends it, and the shell."""
    with shell(vs, agent) as there:
        inside = _pid(there)
        os.close(there.its)
        os.close(there.mine)
        there.wait()
    _gone(vs, agent, inside)


def test_agent_or_daemon_goes(own: Installation) -> None:
    """When the agent is stopped, or the daemon is killed, the terminal is back, and one sentence says so."""
    own.ok("create", "demo", "-t", "claude-code")
    ends: list[tuple[Any, int]] = [(own.restart, 15), (lambda: own.ok("stop", "demo"), 16)]
    for end, code in ends:
        with shell(own, "claude-1@demo") as there:
            end()
            assert there.wait() == code
            assert there.restored
            there.sees(r"vibespace:\S* [A-Z](?s:.*)\.\s")


def test_not_interactive(vs: Installation, agent: str) -> None:
    """With -t alone nothing typed is passed on, and Ctrl-C is a signal for the command."""
    with person(vs, "exec", "-t", agent, "--", "sh", "-c", "tty -s && echo up; exec sleep 1000") as there:
        there.sees("up")
        assert there.restored
        there.process.send_signal(signal.SIGINT)
        assert there.wait() == 130


def test_no_terminal_here(vs: Installation, agent: str) -> None:
    """-t without -i needs none of ours: what a program shows on one can be had in a file."""
    assert vs.inside(agent, "ls -d --color=auto /tmp") == "/tmp"
    assert "\x1b[" in vs.ok("exec", "-t", agent, "--", "ls", "-d", "--color=auto", "/tmp", env={"TERM": "xterm"})


def _pid(there: Person) -> str:
    there.type("echo p''id $$\n")
    return there.sees(r"pid (\d+)")[1].decode()


def _gone(vs: Installation, agent: str, pid: str) -> None:
    """Return when that process inside has ended."""
    vs.inside(agent, f"while kill -0 {pid} 2>/dev/null; do sleep 0.01; done")
