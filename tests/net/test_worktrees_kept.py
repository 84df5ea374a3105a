"""What is in an agent's worktree, what becomes of it at its end, and what a cut leaves."""

from __future__ import annotations

import asyncio

import pytest

from tests.net.gitsource import Source
from tests.net.running import AGENT, run, until
from tests.net.sshd import Sshd, processes
from tests.net.worktrees import WHO, Shared
from vibespace.errors import FailedPrecondition, Unavailable
from vibespace.net.gitbase import Work
from vibespace.net.worktrees import read


async def test_work_in_a_submodule(shared: Shared, source: Source) -> None:
    """A commit of a submodule that is nowhere else is told, although the worktree above is clean."""
    await run(shared.shell, "git", "init", "-q", "-b", "main", str(shared.home / "inner"))
    await run(shared.shell, "git", *WHO, "-C", f"{shared.home}/inner", "commit", "-q", "--allow-empty", "-m", "x")
    source.commit()
    await shared.receive(source)
    await shared.make("claude-1")
    allow = ("-c", "protocol.file.allow=always")
    await shared.says("claude-1", *allow, "submodule", "--quiet", "add", str(shared.home / "inner"), "inner")
    await shared.says("claude-1", "commit", "-q", "-m", "Add it")
    assert (await shared.look("claude-1")).submodules == 0
    await shared.says("claude-1", "-C", "inner", "commit", "-q", "--allow-empty", "-m", "mine")
    await shared.says("claude-1", "commit", "-q", "-a", "-m", "Move it")
    seen = await shared.look("claude-1")
    assert (seen.uncommitted, seen.submodules) == (0, 1)
    assert "1 submodule with commits" in await shared.remove("claude-1")
    assert await shared.remove("claude-1", force=True) == ""
    assert not (shared.root / "claude-1").exists()


async def test_what_is_in_it(shared: Shared, source: Source) -> None:
    """Branch, how far it is from its base, what is not committed and what nobody else has."""
    source.commit("first")
    source.commit("gone")
    await shared.receive(source)
    await shared.make("claude-1")
    await shared.make("claude-2")
    await shared.commit("claude-1", "one")
    await shared.commit("claude-1", "two")
    await shared.says("claude-2", "switch", "-q", "main")
    await shared.commit("claude-2", "elsewhere")
    strange = "touch \"$(printf 'a\\033b\\nc')\""
    for script in ("rm gone", "echo x >> first", "git add first", "mkdir d", "touch d/a d/b", strange):
        await run(shared.shell, "sh", "-c", script, directory=str(shared.root / "claude-1"))
    await shared.says("claude-1", "config", "status.showUntrackedFiles", "no")
    seen = await shared.look("claude-1")
    assert (seen.branch, seen.base, seen.ahead, seen.behind) == ("claude-1", "main", 2, 1)
    assert (seen.uncommitted, seen.unpushed, len(seen.files)) == (4, 2, 3)
    assert seen.files[1:] == ('"a\\033b\\nc"', "d/")
    told = '4 files not committed (gone, "a\\033b\\nc", d/, …)'
    assert seen.lost == told
    assert seen.unsaved == f"{told} and 2 commits on no other branch"
    await shared.says("claude-2", "merge", "-q", "claude-1")
    assert (await shared.look("claude-1")).unpushed == 0


async def test_commits_on_no_branch(shared: Shared, source: Source) -> None:
    """They would go with a worktree, so it stays; with force it goes."""
    source.commit()
    await shared.receive(source)
    await shared.make("claude-1")
    await shared.says("claude-1", "switch", "-q", "--detach")
    await shared.commit("claude-1")
    seen = await shared.look("claude-1")
    assert (seen.branch, seen.unpushed) == ("", 1)
    assert await shared.remove("claude-1") == "It has 1 commit on no branch."
    assert await shared.remove("claude-1", force=True) == ""
    assert shared.refs("refs/heads") == ["refs/heads/main"]


async def test_a_tag_that_is_called_as_the_branch(shared: Shared, source: Source) -> None:
    """It hides nothing of what is on that branch alone."""
    source.commit()
    await shared.receive(source)
    await shared.make("claude-1")
    await shared.says("claude-1", "switch", "-q", "-c", "feature")
    await shared.says("claude-1", "tag", "feature")
    await shared.commit("claude-1")
    seen = await shared.look("claude-1")
    assert (seen.branch, seen.unpushed) == ("feature", 1)


async def test_removal(shared: Shared, source: Source) -> None:
    """Files go, and the branch unless it has what is nowhere else; what is not committed stays without force."""
    source.commit()
    await shared.receive(source)
    for name in ("claude-1", "claude-2", "claude-3"):
        await shared.make(name)
    assert await shared.remove("claude-1") == ""
    await shared.commit("claude-2")
    assert await shared.remove("claude-2") == ""
    await run(shared.shell, "touch", f"{shared.root}/claude-3/new")
    assert await shared.remove("claude-3") == "It has 1 file not committed (new)."
    assert shared.listed() == [str(shared.root / "claude-3")]
    assert await shared.remove("claude-3", force=True) == ""
    assert shared.refs("refs/heads") == ["refs/heads/claude-2", "refs/heads/main"]
    assert list(shared.root.iterdir()) == []
    assert shared.listed() == []
    assert await shared.remove("claude-3") == ""
    assert await shared.remove("never-there") == ""


async def test_what_others_have_elsewhere_stays(shared: Shared, source: Source) -> None:
    """A worktree that an agent has made in its own home, which the others do not see, is not taken for gone."""
    source.commit()
    await shared.receive(source)
    await shared.make("claude-1")
    await shared.says("claude-1", "worktree", "add", "-q", "-b", "side", str(shared.home / "side"))
    await run(shared.shell, "mv", f"{shared.home}/side", f"{shared.home}/unseen")
    await shared.make("claude-2")
    assert await shared.remove("claude-2") == ""
    await shared.says("claude-1", "gc", "-q")
    await run(shared.shell, "mv", f"{shared.home}/unseen", f"{shared.home}/side")
    done = await run(shared.shell, "git", "status", "--porcelain", directory=str(shared.home / "side"))
    assert (done.exit.code, done.stdout) == (0, b"")


async def test_no_program_of_the_repository_is_run(shared: Shared, source: Source) -> None:
    """Hooks and monitors that an agent has set up for all are not run by what we ask of git."""
    source.commit()
    await shared.receive(source)
    await shared.make("claude-1")
    hook = f"#!/bin/sh\ntouch {shared.home}/run\n"
    for place in (f"{shared.bare}/hooks/post-checkout", f"{shared.home}/monitor"):
        await run(shared.shell, "sh", "-c", f'printf %s "$1" > {place} && chmod +x {place}', "sh", hook)
    await shared.says("claude-1", "config", "core.fsmonitor", f"{shared.home}/monitor")
    await shared.make("claude-2")
    await shared.look("claude-2")
    await shared.remove("claude-2", force=True)
    assert not (shared.home / "run").exists()
    await shared.says("claude-1", "checkout", "-q", "-b", "x")
    assert (shared.home / "run").exists()


async def big(source: Source, files: int) -> None:
    """A commit of so many files."""
    for number in range(files):
        path = source.path / f"{number % 100}" / f"{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{number}\n" * 20)
    source.commit()


async def test_cancelled(shared: Shared, source: Source) -> None:
    """When it is cancelled in the middle nothing runs on and no worktree is there; the next attempt makes it whole."""
    await big(source, 3000)
    await shared.receive(source)
    making = asyncio.create_task(shared.make("claude-1"))
    await until(lambda: any(shared.root.glob(".vibespace-*/claude-1/*")))
    draft = shared.left()[0]
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert processes(draft) == []
    assert not (shared.root / "claude-1").exists()
    await shared.make("claude-1")
    assert await shared.says("claude-1", "status", "--porcelain") == ""
    assert shared.left() == []
    assert shared.listed() == [str(shared.root / "claude-1")]


async def test_connection_dies(shared: Shared, source: Source, sshd: Sshd) -> None:
    """When the container dies in the middle the next attempt removes what is left, makes it, and takes its branch."""
    await big(source, 3000)
    await shared.receive(source)
    making = asyncio.create_task(shared.make("claude-1"))
    await until(lambda: any(shared.root.glob(".vibespace-*/claude-1/*")))
    await sshd.kill()
    with pytest.raises(Unavailable):
        await making
    assert shared.left() != []
    await sshd.start()
    assert await shared.worktrees.look(AGENT, "claude-1") is None
    await shared.make("claude-1")
    assert await shared.says("claude-1", "symbolic-ref", "--short", "HEAD") == "claude-1"
    assert await shared.says("claude-1", "status", "--porcelain") == ""
    assert shared.left() == []
    assert shared.listed() == [str(shared.root / "claude-1")]


@pytest.mark.parametrize("after", ["moved", "unlocked", "taken away", "forgotten"])
async def test_cut_off_between_two_steps(shared: Shared, source: Source, after: str) -> None:
    """Wherever it was cut off: making it again makes it whole, removing it again takes it all away."""
    source.commit()
    await shared.receive(source)
    await shared.make("claude-1")
    draft = shared.root / ".vibespace-incoming-claude-1.0123" / "claude-1"
    admin = shared.bare / "worktrees" / "claude-1"

    async def cut_off() -> None:
        match after:
            case "moved":  # in its place, and git still thinks that it is a draft
                await run(shared.shell, "sh", "-c", f"rm -f {admin}/locked; echo {draft}/.git > {admin}/gitdir")
            case "unlocked":
                await run(shared.shell, "rm", str(admin / "locked"))
            case "taken away":  # out of its place, and git does not know
                await run(shared.shell, "mkdir", str(draft.parent))
                await run(shared.shell, "mv", str(shared.root / "claude-1"), str(draft))
            case "forgotten":  # its files are still being removed
                await run(shared.shell, "mkdir", str(draft.parent))
                await run(shared.shell, "mv", str(shared.root / "claude-1"), str(draft))
                await run(shared.shell, "rm", "-rf", str(admin), f"{draft}/.git")

    await cut_off()
    await shared.make("claude-1")
    assert await shared.says("claude-1", "status", "--porcelain") == ""
    assert (admin / "locked").exists()
    assert shared.listed() == [str(shared.root / "claude-1")]
    assert shared.left() == []
    await cut_off()
    assert await shared.remove("claude-1", force=True) == ""
    assert list(shared.root.iterdir()) == []
    assert shared.listed() == []
    assert shared.refs("refs/heads") == ["refs/heads/main"]


def test_what_an_agent_has_git_say() -> None:
    """Whatever it is: numbers that are none, control characters, lines without end."""
    told = "?? a\x1b[31m\n= branch x\x07y\n= base \n= apart 9\n= uncommitted 1\n= unpushed " + "9" * 30
    seen = read(f"{told}\n= modules -1\n\x00\nnonsense")
    assert seen == Work("x?y", uncommitted=1, files=("a?[31m",), ahead=9)


async def test_what_cannot_be_seen_is_not_nothing(shared: Shared, source: Source) -> None:
    """A repository that is broken is the reason, and no clean worktree; by force it can be removed."""
    source.commit()
    await shared.receive(source)
    await shared.make("claude-1")
    commit = await shared.commit("claude-1")
    await shared.commit("claude-1", "another")
    await run(shared.shell, "rm", "-f", f"{shared.bare}/objects/{commit[:2]}/{commit[2:]}")
    for ask in (shared.look, shared.remove):
        with pytest.raises(FailedPrecondition, match=r"revision walk|traverse parents") as caught:
            await ask("claude-1")
        assert caught.value.reason == "WORKTREE_FAILED"
    assert (shared.root / "claude-1").exists()
    assert await shared.remove("claude-1", force=True) == ""


async def test_long_names(shared: Shared, source: Source) -> None:
    """However long names of files are, all files are counted, and not more than a line is said of each."""
    source.commit()
    await shared.receive(source)
    await shared.make("claude-1")
    script = "for n in 1 2 3 4 5; do touch $n$(printf '\\001%.0s' $(seq 250)); done"
    await run(shared.shell, "sh", "-c", script, directory=str(shared.root / "claude-1"))
    seen = await shared.look("claude-1")
    assert (seen.uncommitted, len(seen.files)) == (5, 3)
    assert len(seen.unsaved) < 400
