"""The user's ssh settings: included in, and given back to the byte. What ssh makes of ours is asked of ssh."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.asroot import nobody
from vibespace.errors import InvalidArgument, Unavailable
from vibespace.setup import installation, sshconfig, uninstall
from vibespace.setup.installation import Installation
from vibespace.state import State

HOST = "claude-1.demo.vibespace"


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's file, which is not there yet."""
    path = tmp_path / ".ssh/config"
    monkeypatch.setattr(sshconfig, "user_file", lambda: path)
    return path


@pytest.fixture
def state(tmp_path: Path) -> State:
    """On a path that ssh's and the shell's parsers could take for something else."""
    made = State(tmp_path / "a 'home' 100%h $x")
    made.home.mkdir(mode=0o700)
    return made


def asked(path: Path, host: str) -> dict[str, str]:
    """What ssh itself would do for `host`, by `path`."""
    done = subprocess.run(["ssh", "-G", "-F", path, host], check=True, capture_output=True, text=True)
    return dict(line.partition(" ")[::2] for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    "content",
    [None, b"", b"Host *\n  User me\n", b"Host a\r\n  User me", b"# \xff\xfe\n\n\n", b"Include x\n# vibespace: end\n"],
)
def test_the_users_file_is_given_back(user: Path, state: State, content: bytes | None) -> None:
    """Installed twice and removed twice: each byte, the mode, or its absence, is as before."""
    if content is not None:
        user.parent.mkdir()
        user.write_bytes(content)
        user.chmod(0o640)
    for _ in range(2):
        assert sshconfig.install(state) == user
    assert sshconfig.installed(state)
    assert user.read_bytes().endswith(content or b"\n")
    assert user.read_bytes().count(b'Include "') == 1
    for _ in range(2):
        sshconfig.remove(state)
    assert not sshconfig.installed(state)
    if content is None:
        assert not user.exists()
    else:
        assert (user.read_bytes(), user.stat().st_mode & 0o777) == (content, 0o640)
    assert user.parent.exists() == (content is not None)
    assert not list(user.parent.glob(".*"))


@pytest.mark.parametrize("before", [True, False])
def test_a_directory_that_somebody_uses_stays(user: Path, state: State, before: bool) -> None:
    """Empty, when it was there before, or with a key that was made meanwhile."""
    if before:
        user.parent.mkdir()
    sshconfig.install(state)
    if not before:
        (user.parent / "id_ed25519").touch()
    sshconfig.remove(state)
    assert not user.exists()
    assert user.parent.is_dir()


def test_a_link_stays_one(user: Path, state: State, tmp_path: Path) -> None:
    """Whoever keeps the file elsewhere, and links to it, keeps the link."""
    kept = tmp_path / "dotfiles"
    kept.write_text("Host a\n")
    user.parent.mkdir()
    user.symlink_to(kept)
    sshconfig.install(state)
    assert "Include" in kept.read_text()
    sshconfig.remove(state)
    assert user.is_symlink()
    assert kept.read_text() == "Host a\n"


def test_two_state_directories(user: Path, state: State, tmp_path: Path) -> None:
    """Each has lines of its own, and takes only those away."""
    other = State(tmp_path / "other")
    other.home.mkdir()
    sshconfig.install(state)
    sshconfig.install(other)
    sshconfig.remove(state)
    assert (sshconfig.installed(state), sshconfig.installed(other)) == (False, True)


def test_what_ssh_makes_of_it(user: Path, state: State) -> None:
    """Our key alone, our proxy, pinned host keys; whatever the path is made of. Other hosts are as they were."""
    user.parent.mkdir()
    user.write_text("Host *\n  User me\n  StrictHostKeyChecking no\n")
    before = asked(user, "example.org")
    sshconfig.install(state)
    told = asked(user, HOST)
    assert told["user"] == "agent"
    assert told["identityfile"].replace("%%", "%") == str(state.keys / "client")
    assert (told["identitiesonly"], told["stricthostkeychecking"]) == ("yes", "true")
    assert told["userknownhostsfile"].replace("%%", "%").replace("%n", HOST).endswith(f"/ssh/hosts/{HOST}")
    words = subprocess.run(
        ["sh", "-c", f"printf '%s\\n' {told['proxycommand'].replace('%%', '%')}"], capture_output=True, text=True
    ).stdout.splitlines()
    assert words[:2] == ["env", f"VIBESPACE_HOME={state.home}"]
    assert words[-1] == "%n"
    assert asked(user, "example.org") == before


def test_uninstall_takes_it_out(user: Path, state: State) -> None:
    """It is told of, and goes with the rest."""
    installation.write(state, Installation("log"))
    sshconfig.install(state)
    plan = uninstall.plan(state, keep_data=False)
    assert plan is not None
    assert plan.outside == [f"lines of ours in {user}"]
    uninstall.carry_out(plan, lambda _text: None, nobody)
    assert not user.exists()
    assert not state.home.exists()


def test_what_cannot_be(user: Path, tmp_path: Path) -> None:
    """A path that ssh cannot be told, and a file that cannot be written: nothing is changed."""
    odd = State(tmp_path / 'x"y')
    odd.home.mkdir()
    with pytest.raises(InvalidArgument, match="ssh cannot be told"):
        sshconfig.install(odd)
    assert not user.exists()
    fine = State(tmp_path / "fine")
    fine.home.mkdir()
    user.mkdir(parents=True)
    with pytest.raises(Unavailable, match="cannot be read"):
        sshconfig.install(fine)


def test_a_user_without_an_entry_has_no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in many a container, or where no more files can be opened: nothing of ours is there, and that is said."""

    def missing(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr("vibespace.setup.sshconfig.pwd.getpwuid", missing)
    assert sshconfig.outside(State(tmp_path)) == []
    with pytest.raises(Unavailable, match="No entry in passwd"):
        sshconfig.user_file()
