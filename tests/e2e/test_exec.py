"""`exec` on real containers: bytes, exit codes, signals, closed pipes."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from tests.e2e.installation import Installation, on_terminal

pytestmark = pytest.mark.containers


@pytest.fixture(scope="module")
def agent(vs: Installation, demo: str) -> str:
    return f"claude-1@{demo}"


@pytest.mark.core
@pytest.mark.clustered
def test_bytes(vs: Installation, agent: str) -> None:
    """What goes in comes out, byte for byte, megabytes of it."""
    sent = os.urandom(5 << 20)
    line = vs.command("exec", agent, "--", "cat")
    done = subprocess.run(line, env=vs.environment(), input=sent, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == sent


@pytest.mark.core
@pytest.mark.clustered
def test_words(vs: Installation, agent: str) -> None:
    """Words arrive as they were typed: no shell reads them on the way."""
    words = ["a b", "$HOME", "'", '"', "*", "", "\\", "line\nbreak", "ä€𝄞", "-n", "--json", ";", "`id`"]
    assert vs.ok("exec", agent, "--", "printf", "<%s>\\0", *words) == "".join(f"<{word}>\0" for word in words)


@pytest.mark.core
@pytest.mark.clustered
@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -9 $$", 137)])
def test_exit_codes(vs: Installation, agent: str, script: str, code: int) -> None:
    """The exit code is the command's own."""
    assert vs.run("exec", agent, "--", "sh", "-c", script).returncode == code


@pytest.mark.core
@pytest.mark.clustered
def test_both_outputs(vs: Installation, agent: str) -> None:
    """The command's stdout and stderr stay apart."""
    done = vs.run("exec", agent, "--", "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_unknown_program(vs: Installation, agent: str) -> None:
    """A program that is not there is the shell's 127."""
    done = vs.run("exec", agent, "--", "no-such-program")
    assert done.returncode == 127
    assert "no-such-program" in done.stderr


@pytest.mark.core
@pytest.mark.clustered
def test_directory(vs: Installation, agent: str) -> None:
    """Commands begin in a directory that is kept, as the agent's user, with no standing powers."""
    assert vs.inside(agent, "id -u; grep CapEff /proc/self/status").split() == ["1000", "CapEff:", "0" * 16]
    assert vs.inside(agent, "pwd").startswith("/vibespace")


@pytest.mark.core
@pytest.mark.clustered
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=lambda v: str(int(v))
)
def test_signals(vs: Installation, agent: str, number: signal.Signals, code: int) -> None:
    """A signal to the client is the command's: it ends inside, and the exit code says of what."""
    with vs.popen("exec", agent, "--", "sh", "-c", "echo $$; exec sleep 1000") as process:
        assert process.stdout is not None
        inside = process.stdout.readline().strip()
        process.send_signal(number)
        assert process.wait() == code
    assert vs.inside(agent, f"test -e /proc/{inside} || echo gone") == "gone"


@pytest.mark.core
@pytest.mark.clustered
def test_client_killed(vs: Installation, agent: str) -> None:
    """A client that is killed takes its command with it."""
    vs.inside(agent, "rm -f /tmp/ended; mkfifo /tmp/ended")
    script = "trap 'echo ended > /tmp/ended; exit' HUP TERM PIPE; echo ready; while :; do sleep 0.01; done"
    with vs.popen("exec", agent, "--", "sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()
    assert vs.inside(agent, "cat /tmp/ended") == "ended"


def test_closed_pipe(vs: Installation, agent: str) -> None:
    """Output that nobody wants any more ends `events` and `exec` in silence."""
    for words in (["events"], ["exec", agent, "--", "yes"], ["list"], ["replay"]):
        with vs.popen(*words) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.read(1)
            process.stdout.close()
            assert process.stderr.read() == ""
            assert process.wait() in (0, 128 + signal.SIGPIPE)


def test_no_input_on_a_terminal(vs: Installation, agent: str) -> None:
    """On a terminal input is passed on with -i only."""
    assert on_terminal(vs, "exec", agent, "--", "wc", "-c").stdout.split() == ["0"]
    assert on_terminal(vs, "exec", "-i", agent, "--", "head", "-1", typed="typed\n").stdout.split()[-1] == "typed"


def test_many_at_once(vs: Installation, agent: str) -> None:
    """Ten commands at once are ten commands."""
    running = [vs.popen("exec", agent, "--", "echo", str(number)) for number in range(10)]
    assert [process.communicate()[0] for process in running] == [f"{number}\n" for number in range(10)]


def test_only_one_is_meant(vs: Installation, agent: str) -> None:
    """VIBESPACE_NAME and --vibespace say which vibespace; both and another one contradict each other."""
    demo = agent.partition("@")[2]
    assert vs.ok("exec", "--vibespace", demo, "--", "echo", "here") == "here\n"
    assert vs.ok("exec", "claude-1", "--", "echo", "here", env={"VIBESPACE_NAME": demo}) == "here\n"
    done = vs.run("exec", agent, "--vibespace", "other", "--", "true")
    assert done.returncode == 2
    assert done.stderr.startswith("vibespace: ")
