"""Who may have a conversation of Claude's, as the `claude` that is first in PATH decides it. The next is a pretence."""

from __future__ import annotations

import errno
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.runner.runners import SECONDS, Client, kill, serving
from vibespace.image import claude
from vibespace.image.claude import ANY, COMMANDS, LOCKS, chosen, claims
from vibespace.runner.processes import stat

OURS, OTHER = "06489360-2b30-46ce-9415-0aa9d853845c", "79ed1971-6e08-4fa6-9efc-144ac26dbba9"
PROGRAM = """#!{python}
import json, os, sys
print(json.dumps([sys.argv[1:], os.getpid()]), flush=True)
sys.stdin.read()
sys.exit(7)
"""
"""Says how it was started, and ends with its input."""


class Home:
    """A home, with a `claude` in PATH behind the one that is tried."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.work = path / "work"
        self.work.mkdir()
        bins = path / "bin"
        bins.mkdir()
        (bins / "claude").write_text(PROGRAM.format(python=sys.executable))
        (bins / "claude").chmod(0o755)
        first = path / "first"
        first.mkdir()
        shutil.copy(claude.__file__, first / "claude")
        (first / "claude").chmod(0o755)
        self.env = {"HOME": str(path), "PATH": f"{first}:{bins}:/usr/bin:/bin"}

    def conversation(self, name: str, age: int = 0, directory: str = "", told: str = "") -> None:
        """One that is there."""
        folder = self.path / ".claude/projects" / re.sub("[^A-Za-z0-9]", "-", directory or str(self.work))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.jsonl").write_text(told)
        os.utime(folder / f"{name}.jsonl", (10**9 - age, 10**9 - age))

    def moves(self, pid: int, name: str, start: str = "") -> None:
        """That process says that it has this one."""
        register = self.path / ".claude/sessions"
        register.mkdir(parents=True, exist_ok=True)
        told = {"pid": pid, "procStart": start or str(stat(str(pid))[3]), "sessionId": name}
        (register / f"{pid}.json").write_text(json.dumps(told))

    @contextmanager
    def started(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        process = subprocess.Popen(
            [self.path / "first/claude", *words],
            env=self.env,
            cwd=self.work,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.communicate(timeout=SECONDS)

    @contextmanager
    def has(self, *words: str) -> Iterator[int]:
        """Somebody has typed that, and the program runs."""
        with self.started(*words) as process:
            assert process.stdout
            said = json.loads(process.stdout.readline())
            assert said[0] == [f"--resume={OURS}" if word == "-c" else word for word in words]
            assert said[1] == process.pid
            yield process.pid

    def typed(self, *words: str) -> tuple[int, str]:
        """The exit code of what is typed beside it, and what is said on standard error."""
        with self.started(*words) as process:
            _, said = process.communicate(timeout=SECONDS)
            return process.returncode, said


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    yield Home(tmp_path)
    for pid in serving(tmp_path):
        with Client(tmp_path) as last:
            last.ask({"do": "end"})
        kill(pid)
    with suppress(FileNotFoundError):
        os.unlink(LOCKS + str(tmp_path).replace("/", "-"))


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("", []),
        ("hello", []),
        ("-p hello", []),
        ("-c", [OTHER]),
        ("--continue -p hello", [OTHER]),
        ("-pc hello", [OTHER]),
        ("hello -cp", [OTHER]),
        (f"-r {OURS}", [OURS]),
        (f"--resume {OURS}", [OURS]),
        (f"--resume={OURS}", [OURS]),
        (f"-p hello -r{OURS}", [OURS]),
        (f"-pr {OURS}", [OURS]),
        ("--resume", [ANY]),
        ("-r -p", [ANY]),
        ("-r the-mill", [ANY]),
        (f"-r {OURS[:-1]}g", [ANY]),
        ("--from-pr", [ANY]),
        ("--from-pr=7", [ANY]),
        (f"--session-id {OURS}", [OURS]),
        (f"-r {OURS} --fork-session", []),
        ("--fork-session -c", []),
        (f"--fork-session -r {OTHER} --session-id {OURS}", [OURS]),
        ("-c --help", []),
        ("-cv", []),
        ("-p -- -c", []),
        ("-d -c", [OTHER]),
        ("-dc", []),
        ("-nc -wr", []),
        *((f"{word} -c -r", []) for word in COMMANDS.split()),
    ],
)
def test_what_a_start_takes(words: str, wanted: list[str], home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A conversation that is begun by its id or gone on with; nothing for all else, and for copies."""
    home.conversation(OURS, 2)
    home.conversation(OTHER, 1)
    home.conversation("notes", 0)
    monkeypatch.chdir(home.work)
    assert claims(chosen(words.split(), str(home.path)), str(home.path)) == wanted


@pytest.mark.parametrize(
    ("words", "passed"),
    [
        ("-c", f"--resume={OURS}"),
        ("--continue hello", f"--resume={OURS} hello"),
        ("-dc", "-dc"),
        ("-p -c hello -- -c", f"-p --resume={OTHER} hello -- -c"),
        ("-cp hello", f"--resume={OTHER} -p hello"),
        ("-pcd hello", f"--resume={OTHER} -pd hello"),
        ("--print --continue", f"--print --resume={OTHER}"),
        ("mcp -c", "mcp -c"),
        ("-r", "-r"),
    ],
)
def test_what_is_gone_on_with(words: str, passed: str, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The latest is handed on by its id, so that it is the one that is locked: as the program does it, of those begun
    on a terminal, but of all when it only prints.
    """
    home.conversation(OURS, 2, told='{"type": "mode"}\n{"entrypoint":"cli"}\n{"entrypoint":"sdk-cli"}\n')
    home.conversation(OTHER, 1, told='{"entrypoint":"sdk-cli"}\n{"entrypoint":"cli"}\n')
    monkeypatch.chdir(home.work)
    assert chosen(words.split(), str(home.path)) == passed.split()


def test_what_the_program_may_find_else(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are only others, none is handed on, and it may be any."""
    home.conversation(OTHER, told='{"entrypoint":"sdk-cli"}\n')
    monkeypatch.chdir(home.work)
    assert chosen(["-c"], str(home.path)) == ["-c"]
    assert claims(["-c"], str(home.path)) == [ANY]


def test_there_is_nothing_to_go_on_with(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a directory without conversations none is taken; where its name is too long to know, it may be any."""
    home.conversation(OURS, directory="/elsewhere")
    monkeypatch.chdir(home.work)
    assert claims(["-c"], str(home.path)) == []
    deep = home.work / ("d" * 200)
    deep.mkdir()
    monkeypatch.chdir(deep)
    assert claims(["-c"], str(home.path)) == [ANY]


@pytest.mark.parametrize(
    ("first", "refused", "passes"),
    [
        (
            ["--session-id", OURS],
            [["-c"], ["--resume", OURS], ["--resume"], ["--session-id", OURS], ["-r", "name"]],
            [[], ["-p", "hello"], ["-r", OTHER], ["-c", "--fork-session"], ["mcp", "list"], ["--version"]],
        ),
        (["-c"], [["-c"], ["-r", OURS], ["-r"]], [[], ["-r", OTHER]]),
        (["-r"], [["-c"], ["-r", OTHER], ["-r", OURS]], [[], ["auth", "login"]]),
        ([], [], [["-c"], ["-r"]]),
    ],
)
def test_two_owners(home: Home, first: list[str], refused: list[list[str]], passes: list[list[str]]) -> None:
    """While one lives, another is kept from that conversation, in one sentence, and from nothing else."""
    home.conversation(OURS)
    home.conversation(OTHER, 1)
    with home.has(*first) as pid:
        for words in refused:
            sentence = f"claude: another claude, process {pid}, has this conversation: end it first\n"
            assert home.typed(*words) == (1, sentence)
        for words in passes:
            assert home.typed(*words) == (7, "")
    for words in refused:
        assert home.typed(*words) == (7, "")


def test_an_owner_that_is_killed(home: Home) -> None:
    """Leaves nothing behind that would keep another from it."""
    with home.has("--session-id", OURS) as pid:
        assert home.typed("-r", OURS)[0] == 1
        os.kill(pid, signal.SIGKILL)
    assert home.typed("-r", OURS) == (7, "")


def test_what_an_owner_leaves_running_is_no_owner(home: Home) -> None:
    """Though it has inherited all that is open."""
    (home.path / "bin/claude").write_text("#!/bin/sh\nsleep infinity >/dev/null 2>&1 & echo $!\nexit 3\n")
    with home.started("--session-id", OURS) as process:
        assert process.stdout
        child = int(process.stdout.readline())
        assert process.wait(SECONDS) == 3
        (home.path / "bin/claude").write_text("#!/bin/sh\nexit 4\n")  # which leaves nothing
        try:
            assert home.typed("-r", OURS)[0] == 4
        finally:
            kill(child)


def test_an_owner_that_moves(home: Home) -> None:
    """What it has come to by /clear or /resume is its own; what its register tells of the dead keeps nobody from it."""
    with home.has() as pid:
        home.moves(pid, OURS)
        assert f"process {pid}," in home.typed("-r", OURS)[1]
        assert home.typed("-r", OTHER) == (7, "")
        home.moves(pid, OURS, start="1")  # another process had its number
        assert home.typed("-r", OURS) == (7, "")
        home.moves(pid, OURS)
    assert home.typed("-r", OURS) == (7, "")


@pytest.mark.parametrize("text", ["", "[]", "{}", f'{{"sessionId": "{OURS}", "pid": "x", "procStart": 1}}', "\xff"])
def test_a_register_that_is_none(home: Home, text: str) -> None:
    """Keeps nobody from anything."""
    (home.path / ".claude/sessions").mkdir(parents=True)
    (home.path / ".claude/sessions/1.json").write_text(text, "latin-1")
    assert home.typed("-r", OURS) == (7, "")


def ignored() -> int:
    """The signals that what we begin ignores, because we do: in the background of a shell those of keys."""
    of_python = (signal.SIGPIPE, signal.SIGXFSZ)  # which it ignores itself, and nothing that it begins
    [line] = [each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("SigIgn:")]
    return int(line.split()[1], 16) & ~sum(1 << each - 1 for each in of_python)


def test_it_becomes_the_program(home: Home) -> None:
    """The same process, with the words as they are, of any bytes; no more signals are ignored, and each arrives."""
    words = ["--append-system-prompt", "ä\udcff\n", "", "-p"]
    with home.started(*words) as process:
        assert process.stdout
        assert json.loads(process.stdout.readline()) == [words, process.pid]
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == -signal.SIGTERM
    (home.path / "bin/claude").write_text("#!/bin/sh\ngrep SigIgn /proc/self/status\n")
    with home.started() as process:
        assert process.communicate(timeout=SECONDS) == (f"SigIgn:\t{ignored():016x}\n", "")


def test_there_is_no_program(home: Home) -> None:
    """It says so, and does not become itself."""
    (home.path / "bin/claude").unlink()
    (home.path / "bin/claude").symlink_to(home.path / "first/claude")
    assert home.typed("-p") == (127, "claude: there is no other one in PATH\n")


def test_the_runners_program_is_the_owner(home: Home) -> None:
    """Who types beside it is told how to join it; when it is over, or killed with its runner, he may have it."""
    name = str(uuid.uuid4())
    start: dict[str, Any] = {"do": "start", "argv": ["claude", "--session-id", name], "env": home.env, "cwd": "/"}
    with Client(home.path) as client:
        client.ask(start)
        client.record("stdout")
        join = f"'vibespace connect {os.uname().nodename}'"
        told = f"the agent's own program has this conversation: {join}, where you run vibespace, takes you into it"
        assert home.typed("-r", name) == (1, f"claude: {told}\n")
        client.ask({"do": "end"})
        assert home.typed("-r", name) == (7, "")
        client.ask(start)
        client.record("stdout", times=2)
        assert home.typed("--resume") == (1, f"claude: {told}\n")
        kill(*serving(home.path))
    with Client(home.path) as client:
        client.hello()
        assert home.typed("-r", name) == (7, "")


def test_the_runners_program_finds_an_owner(home: Home) -> None:
    """It ends at once, and its last words say who that is."""
    with home.has("-r", OURS) as pid, Client(home.path) as client:
        client.ask({"do": "start", "argv": ["claude", "--resume", OURS], "env": home.env, "cwd": "/"})
        assert client.exit(1) == {"code": 1}
        assert f"another claude, process {pid}, has".encode() in client.record("stderr")


def test_who_joins_the_agent_waits_for_an_owner(home: Home) -> None:
    """On the agent's own terminal, which shows who that is; it is the program as soon as that one ends."""
    mine, its = pty.openpty()
    with home.has("-r", OURS) as pid:
        joined = subprocess.Popen(
            ["claude", "--resume", OURS],
            executable=home.path / "first/claude",
            env={**home.env, "VIBESPACE_PROGRAM": "x"},
            stdin=its,
            stdout=its,
            stderr=its,
        )
        os.close(its)
        with open(mine, "rb") as seen:
            sentence = f"claude: another claude, process {pid}, has this conversation: end it first\r\n"
            assert seen.readline() == sentence.encode()
            os.kill(pid, signal.SIGKILL)
            assert json.loads(seen.readline())[0] == ["--resume", OURS]
            assert home.typed("-r", OURS)[0] == 1
            joined.kill()
            joined.wait()


def test_an_owner_that_has_just_gone(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the wait: nothing is left to wait for."""
    with subprocess.Popen("/bin/true") as over:
        pass
    owners = iter([over.pid, 0])
    monkeypatch.setenv("HOME", str(home.path))
    monkeypatch.setattr(claude, "_lock", lambda file, conversation: next(owners))
    monkeypatch.setattr(claude, "_runners", lambda pid: pid == os.getpid())
    monkeypatch.setattr(claude, "_become", lambda words: 7)
    monkeypatch.setattr(os, "isatty", lambda file: True)
    assert claude.main(["-r", OURS]) == 7


def test_what_cannot_be_locked(home: Home) -> None:
    """Is gone on with by nobody: that there is an owner cannot be known. What is new is begun all the same."""
    locks = LOCKS + str(home.path).replace("/", "-")
    os.symlink("elsewhere", locks)
    assert home.typed("-r", OURS) == (1, f"claude: {locks}: {os.strerror(errno.ELOOP)}\n")
    assert home.typed("-p") == (7, "")
