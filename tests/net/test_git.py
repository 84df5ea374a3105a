"""Repositories into a vibespace, by the real git over a real sshd."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.net.gitsource import ENV, Source, answering, pieces, serving
from tests.net.running import AGENT, run, until
from tests.net.sshd import Sshd, processes
from vibespace.errors import FailedPrecondition, InvalidArgument, Unavailable
from vibespace.net.git import Git
from vibespace.net.shell import SshShell

ORIGIN = "https://example.org/demo.git"


@pytest.fixture
def git(shell: SshShell) -> Git:
    return Git(shell)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path / "source")


@pytest.fixture
def target(sshd: Sshd) -> Path:
    return sshd.home / "demo"


def at(target: Path, *words: str) -> str:
    """What git says at the target."""
    config = ["-c", "safe.directory=*"]
    ran = subprocess.run(["git", *config, "-C", str(target), *words], env=ENV, check=True, capture_output=True)
    return ran.stdout.decode().strip()


def missing(target: Path) -> bool:
    """Nothing is at the target."""
    return not target.exists()


def left(target: Path) -> list[str]:
    """What lies beside the target and is ours."""
    return [path.name for path in target.parent.glob(".vibespace-incoming-*")]


async def test_receives_all_of_it(git: Git, source: Source, target: Path) -> None:
    """All branches and tags arrive as they are in the source, on the branch checked out there, and nothing else."""
    source.commit()
    source.git("tag", "v1")
    source.git("tag", "-a", "-m", "annotated", "v2")
    source.git("switch", "-q", "-c", "feature/ünïcode")
    source.commit("second")
    source.git("switch", "-q", "-c", "third", "main")
    commit = source.commit("name with spaces and 😀", "x" * 300_000)
    assert await git.receive(AGENT, pieces(source.bundle()), str(target), "third", ORIGIN) == commit
    assert at(target, "for-each-ref", "--format=%(refname) %(objectname)") == source.refs("refs")
    assert at(target, "symbolic-ref", "HEAD") == "refs/heads/third"
    assert at(target, "status", "--porcelain", "--ignored") == ""
    assert (target / "name with spaces and 😀").read_text() == "x" * 300_000
    assert at(target, "remote", "-v").split() == ["origin", ORIGIN, "(fetch)", "origin", ORIGIN, "(push)"]
    assert at(target, "fsck", "--full") == ""
    assert left(target) == []


async def test_no_remote(git: Git, source: Source, target: Path) -> None:
    """Without an origin no remote is left, and commits can be made at once."""
    commit = source.commit()
    assert await git.receive(AGENT, pieces(source.bundle()), str(target), "main", "") == commit
    assert at(target, "remote") == ""
    assert at(target, "rev-parse", "--is-bare-repository") == "false"
    assert str(target) not in at(target, "config", "--list", "--local")


async def test_branch_that_shares_its_commit(git: Git, source: Source, target: Path) -> None:
    """The branch asked for is checked out even when others are at the same commit."""
    commit = source.commit()
    source.git("branch", "aaa")
    source.git("switch", "-q", "-c", "zzz")
    assert await git.receive(AGENT, pieces(source.bundle()), str(target), "zzz", "") == commit
    assert at(target, "symbolic-ref", "--short", "HEAD") == "zzz"


@pytest.mark.parametrize("moved", [False, True], ids=["at a branch's commit", "away from all branches"])
async def test_detached_head(git: Git, source: Source, target: Path, moved: bool) -> None:
    """A detached HEAD arrives detached, at its commit."""
    source.commit()
    source.git("switch", "-q", "--detach")
    commit = source.commit("on its own") if moved else source.git("rev-parse", "HEAD")
    assert await git.receive(AGENT, pieces(source.bundle()), str(target), "", "") == commit
    assert at(target, "rev-parse", "--abbrev-ref", "HEAD") == "HEAD"
    assert at(target, "for-each-ref", "--format=%(refname)") == "refs/heads/main"


async def test_empty_repository(git: Git, target: Path) -> None:
    """A repository without commits arrives as one, on the branch that is to be."""
    assert await git.receive(AGENT, pieces(b""), str(target), "trunk", ORIGIN) == ""
    assert at(target, "symbolic-ref", "HEAD") == "refs/heads/trunk"
    assert at(target, "remote", "get-url", "origin") == ORIGIN
    assert await git.receive(AGENT, pieces(b""), str(target), "trunk", ORIGIN) == ""


async def test_sha256_repository(git: Git, tmp_path: Path, target: Path) -> None:
    """A repository with SHA-256 names arrives too."""
    source = Source(tmp_path / "long", "--object-format=sha256")
    commit = source.commit()
    assert await git.receive(AGENT, pieces(source.bundle()), str(target), "main", "") == commit


async def test_done_already(git: Git, source: Source, target: Path) -> None:
    """A repository that is there is left as it is, and its commit is told."""
    commit = source.commit()
    await git.receive(AGENT, pieces(source.bundle()), str(target), "main", "")
    (target / "mine").write_text("mine")
    source.commit("later")
    assert await git.receive(AGENT, pieces(source.bundle()), str(target), "main", "") == commit
    assert await git.clone(AGENT, "git://127.0.0.1:1/nowhere", str(target), "") == commit
    assert (target / "mine").read_text() == "mine"


async def test_two_at_once(git: Git, source: Source, target: Path) -> None:
    """Of two attempts at once one does the work, and both tell the commit."""
    commit = source.commit("big", "x" * 1_000_000)
    both = (git.receive(AGENT, pieces(source.bundle()), str(target), "main", "") for _ in range(2))
    assert await asyncio.gather(*both) == [commit, commit]
    assert left(target) == []


async def test_directory_that_exists(git: Git, source: Source, target: Path, shell: SshShell) -> None:
    """An empty directory is taken; one that holds something else is left alone, and that is the reason."""
    commit = source.commit()
    await run(shell, "mkdir", str(target))
    assert await git.receive(AGENT, pieces(source.bundle()), str(target), "main", "") == commit
    other = target.with_name("other")
    await run(shell, "mkdir", str(other))
    await run(shell, "touch", f"{other}/mine")
    with pytest.raises(FailedPrecondition, match="is there already") as caught:
        await git.receive(AGENT, pieces(source.bundle()), str(other), "main", "")
    assert caught.value.reason == "REPOSITORY_FAILED"
    assert [path.name for path in other.iterdir()] == ["mine"]


@pytest.mark.parametrize("cut", [1, 40, 500, -1, -30], ids=lambda cut: f"at {cut}")
async def test_cut_off_bundle(git: Git, source: Source, target: Path, cut: int) -> None:
    """A bundle that ends early is refused and leaves nothing; the next, whole one lands."""
    commit = source.commit("big", "".join(map(str, range(10_000))))
    whole = source.bundle()
    with pytest.raises(FailedPrecondition) as caught:
        await git.receive(AGENT, pieces(whole[:cut]), str(target), "main", "")
    assert caught.value.reason == "REPOSITORY_FAILED"
    assert caught.value.message
    assert missing(target)
    assert left(target) == []
    assert await git.receive(AGENT, pieces(whole), str(target), "main", "") == commit


async def test_no_bundle(git: Git, target: Path) -> None:
    """What is no bundle at all is refused in git's words."""
    with pytest.raises(FailedPrecondition, match="bundle"):
        await git.receive(AGENT, pieces(b"#!/bin/sh\n" * 100_000), str(target), "main", "")
    assert missing(target)


async def test_branch_that_is_not_in_it(git: Git, source: Source, target: Path) -> None:
    """A branch that the bundle does not hold is the reason."""
    source.commit()
    with pytest.raises(FailedPrecondition, match="There is no branch other in it"):
        await git.receive(AGENT, pieces(source.bundle()), str(target), "other", "")
    assert missing(target)


async def test_stream_that_breaks(git: Git, source: Source, target: Path) -> None:
    """When the client goes away in the middle nothing is left, and the next attempt lands."""
    commit = source.commit("big", "".join(map(str, range(100_000))))
    whole = source.bundle()

    async def breaking() -> AsyncIterator[bytes]:
        yield whole[:20_000]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await git.receive(AGENT, breaking(), str(target), "main", "")
    assert left(target) == []
    assert await git.receive(AGENT, pieces(whole), str(target), "main", "") == commit


async def test_cancelled(git: Git, source: Source, target: Path) -> None:
    """When it is cancelled in the middle nothing runs on and nothing is left."""
    source.commit()

    async def stalled() -> AsyncIterator[bytes]:
        yield source.bundle()[:100]
        await asyncio.Event().wait()

    receiving = asyncio.create_task(git.receive(AGENT, stalled(), str(target), "main", ""))
    await until(lambda: left(target) != [] and processes(left(target)[0]) != [])
    draft = left(target)[0]
    receiving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await receiving
    assert processes(draft) == []
    assert left(target) == []


async def test_connection_dies(git: Git, source: Source, target: Path, sshd: Sshd) -> None:
    """When the container dies in the middle its draft is removed by the attempt that lands, and only drafts are."""
    commit = source.commit()
    whole = source.bundle()

    async def deadly() -> AsyncIterator[bytes]:
        yield whole[:100]
        await until(lambda: left(target) != [])
        await sshd.kill()
        yield whole[100:]

    with pytest.raises(Unavailable):
        await git.receive(AGENT, deadly(), str(target), "main", "")
    assert left(target) != []
    (sshd.home / ".vibespace-other").mkdir()
    await sshd.start()
    assert await git.receive(AGENT, pieces(whole), str(target), "main", "") == commit
    assert left(target) == []
    assert (sshd.home / ".vibespace-other").exists()


async def test_target_that_cannot_be_made(git: Git, source: Source) -> None:
    """A directory that cannot be written to is the reason, in the words of the program that failed."""
    source.commit()
    with pytest.raises(FailedPrecondition, match=r"(Read-only|Permission denied|No such file)"):
        await git.receive(AGENT, pieces(source.bundle()), "/proc/demo", "main", "")


@pytest.mark.parametrize("bad", ["-b", "--upload-pack=id", "a\nb", "a\tb"])
async def test_words_that_are_no_options(git: Git, source: Source, target: Path, bad: str) -> None:
    """What begins with a dash or spans lines is refused wherever git would see it."""
    source.commit()
    for attempt in (
        git.clone(AGENT, bad, str(target), ""),
        git.clone(AGENT, ORIGIN, str(target), bad),
        git.receive(AGENT, pieces(source.bundle()), str(target), bad, ""),
        git.receive(AGENT, pieces(source.bundle()), str(target), "main", bad),
    ):
        with pytest.raises(InvalidArgument) as caught:
            await attempt
        assert caught.value.reason == "REPOSITORY_INVALID"


async def test_passwords_are_refused(git: Git, target: Path) -> None:
    """A URL with a password is refused, and the password is not told on."""
    for attempt in (
        git.clone(AGENT, "https://me:s3cret@example.org/demo", str(target), ""),
        git.receive(AGENT, pieces(b""), str(target), "main", "https://me:s3cret@example.org/demo"),
    ):
        with pytest.raises(InvalidArgument) as caught:
            await attempt
        assert caught.value.reason == "REPOSITORY_HAS_PASSWORD"
        assert "s3cret" not in caught.value.message


async def test_clone(git: Git, source: Source, target: Path) -> None:
    """A URL is cloned inside: default branch, remote branches, tags, and the URL as origin."""
    commit = source.commit()
    source.git("tag", "v1")
    source.git("branch", "other")
    async with serving(source.path.parent) as url:
        assert await git.clone(AGENT, f"{url}/source", str(target), "") == commit
        assert at(target, "remote", "get-url", "origin") == f"{url}/source"
    assert at(target, "symbolic-ref", "--short", "HEAD") == "main"
    assert at(target, "tag") == "v1"
    assert left(target) == []


async def test_clone_of_a_branch(git: Git, source: Source, target: Path) -> None:
    """The branch asked for is checked out; one that is not there is the reason."""
    source.commit()
    source.git("switch", "-q", "-c", "other")
    commit = source.commit("second")
    source.git("switch", "-q", "main")
    async with serving(source.path.parent) as url:
        with pytest.raises(FailedPrecondition, match="Remote branch none not found"):
            await git.clone(AGENT, f"{url}/source", str(target), "none")
        assert left(target) == []
        assert await git.clone(AGENT, f"{url}/source", str(target), "other") == commit
    assert at(target, "symbolic-ref", "--short", "HEAD") == "other"


async def test_clone_of_an_empty_repository(git: Git, source: Source, target: Path) -> None:
    """A repository without commits is cloned as one."""
    async with serving(source.path.parent) as url:
        assert await git.clone(AGENT, f"{url}/source", str(target), "") == ""
    assert at(target, "symbolic-ref", "HEAD") == "refs/heads/main"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("git://127.0.0.1:1/demo", "unable to connect"),
        ("http://127.0.0.1:1/demo", "Failed to connect"),
        ("ssh://127.0.0.1:1/demo", "Connection refused"),
        ("ext::sh -c touch% /tmp/owned", "transport 'ext' not allowed"),
        ("nonsense://127.0.0.1/demo", "transport 'nonsense' not allowed"),
        ("file:///no/such/repository", "does not appear to be a git repository"),
    ],
)
async def test_wrong_url(git: Git, target: Path, url: str, says: str) -> None:
    """A URL that does not work is the reason, in git's own last words, and leaves nothing."""
    with pytest.raises(FailedPrecondition, match=says) as caught:
        await git.clone(AGENT, url, str(target), "")
    assert caught.value.reason == "REPOSITORY_FAILED"
    assert missing(target)
    assert left(target) == []


@pytest.mark.parametrize(
    ("status", "says"), [("401 Unauthorized", "terminal prompts disabled"), ("404 Not Found", "not found")]
)
async def test_server_that_refuses(git: Git, target: Path, status: str, says: str) -> None:
    """A server that wants a password, or has no such repository, fails at once: nobody is asked anything."""
    challenge = 'WWW-Authenticate: Basic realm="x"\r\n'
    response = f"HTTP/1.1 {status}\r\n{challenge}Content-Length: 0\r\nConnection: close\r\n\r\n"
    async with answering(response.encode()) as url:
        with pytest.raises(FailedPrecondition, match=says):
            await git.clone(AGENT, f"{url}/demo", str(target), "")
