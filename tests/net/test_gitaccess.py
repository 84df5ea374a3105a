"""Logins for git inside: the real git over a real sshd, against a real git server that asks who it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.net.gitsource import Private, Source
from tests.net.running import AGENT, Ran, run
from tests.net.sshd import Sshd, processes
from vibespace.errors import FailedPrecondition
from vibespace.net.git import Git
from vibespace.net.gitaccess import GitAccessFiles, config
from vibespace.net.gitbase import GitAccess, GitLogin
from vibespace.net.shell import SshShell

PASSWORD = "s3cret'\"$(id)\\word"


@pytest.fixture
def inside(sshd: Sshd) -> Path:
    """Where the files are to lie, included as the agents' image does it."""
    path = sshd.home / "memory"
    (sshd.home / ".gitconfig").write_text(f"[include]\n\tpath = {path}/config\n[safe]\n\tdirectory = *\n")
    return path


@pytest.fixture
def keeper(shell: SshShell, inside: Path) -> GitAccessFiles:
    return GitAccessFiles(shell, str(inside))


@pytest.fixture
def source(tmp_path: Path) -> Source:
    made = Source(tmp_path / "source.git", "--bare")
    work = Source(tmp_path / "work")
    work.commit()
    work.git("push", "-q", str(made.path), "main")
    return made


@pytest.fixture
def private(source: Source) -> Private:
    return Private(source.path.parent, f"me:{PASSWORD}")


def access(url: str, password: str = PASSWORD, **more: str) -> GitAccess:
    return GitAccess((GitLogin(url, "me", password),), **more)


def modes(directory: Path) -> list[int]:
    """Of the directory and what is in it; nothing where there is none."""
    return [path.stat().st_mode & 0o777 for path in (directory, *directory.glob("*")) if directory.exists()]


async def sh(shell: SshShell, script: str) -> Ran:
    """What a shell says in the home, as the agent's own commands run."""
    return await run(shell, "sh", "-c", f"export GIT_TERMINAL_PROMPT=0; {script}")


async def test_a_private_repository_is_cloned_and_pushed_to(
    shell: SshShell, keeper: GitAccessFiles, private: Private, source: Source, sshd: Sshd
) -> None:
    """By our own clone, and by git inside; commits have the author that was named."""
    target = sshd.home / "demo"
    async with private.serving() as url:
        await keeper.give(AGENT, access(url, author_name='Jörg "J" \\ Ö', author_email="j@example.org"))
        assert await Git(shell).clone(AGENT, f"{url}/source.git", str(target), "") == source.git("rev-parse", "main")
        done = await sh(shell, "cd demo && echo x > new && git add new && git commit -qm x && git push -q")
    assert (done.exit.code, done.stderr) == (0, b"")
    assert source.git("log", "-1", "--format=%an <%ae> %s", "main") == 'Jörg "J" \\ Ö <j@example.org> x'
    assert PASSWORD not in (target / ".git/config").read_text()
    assert f"{url}/source.git" in (target / ".git/config").read_text()


async def test_what_somebody_set_comes_first(shell: SshShell, keeper: GitAccessFiles) -> None:
    """The author that a repository names is its author."""
    await keeper.give(AGENT, access("example.org", author_name="Ours", author_email="ours@example.org"))
    said = await sh(shell, "git init -q r && cd r && git config user.name Theirs && git var GIT_AUTHOR_IDENT")
    assert said.stdout.startswith(b"Theirs <ours@example.org>")


@pytest.mark.parametrize(("password", "says"), [("", "could not read Username"), ("wrong", "Authentication failed")])
async def test_without_the_right_one_it_is_said_what_to_do(
    shell: SshShell, keeper: GitAccessFiles, private: Private, sshd: Sshd, password: str, says: str
) -> None:
    """None, or one that the server does not take: the reason names the command that mends it. Ours is not erased."""
    async with private.serving() as url:
        given = access(url, password) if password else GitAccess()
        await keeper.give(AGENT, given)
        with pytest.raises(FailedPrecondition, match=says) as e:
            await Git(shell).clone(AGENT, f"{url}/source.git", str(sshd.home / "demo"), "")
        assert "vibespace credential set git --host" in e.value.hint
        await keeper.give(AGENT, access(url))
        await Git(shell).clone(AGENT, f"{url}/source.git", str(sshd.home / "demo"), "")


async def test_another_server_is_told_nothing(
    shell: SshShell, keeper: GitAccessFiles, private: Private, sshd: Sshd
) -> None:
    """A login is for one host and one port, and over http only where that was said."""
    async with private.serving() as url, private.serving() as other:
        await keeper.give(AGENT, access(url))
        await sh(shell, f"git ls-remote {other}/source.git")
        assert private.asked == [""]
        await keeper.give(AGENT, access(other.removeprefix("http://")))
        await sh(shell, f"git ls-remote {other}/source.git")
        assert private.asked == ["", ""]


async def test_it_is_in_files_of_the_agent_alone(
    shell: SshShell, keeper: GitAccessFiles, private: Private, inside: Path, sshd: Sshd
) -> None:
    """0600 in 0700, in no argument while git runs, and gone when it is taken back; what is there otherwise stays."""
    seen: list[int] = []
    async with private.serving() as url:
        private.arrived = lambda: seen.extend(processes("s3cret"))
        await keeper.give(AGENT, access(url))
        both = GitAccess((*access(url).logins, GitLogin("example.org", "me", "other")))
        await keeper.give(AGENT, both)
        assert modes(inside) == [0o700, 0o600, 0o600, 0o600]
        assert b"s3cret" not in (await sh(shell, f"cat {inside}/config")).stdout
        await keeper.give(AGENT, access(url))
        assert modes(inside) == [0o700, 0o600, 0o600]
        done = await sh(shell, f"git ls-remote {url}/source.git")
        assert (done.exit.code, seen) == (0, [])
        await keeper.give(AGENT, GitAccess())
        assert modes(inside) == []
        assert (await sh(shell, f"git ls-remote {url}/source.git")).exit.code != 0
        await keeper.give(AGENT, GitAccess())


async def test_what_cannot_be_written_is_told(shell: SshShell) -> None:
    """In the words of the program that failed, without what was to be written."""
    with pytest.raises(FailedPrecondition, match="/proc/memory") as e:
        await GitAccessFiles(shell, "/proc/memory").give(AGENT, access("example.org"))
    assert e.value.reason == "GIT_ACCESS_FAILED"
    assert "s3cret" not in e.value.sentence


def test_the_config_is_what_git_reads() -> None:
    """Quoted, whatever is in it; https where nothing else is said."""
    assert config(GitAccess((GitLogin("example.org:8443", "me", "x"),), "A\\B"), "/dev/shm/a b") == (
        "# Of vibespace: made again whenever a credential changes.\n"
        '[user]\n\tname = "A\\\\B"\n'
        '[credential "https://example.org:8443"]\n'
        '\thelper = "!f() { test \\"$1\\" = get && cat -- \'/dev/shm/a b/b5307f0ff6fd7efe\'; }; f"\n'
    )
