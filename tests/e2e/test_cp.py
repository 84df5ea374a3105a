"""`cp` and `logs` on real containers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.archive.test_archive import listing, source
from tests.e2e.installation import PROGRAM, Installation, on_terminal

__all__ = ["source"]
pytestmark = pytest.mark.containers

DRAFTS = "find /vibespace /home/agent /tmp -name '.vibespace-copying-*'"


@pytest.fixture(scope="module")
def agent(vs: Installation, demo: str) -> str:
    return f"claude-1@{demo}"


@pytest.mark.core
@pytest.mark.clustered
def test_a_folder_in_and_out(vs: Installation, agent: str, source: Path, tmp_path: Path) -> None:
    """A folder with all that there is in folders goes in and comes back as it was; a second time it is joined."""
    vs.place.give(source)
    assert vs.ok("cp", str(source), f"{agent}:~") == ""
    vs.ok("cp", f"{agent}:~/source", str(tmp_path / "copy"))
    assert listing(tmp_path / "copy") == listing(source)
    (source / "run").write_text("another")
    done = vs.run("cp", str(source), f"{agent}:~")
    assert (done.returncode, "source/deep/er' may not be written to" in done.stderr) == (12, True), done.stderr
    assert vs.inside(agent, "cat ~/source/run; chmod 755 ~/source/deep/er") == "#!/bin/sh"
    vs.ok("cp", str(source), f"{agent}:~")
    assert vs.inside(agent, "cat ~/source/run; stat -c %u ~/source; rm -rf ~/source") == "another1000"


def test_where_paths_begin(vs: Installation, agent: str, tmp_path: Path) -> None:
    """A relative path begins where exec does, `~` is the home, an empty one is the place itself."""
    (tmp_path / "-f").write_text("x")
    for place in ("", "./renamed", "~/", "/tmp/file"):
        vs.ok("cp", "--", "-f", f"{agent}:{place}", cwd=tmp_path)
    assert vs.inside(agent, "cat ./-f renamed ~/-f /tmp/file && rm ./-f renamed ~/-f /tmp/file") == "xxxx"
    (tmp_path / "a:b").write_text("colon")
    vs.ok("cp", "--vibespace", agent.partition("@")[2], "./a:b", "claude-1:/tmp/colon", cwd=tmp_path)
    assert vs.inside(agent, "cat /tmp/colon") == "colon"


@pytest.mark.clustered
def test_names_of_any_bytes(vs: Installation, agent: str, tmp_path: Path) -> None:
    """A path is bytes, here and inside."""
    name = b"line\nbreak \xff"
    with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
        file.write(b"odd")
    there = os.fsencode(agent) + b":/tmp/" + name + b"!"
    for words in ([name, there], [there, b"back"]):
        line = [*map(os.fsencode, vs.command("cp", cwd=tmp_path)), *words]
        subprocess.run(line, cwd=tmp_path, env=vs.environment(), check=True)
    assert (tmp_path / "back").read_bytes() == b"odd"


def test_ten_gigabytes_of_nothing(vs: Installation, agent: str, tmp_path: Path) -> None:
    """A sparse file of ten gigabytes is there and back in moments, and as small as it was."""
    (tmp_path / "sparse").write_bytes(b"begin")
    os.truncate(tmp_path / "sparse", 10 << 30)
    vs.ok("cp", "sparse", f"{agent}:/tmp/sparse", cwd=tmp_path)
    vs.ok("cp", f"{agent}:/tmp/sparse", "back", cwd=tmp_path)
    assert vs.inside(agent, "stat -c %s /tmp/sparse; du -k /tmp/sparse; rm /tmp/sparse").split()[:2] == [
        str(10 << 30),
        "4",
    ]
    assert (tmp_path / "back").stat().st_blocks == (tmp_path / "sparse").stat().st_blocks


REFUSED = [
    (["none", "A:/tmp"], 10, "There is no '.*none' here."),
    (["A:none", "."], 10, "There is no '.*none' inside."),
    (["file", "A:/no/such/"], 10, "There is no folder '/no/such/' inside. Make it first."),
    (["file", "A:/etc/x"], 12, "'/etc/x' inside: permission denied."),
    (["A:/etc/shadow", "."], 12, "'/etc/shadow' inside: permission denied."),
    (["A:/dev/null", "."], 16, "'/dev/null' inside is neither a file nor a folder."),
    (["folder", "A:/home/agent/.profile"], 11, ".* is there already and is no folder."),
    (["A:..", "."], 2, "Say what the copy is to be called."),
    (["file", "folder"], 2, "Neither SRC nor DST is in an agent."),
    (["A:a", "A:b"], 2, "Both SRC and DST are in an agent."),
    (["A:/etc/hostname", "no/such/place"], 10, "There is no folder 'no/such' here."),
    (["A:/etc", "full"], 12, "inside: permission denied."),
]


@pytest.mark.parametrize(("words", "code", "sentence"), REFUSED, ids=[" ".join(words) for words, *_ in REFUSED])
def test_refused(vs: Installation, agent: str, tmp_path: Path, words: list[str], code: int, sentence: str) -> None:
    """What cannot be is said in one sentence, and nothing has changed."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    done = vs.run("cp", *(word.replace("A:", f"{agent}:") for word in words), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert re.search(sentence, done.stderr), done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]
    assert os.listdir(tmp_path / "folder") == []
    assert vs.inside(agent, DRAFTS) == ""


def test_disk_full(vs: Installation, agent: str, tmp_path: Path) -> None:
    """A disk that fills up, inside or here, is said so, and what was begun is gone."""
    (tmp_path / "big").write_bytes(bytes(range(256)) * 4096 * 100)
    done = vs.run("cp", "big", f"{agent}:/dev/shm/big", cwd=tmp_path)  # the engine gives it 64 MB
    assert (done.returncode, "no space left" in done.stderr) == (15, True), done.stderr
    assert vs.inside(agent, "ls -A /dev/shm") == ""
    small = 'mount -t tmpfs -o size=1m tmpfs $1 && shift && exec "$@"'
    line = ["unshare", "--mount", "--map-root-user", "sh", "-c", small, "sh", str(tmp_path), PROGRAM, "cp"]
    vs.inside(agent, "head -c 5000000 /dev/urandom > /tmp/big")
    line = vs.place.command(*line, f"{agent}:/tmp/big", f"{tmp_path}/copy")
    done = subprocess.run(line, env=vs.environment(), capture_output=True, text=True)
    assert (done.returncode, "no space left" in done.stderr) == (15, True), done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("way", ["in", "out"])
def test_interrupted(vs: Installation, agent: str, tmp_path: Path, way: str, number: signal.Signals) -> None:
    """However a copy is interrupted, nothing is under its name; what is left, the next copy takes away."""
    (tmp_path / "to").mkdir()
    big = "head -c 1000000 /dev/zero > big; fallocate -l 2G big"
    if way == "in":
        vs.inside(agent, "mkdir -p /tmp/to")
        subprocess.run(["sh", "-c", big], cwd=tmp_path, check=True)
        words = [str(tmp_path / "big"), f"{agent}:/tmp/to/copy"]
    else:
        vs.inside(agent, f"cd /tmp; {big}")
        words = [f"{agent}:/tmp/big", str(tmp_path / "to/copy")]
    with vs.popen("cp", *words) as copying:
        if way == "in":
            vs.inside(agent, "until ls -A /tmp/to | grep -q copying; do sleep 0.01; done")
        else:
            while not os.listdir(tmp_path / "to"):
                assert copying.poll() is None
        copying.send_signal(number)
        copying.wait()
    assert copying.returncode == (-9 if number == signal.SIGKILL else 14)
    if way == "in":
        vs.inside(agent, "while ls -A /tmp/to | grep -q .; do sleep 0.01; done")
    else:
        vs.inside(agent, "echo x > /tmp/small; rm /tmp/big")
        assert "copy" not in os.listdir(tmp_path / "to")
        vs.ok("cp", f"{agent}:/tmp/small", str(tmp_path / "to"))
        assert os.listdir(tmp_path / "to") == ["small"]


def test_daemon_and_agent_go(own: Installation, tmp_path: Path) -> None:
    """When the daemon is killed or the agent stopped meanwhile, one sentence says so, and nothing is half there."""
    own.ok("create", "demo", "-t", "claude-code")
    with (tmp_path / "big").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 4 << 30)
    for end in (own.restart, lambda: own.ok("stop", "demo")):
        own.inside("claude-1@demo", "mkdir -p ~/to")
        with own.popen("cp", str(tmp_path / "big"), "claude-1@demo:~/to/big") as copying:
            own.inside("claude-1@demo", "until ls -A ~/to | grep -q copying; do sleep 0.01; done")
            end()
            _, said = copying.communicate()
        assert (copying.returncode, said.count("\n")) == (15, 1), said
    own.ok("start", "demo")
    (tmp_path / "small").write_text("x")
    own.ok("cp", str(tmp_path / "small"), "claude-1@demo:~/to/")
    assert own.inside("claude-1@demo", "ls -A ~/to") == "small"


def test_progress(vs: Installation, agent: str, tmp_path: Path) -> None:
    """On a terminal it shows what it is doing, of how much, and leaves the line empty; --json says how much it was."""
    (tmp_path / "file").write_bytes(bytes(1 << 20))
    shown = on_terminal(vs, "cp", "file", f"{agent}:/tmp/progress", cwd=tmp_path).stdout
    assert re.search(r"'file' to claude-1@demo: [\d.]+ .?B of 1\.0 MB, ", shown)
    assert shown.endswith("\r\x1b[K")
    assert vs.data("cp", "--json", "file", f"{agent}:/tmp/progress", cwd=tmp_path) == {"bytes": 1 << 20, "left_out": []}
    assert vs.data("cp", "--json", f"{agent}:/tmp/progress", "back", cwd=tmp_path) == {"bytes": 1 << 20, "left_out": []}


def test_an_agent_that_lies(vs: Installation, agent: str, tmp_path: Path) -> None:
    """An agent may send whatever it likes: its name for things is not taken, and nothing outside is touched."""
    vs.inside(agent, "mkdir -p /tmp/lies; ln -sf /etc /tmp/lies/etc; ln -s /etc/passwd /tmp/passwd || true")
    vs.ok("cp", f"{agent}:/tmp/lies", str(tmp_path))
    assert os.readlink(tmp_path / "lies/etc") == "/etc"
    vs.inside(agent, "rm /tmp/lies/etc; mkdir /tmp/lies/etc; echo evil > /tmp/lies/etc/evil")
    done = vs.run("cp", f"{agent}:/tmp/lies", str(tmp_path))
    assert done.returncode == 11
    assert not Path("/etc/evil").exists()


@pytest.mark.core
@pytest.mark.clustered
def test_logs(vs: Installation, agent: str) -> None:
    """What the container wrote, from a moment on, and as it comes."""
    done = vs.run("logs", agent)
    assert done.returncode == 0
    assert "Server listening" in done.stderr
    assert "kex_exchange" not in done.stderr  # nobody hangs up on sshd without a word
    assert vs.run("logs", agent, "--since", "2100-01-01").stderr == ""
    assert "Server listening" in vs.run("logs", agent, "--since", "7d").stderr
    with vs.popen("logs", "-f", agent) as following:
        assert following.stderr is not None
        assert "Server listening" in following.stderr.readline()
        following.send_signal(signal.SIGINT)
        assert following.wait() == 14
    wrong = vs.run("logs", agent, "--since", "yesterday")
    assert (wrong.returncode, wrong.stdout) == (2, "")


@pytest.mark.clustered
def test_logs_of_what_was_stopped(own: Installation) -> None:
    """Following ends with the container, whose output goes with it; that is said."""
    own.ok("create", "demo", "-t", "claude-code")
    with own.popen("logs", "-f") as following:
        assert following.stderr is not None
        assert following.stderr.readline()
        own.ok("stop", "demo")
        following.communicate()
        assert following.returncode == 0
    done = own.run("logs")
    assert (done.returncode, "went with it" in done.stderr) == (10, True)
