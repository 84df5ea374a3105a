"""A worktree for each agent, made by the real git over a real sshd."""

from __future__ import annotations

import asyncio
import shutil

import pytest

from tests.net.gitsource import Source, pieces, serving
from tests.net.running import AGENT, run
from tests.net.worktrees import LFS, ORIGIN, SUBMODULES, Shared
from vibespace.errors import FailedPrecondition
from vibespace.net.gitbase import Work


async def test_a_clone_that_is_shared(shared: Shared, source: Source) -> None:
    """All branches and tags of the remote, none of its own; a fetch refspec; commits of later are fetched by any."""
    commit = source.commit()
    source.git("tag", "v1")
    source.git("branch", "feature/x")
    async with serving(source.path.parent) as url:
        assert await shared.clone(f"{url}/source") == commit
        assert shared.refs("refs") == [
            "refs/remotes/origin/HEAD",
            "refs/remotes/origin/feature/x",
            "refs/remotes/origin/main",
            "refs/tags/v1",
        ]
        assert shared.at("config", "remote.origin.fetch") == "+refs/heads/*:refs/remotes/origin/*"
        assert shared.at("rev-parse", "--is-bare-repository") == "true"
        assert await shared.make("claude-1") == []
        later = source.commit("later")
        await shared.says("claude-1", "fetch", "-q")
        assert await shared.says("claude-1", "rev-parse", "origin/main") == later
        assert await shared.clone(f"{url}/source") == later
        with pytest.raises(FailedPrecondition, match=r"is there already, of git://.*/source\."):
            await shared.clone(f"{url}/another")
    assert shared.left() == []
    assert shared.at("fsck", "--full") == ""


async def test_each_has_a_branch_and_files(shared: Shared, source: Source) -> None:
    """A branch called as the agent, from the default one; locked; commits of one are there for the others at once."""
    begun = source.commit("first")
    async with serving(source.path.parent) as url:
        await shared.clone(f"{url}/source")
    await asyncio.gather(shared.make("claude-1"), shared.make("codex-1"))
    for name in ("claude-1", "codex-1"):
        assert await shared.says(name, "symbolic-ref", "HEAD") == f"refs/heads/{name}"
        assert await shared.says(name, "rev-parse", "HEAD") == begun
        assert await shared.says(name, "status", "--porcelain", "--ignored") == ""
        assert (shared.root / name / "first").read_text() == "content"
        assert (shared.bare / "worktrees" / name / "locked").read_text().strip() == f"{name} works here"
    commit = await shared.commit("claude-1")
    assert not (shared.root / "codex-1" / "mine").exists()
    assert await shared.says("codex-1", "rev-parse", "claude-1") == commit
    await shared.says("codex-1", "merge", "-q", "claude-1")
    assert (shared.root / "codex-1" / "mine").exists()
    assert shared.left() == []


async def test_a_push_needs_no_words(shared: Shared, source: Source) -> None:
    """`git push` takes the branch to origin under its own name, and says of it that it is there."""
    source.commit()
    source.git("config", "receive.denyCurrentBranch", "ignore")
    source.git("config", "safe.directory", "*")
    shutil.copytree(source.path, shared.home / "origin")
    await run(shared.shell, "git", "clone", "-q", "--bare", str(shared.home / "origin"), str(shared.home / "o.git"))
    done = await run(shared.shell, "git", "init", "-q", "--bare", str(shared.home / "o.git"))
    assert done.exit.code == 0
    await shared.git.receive(AGENT, pieces(source.bundle()), str(shared.bare), "main", "", bare=True)
    await shared.make("claude-1")
    await shared.says("claude-1", "remote", "add", "origin", str(shared.home / "o.git"))
    commit = await shared.commit("claude-1")
    assert (await shared.look("claude-1")).unpushed == 1
    await shared.says("claude-1", "push", "-q")
    assert await shared.says("claude-1", "rev-parse", "origin/claude-1") == commit
    assert (await shared.look("claude-1")).unpushed == 0


async def test_a_branch_to_begin_at(shared: Shared, source: Source) -> None:
    """--branch; one that there is not is the reason, and leaves nothing. A tag will do."""
    source.commit()
    source.git("switch", "-q", "-c", "release/1")
    commit = source.commit("second")
    source.git("tag", "v2")
    source.git("switch", "-q", "main")
    async with serving(source.path.parent) as url:
        with pytest.raises(FailedPrecondition, match="Remote branch none not found"):
            await shared.clone(f"{url}/source", "none")
        assert not shared.bare.exists()
        assert await shared.clone(f"{url}/source", "release/1") == commit
        await shared.make("claude-1")
        assert await shared.says("claude-1", "rev-parse", "HEAD") == commit
        assert (await shared.look("claude-1")).base == "origin/release/1"
        assert shared.refs("refs/heads") == ["refs/heads/claude-1"]
        await run(shared.shell, "rm", "-rf", str(shared.bare), str(shared.root))
        assert await shared.clone(f"{url}/source", "v2") == commit
        await shared.make("claude-1")
        assert await shared.says("claude-1", "symbolic-ref", "HEAD") == "refs/heads/claude-1"
        seen = await shared.look("claude-1")
        assert (seen.ahead, seen.behind, seen.unpushed) == (0, 0, 0)


async def test_what_is_sent_is_shared(shared: Shared, source: Source) -> None:
    """A directory's branches are branches of the shared repository; worktrees begin at the one checked out there."""
    source.commit()
    source.git("switch", "-q", "-c", "feature/x")
    commit = source.commit("second")
    assert await shared.receive(source, "feature/x", ORIGIN) == commit
    assert shared.refs("refs/heads") == ["refs/heads/feature/x", "refs/heads/main"]
    assert shared.at("config", "remote.origin.fetch") == "+refs/heads/*:refs/remotes/origin/*"
    await shared.make("claude-1")
    assert await shared.says("claude-1", "rev-parse", "HEAD") == commit
    seen = await shared.look("claude-1")
    assert (seen.base, seen.ahead, seen.behind, seen.unpushed) == ("feature/x", 0, 0, 0)
    await shared.says("claude-1", "switch", "-q", "main")
    assert (await shared.look("claude-1")).unpushed == 0
    with pytest.raises(FailedPrecondition, match="There is no branch other in it"):
        await shared.git.receive(AGENT, pieces(source.bundle()), str(shared.home / "b"), "other", "", bare=True)


async def test_what_is_sent_detached(shared: Shared, source: Source) -> None:
    """Worktrees begin at the commit, on their branches, though no branch there holds it."""
    source.commit()
    source.git("switch", "-q", "--detach")
    commit = source.commit("on its own")
    assert await shared.receive(source, "") == commit
    await shared.make("claude-1")
    assert await shared.says("claude-1", "rev-parse", "claude-1") == commit
    seen = await shared.look("claude-1")
    assert (seen.base, seen.unpushed) == (commit[:7], 0)


@pytest.mark.parametrize("sent", [False, True], ids=["cloned", "sent"])
async def test_a_repository_without_commits(shared: Shared, source: Source, sent: bool) -> None:
    """Each agent begins at nothing, and what it commits has nothing before it."""
    if sent:
        assert await shared.receive(source, "main", ORIGIN) == ""
    else:
        async with serving(source.path.parent) as url:
            assert await shared.clone(f"{url}/source") == ""
    await shared.make("claude-1")
    await shared.make("codex-1")
    assert await shared.make("claude-1") == []
    assert await shared.says("claude-1", "status", "--porcelain") == ""
    assert await shared.look("claude-1") == Work("claude-1", base="main" if sent else "origin/main")
    await shared.commit("claude-1")
    assert await shared.says("claude-1", "rev-list", "--count", "HEAD") == "1"
    assert (await shared.look("claude-1")).unpushed == 1
    assert await shared.remove("codex-1") == ""
    assert await shared.remove("claude-1") == ""
    assert shared.refs("refs/heads") == ["refs/heads/claude-1"]


async def test_a_branch_of_its_name_here(shared: Shared, source: Source) -> None:
    """It is gone on with: the agent's name and the branch's are one."""
    source.commit()
    source.git("switch", "-q", "-c", "claude-1")
    commit = source.commit("of before")
    await shared.receive(source, "main")
    await shared.make("claude-1")
    assert await shared.says("claude-1", "rev-parse", "HEAD") == commit
    assert (await shared.look("claude-1")).ahead == 1


async def test_a_branch_of_its_name_at_origin(shared: Shared, source: Source) -> None:
    """It is gone on with, and tracked: a push would be refused otherwise."""
    source.commit()
    source.git("switch", "-q", "-c", "claude-1")
    commit = source.commit("of before")
    source.git("switch", "-q", "main")
    async with serving(source.path.parent) as url:
        await shared.clone(f"{url}/source")
    await shared.make("claude-1")
    await shared.make("claude-2")
    assert await shared.says("claude-1", "rev-parse", "HEAD") == commit
    assert await shared.says("claude-1", "rev-parse", "--abbrev-ref", "@{upstream}") == "origin/claude-1"
    assert (await shared.look("claude-1")).unpushed == 0
    assert await shared.says("claude-2", "rev-parse", "HEAD") != commit


async def test_a_branch_in_the_way(shared: Shared, source: Source) -> None:
    """One checked out elsewhere, and one below its name, are the reason in git's words; once away, it is made."""
    source.commit()
    source.git("branch", "claude-2/x")
    await shared.receive(source)
    await shared.make("claude-1")
    with pytest.raises(FailedPrecondition, match="'refs/heads/claude-2/x' exists; cannot create"):
        await shared.make("claude-2")
    await shared.says("claude-1", "switch", "-q", "-c", "claude-3")
    with pytest.raises(FailedPrecondition, match="'claude-3' is already checked out") as caught:
        await shared.make("claude-3")
    assert caught.value.reason == "WORKTREE_FAILED"
    assert not (shared.root / "claude-3").exists()
    await shared.says("claude-1", "switch", "-q", "claude-1")
    await shared.make("claude-3")
    assert shared.left() == []
    assert shared.listed() == [str(shared.root / name) for name in ("claude-1", "claude-3")]


async def test_something_else_in_its_place(shared: Shared, source: Source) -> None:
    """It is left alone, and that is the reason; an empty directory is taken."""
    source.commit()
    await shared.receive(source)
    await run(shared.shell, "mkdir", "-p", f"{shared.root}/claude-1", f"{shared.root}/claude-2")
    await run(shared.shell, "touch", f"{shared.root}/claude-1/precious")
    with pytest.raises(FailedPrecondition, match="is there already, and is no worktree"):
        await shared.make("claude-1")
    assert [path.name for path in (shared.root / "claude-1").iterdir()] == ["precious"]
    await shared.make("claude-2")
    await run(shared.shell, "git", "init", "-q", f"{shared.root}/claude-3")
    with pytest.raises(FailedPrecondition, match="is there already, and is no worktree"):
        await shared.make("claude-3")


async def test_one_that_is_there_stays(shared: Shared, source: Source) -> None:
    """With all that was done in it; and one that its agent has removed is made again, on its branch."""
    source.commit()
    await shared.receive(source)
    await shared.make("claude-1")
    commit = await shared.commit("claude-1")
    await run(shared.shell, "touch", f"{shared.root}/claude-1/new")
    assert await shared.make("claude-1") == []
    assert (await shared.look("claude-1")).files == ("new",)
    await run(shared.shell, "rm", "-rf", f"{shared.root}/claude-1")
    assert await shared.worktrees.look(AGENT, "claude-1") is None
    await shared.make("claude-1")
    assert await shared.says("claude-1", "rev-parse", "HEAD") == commit
    assert await shared.says("claude-1", "status", "--porcelain") == ""


async def test_what_is_not_in_it(shared: Shared, source: Source) -> None:
    """Submodules are not fetched, and files of Git LFS are pointers: both are said, each time."""
    inner = Source(source.path.parent / "inner")
    inner.commit()
    source.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner.path), "inner")
    (source.path / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    source.commit("big.bin", pointer)
    await shared.receive(source)
    for _ in range(2):
        submodules, lfs = await shared.make("claude-1")
        assert SUBMODULES in submodules
        assert LFS in lfs
    assert (shared.root / "claude-1" / "big.bin").read_text() == pointer
    assert list((shared.root / "claude-1" / "inner").iterdir()) == []
    assert (await shared.look("claude-1")).uncommitted == 0
    await shared.says("claude-1", "config", "filter.lfs.smudge", "cat")
    assert len(await shared.make("claude-1")) == 1
