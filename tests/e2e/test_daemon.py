"""The daemon comes when it is needed, once, and can go at any moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.installation import Installation

pytestmark = pytest.mark.containers


def daemons(own: Installation) -> list[int]:
    """Process ids of all daemons that serve this state directory."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                command = (process / "cmdline").read_bytes().split(b"\0")
                environment = (process / "environ").read_bytes().split(b"\0")
            except OSError:
                continue  # it ended meanwhile
            if b"vibespace.daemon" in command and f"VIBESPACE_HOME={own.home}".encode() in environment:
                found.append(int(process.name))
    return found


def told(own: Installation) -> list[Any]:
    """What is answered, without what is measured: that changes all the time."""

    def kept(found: Any) -> Any:
        if isinstance(found, dict):
            return {name: kept(value) for name, value in found.items() if name != "usage"}
        return [kept(value) for value in found] if isinstance(found, list) else found

    return [kept(own.data(*words)) for words in (["info", "demo"], ["list"], ["agent", "list"])]


@pytest.mark.here("the daemon is killed, and the next one starts beside its client")
def test_one_daemon(own: Installation) -> None:
    """Twenty commands at once start exactly one daemon, and are all answered; a second one is refused with its pid."""
    own.kill()
    running = [own.popen("list") for _ in range(20)]
    assert [process.communicate()[1] for process in running] == [""] * 20
    assert [process.returncode for process in running] == [0] * 20
    assert daemons(own) == [own.pid]
    second = subprocess.run(
        [sys.executable, "-m", "vibespace.daemon"], env=own.environment(), capture_output=True, text=True
    )
    assert second.returncode != 0
    assert second.stderr == f"A daemon runs here already, with process id {own.pid}.\n"
    assert daemons(own) == [own.pid]


@pytest.mark.here("the daemon is killed, and the next one starts beside its client")
@pytest.mark.core
@pytest.mark.clustered
def test_ends_and_comes_back(own: Installation) -> None:
    """Killed or asked to end, the next command finds everything: running agents, files, history, and the same answers.

    Then everything rests and comes back: what ran, runs; an agent that was stopped on its own stays stopped.
    """
    own.ok("create", "demo", "-t", "claude-code")
    own.ok("agent", "create", "--vibespace", "demo", "-t", "codex")
    own.inside("claude-1@demo", "echo mine > ~/file; nohup sleep 1000 >/dev/null 2>&1 & echo $! > ~/pid")
    answers = told(own)
    history = own.events()
    for number in (signal.SIGKILL, signal.SIGTERM):
        own.kill(number)
        assert not own.alive()
        assert told(own) == answers
        assert own.inside("claude-1@demo", "cat ~/file; kill -0 $(cat ~/pid) && echo runs") == "mine\nruns"
        assert own.events() == history

    own.ok("agent", "stop", "codex-1@demo")
    own.ok("create", "quiet", "-t", "codex")
    own.ok("stop", "quiet")
    pid = own.pid
    own.ok("stop")
    assert daemons(own) == []
    assert own.objects()["containers"] == []
    assert own.vibespace("demo")["status"]["state"] == "stopped"  # looking wakes nothing but a daemon
    assert own.pid != pid
    assert own.objects()["containers"] == []
    assert own.refused("start", "demo")[:2] == (16, "AT_REST")
    own.ok("start")
    states = {a["name"].removeprefix("vibespaces/"): a["status"]["state"] for a in own.data("agent", "list")["agents"]}
    assert states == {
        "demo/agents/claude-1": "running",
        "demo/agents/codex-1": "stopped",
        "quiet/agents/codex-1": "stopped",
    }
    assert own.inside("claude-1@demo", "cat ~/file") == "mine"


@pytest.mark.here("the daemon is killed, and the next one starts beside its client")
def test_follower_outlives_the_daemon(own: Installation) -> None:
    """Who follows the history misses nothing and is told nothing twice when the daemon is killed."""
    with own.popen("events", "--follow") as following:
        assert following.stdout is not None
        own.ok("create", "one", "-t", "codex", "--no-wait")
        own.kill()
        own.ok("create", "two", "-t", "codex")
        seen = []
        for line in following.stdout:
            seen.append(line)
            if '"vibespace_generation":1' in line and "vibespaces/two/" in line:
                break
        following.kill()
    assert "".join(seen) == "".join(own.ok("events").splitlines(keepends=True)[: len(seen)])


def test_interrupted_wait(own: Installation) -> None:
    """Ctrl-C while a create is waited for is exit code 14, and the work goes on."""
    with own.popen("events", "--follow", "--type", "vibespace") as following:
        with own.popen("create", "slow", "-t", "codex") as creating:
            assert following.stdout is not None
            assert "vibespace.created" in following.stdout.readline()
            creating.send_signal(signal.SIGINT)
            assert creating.wait() == 14
            assert creating.stderr is not None
            assert "Traceback" not in creating.stderr.read()
        following.kill()
    assert own.inside("codex-1@slow", "echo works") == "works"


@pytest.mark.here("the daemon is killed, and the next one starts beside its client")
def test_no_secrets_anywhere(own: Installation) -> None:
    """Private keys are in their 0600 files and in the container only: not in log, labels, arguments or notes."""
    own.kill()
    own.ok("create", "secret", "-t", "codex", env={"VIBESPACE_DEBUG": "1"})
    own.ok("exec", "codex-1@secret", "--", "true")
    secrets = [_body(file.read_bytes()) for file in (own.home / "keys").iterdir()]
    assert len(secrets) >= 2
    told = [str(own.call("get", f"/containers/{own.objects()['containers'][0]}/json")).encode()]
    kept = [file for file in own.home.rglob("*") if file.is_file() and file.parent.name != "keys"]
    assert {"events.db", "debug.log"} <= {file.name for file in kept}
    told += [file.read_bytes() for file in kept]
    for pid in (own.pid, *_of_container(own)):
        told += [Path(f"/proc/{pid}/cmdline").read_bytes(), Path(f"/proc/{pid}/environ").read_bytes()]
    assert [secret for secret in secrets for text in told if secret in text] == []
    assert own.inside("codex-1@secret", "stat -c '%a %U %G' /etc/vibespace/ssh/host_key") == "440 root agent"


def _body(key: bytes) -> bytes:
    """The part of a key file that only it has: its last whole line."""
    return [line for line in key.splitlines() if not line.startswith(b"-----")][-2]


def _of_container(own: Installation) -> list[int]:
    found = own.call("get", f"/containers/{own.objects()['containers'][0]}/json")
    first = int(found["State"]["Pid"])
    children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
    assert os.path.exists(f"/proc/{first}")
    return [first, *map(int, children)]
