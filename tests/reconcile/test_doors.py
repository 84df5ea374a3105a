"""A program's own interface in tmux: how it is kept, and how it is taken from who looks at it. With the real tmux."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.app.house import create
from tests.app.talking import line, program_started, say
from tests.harness.echo import Echo
from tests.reconcile.site import site
from vibespace.app.settings import wanted
from vibespace.harness.base import Command
from vibespace.reconcile import doors
from vibespace.reconcile.doors import Doors

WHOSE = ("demo", "claude-1")
PROGRAM = """\
trap 'echo "asked to end" > ended; exit 7' TERM
echo "I am here"
while :; do read -r line && echo "heard $line"; done
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A home with our settings, and a tmux of its own."""
    for name, text in doors.FILES.items():
        assert isinstance(text, str)
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    home = str(tmp_path)
    return {"PATH": os.environ["PATH"], "HOME": home, "TMUX_TMPDIR": home, "TERM": "xterm", "SHELL": "/bin/sh"}


@contextmanager
def kept(tmp_path: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """What the runner starts, with a pipe as its standard input."""
    argv = doors.in_tmux(Command(("sh", "-c", PROGRAM))).argv
    process = subprocess.Popen(argv, cwd=tmp_path, env=environment, stdin=subprocess.PIPE)
    try:
        yield process
    finally:
        subprocess.run(("tmux", "-L", "vibespace", "kill-server"), env=environment, capture_output=True)
        process.kill()
        process.wait()
        assert process.stdin
        process.stdin.close()


class Looking:
    """Somebody who is attached to it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._mine, its = pty.openpty()
        self.process = subprocess.Popen(doors.JOIN, env=environment, stdin=its, stdout=its, stderr=its, process_group=0)
        os.close(its)
        self._seen = b""

    def sees(self, pattern: str) -> None:
        """Return when the screen has shown it."""
        while not (found := re.search(pattern.encode(), self._seen)):
            assert select.select([self._mine], [], [], 60)[0], self._seen
            self._seen += os.read(self._mine, 65536)
        self._seen = self._seen[found.end() :]

    def type(self, keys: str) -> None:
        os.write(self._mine, keys.encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._mine)


@contextmanager
def looking(environment: dict[str, str]) -> Iterator[Looking]:
    somebody = Looking(environment)
    try:
        yield somebody
    finally:
        somebody.close()


def below(pid: int) -> list[str]:
    """What its children that live are called: what hears of the end `tmux: client`, what hears us `sh`."""
    found = subprocess.run(("ps", "-o", "comm=", "--ppid", str(pid)), capture_output=True, text=True)
    return [name.partition(":")[0] for name in found.stdout.splitlines() if not name.endswith("<defunct>")]


def test_it_is_taken_from_who_looks(tmp_path: Path, environment: dict[str, str]) -> None:
    """Who looks is told why, in a whole sentence and on a terminal that is as before; the program is asked to end, and
    then it is over.
    """
    with kept(tmp_path, environment) as program, looking(environment) as somebody:
        somebody.sees("I am here")
        assert program.stdin
        program.stdin.write(doors.LEAVE + b"\n")
        program.stdin.flush()
        somebody.sees("A message takes over .*--take-over.*vibespace connect\r\n")
        assert somebody.process.wait(60) == 0
        assert program.wait(60) == 0
        assert (tmp_path / "ended").read_text() == "asked to end\n"


def test_it_is_interrupted_by_its_key(tmp_path: Path, environment: dict[str, str]) -> None:
    """As often as is asked, whoever looks; it goes on."""
    with kept(tmp_path, environment) as program, looking(environment) as somebody:
        somebody.sees("I am here")
        assert program.stdin
        for words in ("one", "two"):
            program.stdin.write(doors.INTERRUPT + b"\n")
            program.stdin.flush()
            somebody.sees(r"\^\[")
            somebody.type(f"{words}\r")
            somebody.sees(f"heard .*{words[1:]}")  # after an escape a letter does not show
        program.stdin.write(doors.LEAVE + b"\n")
        program.stdin.flush()
        assert program.wait(60) == 0


def test_who_looks_hears_that_it_has_ended(tmp_path: Path, environment: dict[str, str]) -> None:
    """Though what runs it then ends tmux with all that is left, and does not see him."""
    with kept(tmp_path, environment) as program, looking(environment) as somebody:
        somebody.sees("I am here")
        panes = ("tmux", "-L", "vibespace", "list-panes", "-a", "-F", "#{pid} #{pane_pid}")
        server, leader = map(int, subprocess.check_output(panes, env=environment).split())
        handle = os.pidfd_open(server)
        os.kill(leader, signal.SIGKILL)
        assert program.wait(60) == 0
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        os.close(handle)
        assert somebody.process.wait(60) == 0
        somebody.sees(r"\[exited\]")


def test_who_joins_waits_until_it_is_there(tmp_path: Path, environment: dict[str, str]) -> None:
    """However soon he is."""
    with looking(environment) as somebody, kept(tmp_path, environment):
        somebody.sees("I am here")


def test_nobody_need_look(tmp_path: Path, environment: dict[str, str]) -> None:
    """Then it just ends."""
    with kept(tmp_path, environment) as program:
        with looking(environment) as somebody:
            somebody.sees("I am here")
        assert program.stdin
        program.stdin.write(doors.LEAVE + b"\n")
        program.stdin.flush()
        assert program.wait(60) == 0
        assert (tmp_path / "ended").exists()


def test_it_goes_on_when_nothing_is_said_to_it_any_more(tmp_path: Path, environment: dict[str, str]) -> None:
    """As when its runner is gone: who looks is not told what is not so."""
    with kept(tmp_path, environment) as program, looking(environment) as somebody:
        somebody.sees("I am here")
        assert program.stdin
        program.stdin.close()
        while "sh" in below(program.pid):
            pass
        somebody.type("words\r")
        somebody.sees("heard words")
        assert program.poll() is None


def test_nobody_stays_on_a_former_conversation(tmp_path: Path, environment: dict[str, str]) -> None:
    """Who looks is told, and what he looked at is over, before the program for another one runs; if anybody does."""
    with kept(tmp_path, environment) as program, looking(environment) as somebody:
        somebody.sees("I am here")
        for _ in range(2):
            begun = subprocess.run(doors.alone(Command(("echo", "begun"))).argv, env=environment, capture_output=True)
            assert (begun.returncode, begun.stdout, begun.stderr) == (0, b"begun\n", b"")
        somebody.sees("Another conversation was begun .*vibespace connect\r\n")
        assert somebody.process.wait(60) == program.wait(60) == 0


async def test_what_a_daemon_does_not_hear_nobody_is_sent_to(tmp_path: Path) -> None:
    """The log may have a program that is gone: one that a person began in its place would not be heard at all."""
    async with site(tmp_path) as made:
        for command in (create(), say(), program_started(on_terminal=True)):
            await made.house.ask(command)
        await made.house.ask(line(*WHOSE, {"kind": "conversation_switched", "conversation": "c"}))
        agent = made.agent()
        there = Doors(made.feed, {"claude-code": Echo()}, wanted, lambda agent: "/vibespace")
        assert there.command(agent) == ()
        made.feed.hear(agent.uid, heard=True)
        assert there.command(agent)
