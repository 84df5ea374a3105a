"""Plain ssh and scp reach an agent by the settings that `ssh-config` prints."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.e2e.installation import Done, Installation

pytestmark = [pytest.mark.containers, pytest.mark.here("ssh takes keys from the state directory")]

HOST = "claude-1.demo.vibespace"


@pytest.fixture
def settings(vs: Installation, demo: str, tmp_path: Path) -> Path:
    path = tmp_path / "config"
    path.write_text(vs.ok("ssh-config"))
    return path


def ssh(settings: Path, *arguments: str, program: str = "ssh") -> Done:
    """What a person would type, with these settings in place of their own."""
    line = [program, "-F", str(settings), *arguments]
    return subprocess.run(line, capture_output=True, text=True, stdin=subprocess.DEVNULL)


@pytest.mark.clustered
def test_commands_and_files(vs: Installation, settings: Path, tmp_path: Path) -> None:
    """A command with its exit code, and a file of some size there and back."""
    done = ssh(settings, HOST, "id -un; exit 7")
    assert (done.returncode, done.stdout) == (7, "agent\n")
    sent, back = tmp_path / "sent", tmp_path / "back"
    sent.write_bytes(bytes(range(256)) * 20000)
    assert ssh(settings, str(sent), f"{HOST}:/tmp/file", program="scp").returncode == 0
    assert ssh(settings, f"{HOST}:/tmp/file", str(back), program="scp").returncode == 0
    assert back.read_bytes() == sent.read_bytes()


def test_the_host_key_is_pinned(vs: Installation, settings: Path) -> None:
    """The agent's own key is what ssh must find, and without it nobody is let through."""
    assert ssh(settings, HOST, "true").returncode == 0
    names, key = (vs.home / "ssh/hosts" / HOST).read_text().strip().split(" ", 1)
    assert names == f"{HOST},[{HOST}]:*"
    private = vs.home / "keys" / vs.agent("claude-1@demo")["uid"]
    told = subprocess.run(["ssh-keygen", "-y", "-f", private], check=True, capture_output=True, text=True)
    assert told.stdout.split()[:2] == key.split()
    refused = ssh(settings, "-o", "UserKnownHostsFile=/dev/null", HOST, "true")
    assert refused.returncode == 255
    assert "Host key verification failed" in refused.stderr


def test_refusals_are_sentences(vs: Installation, settings: Path) -> None:
    """Who is not there, and what is no agent's name, is said on stderr, where ssh shows it."""
    done = ssh(settings, "nobody.demo.vibespace", "true")
    assert done.returncode == 255
    assert "vibespace: There is no agent 'nobody' in vibespace 'demo'." in done.stderr
    for odd in ("x.vibespace", "vibespaces/demo/agents/claude-1.x.vibespace", "claude-1.demo.elsewhere"):
        assert vs.run("ssh-proxy", odd).returncode == 2
    assert not (vs.home / "ssh/hosts/vibespaces").exists()
