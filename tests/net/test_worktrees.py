"""A worktree for each agent, by the real git over a real sshd."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.net.gitsource import ENV, Source, pieces, serving
from tests.net.running import AGENT, run, until
from tests.net.sshd import Sshd, processes
from vibespace.errors import FailedPrecondition, Unavailable
from vibespace.net.base import Work
from vibespace.net.git import Git
from vibespace.net.shell import SshShell
from vibespace.net.worktrees import GitWorktrees, read

ORIGIN = "https://example.org/demo.git"
WHO = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
SUBMODULES, LFS = "Submodules are not fetched", "no git-lfs"


@dataclass
class Shared:
    """The shared repository and its worktrees, as the agent and as the test see them."""

    shell: SshShell
    home: Path

    def __post_init__(self) -> None:
        self.bare, self.root = self.home / ".bare-repo", self.home / "worktrees"
        self.git = Git(self.shell)
        self.worktrees = GitWorktrees(self.shell, str(self.bare), str(self.root))

    async def clone(self, url: str, branch: str = "") -> str:
        return await self.git.clone(AGENT, url, str(self.bare), branch, bare=True)

    async def receive(self, source: Source, branch: str = "main", origin: str = "") -> str:
        bundle = pieces(source.bundle() if source.refs("refs") else b"")
        return await self.git.receive(AGENT, bundle, str(self.bare), branch, origin, bare=True)

    async def make(self, name: str) -> list[str]:
        return await self.worktrees.make(AGENT, name)

    async def look(self, name: str) -> Work:
        seen = await self.worktrees.look(AGENT, name)
        assert seen
        return seen

    async def remove(self, name: str, *, force: bool = False) -> str:
        return await self.worktrees.remove(AGENT, name, force=force)

    async def says(self, name: str, *words: str) -> str:
        """What git says to the agent in its worktree, who needs no setting of any kind for that."""
        done = await run(self.shell, "git", *WHO, *words, directory=str(self.root / name))
        assert done.exit.code == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    async def commit(self, name: str, file: str = "mine", content: str = "mine") -> str:
        """A commit of the agent `name`."""
        await run(self.shell, "sh", "-c", f"echo '{content}' > '{file}'", directory=str(self.root / name))
        await self.says(name, "add", "--all")
        await self.says(name, "commit", "-q", "-m", f"Add {file}")
        return await self.says(name, "rev-parse", "HEAD")

    def at(self, *words: str) -> str:
        """What git says in the shared repository."""
        config = ["-c", "safe.directory=*", f"--git-dir={self.bare}"]
        ran = subprocess.run(["git", *config, *words], env=ENV, check=True, capture_output=True, text=True)
        return ran.stdout.strip()

    def refs(self, pattern: str) -> list[str]:
        return self.at("for-each-ref", "--format=%(refname)", pattern).split()

    def listed(self) -> list[str]:
        """Paths of all worktrees that git knows of."""
        lines = self.at("worktree", "list", "--porcelain").splitlines()
        return [line.partition(" ")[2] for line in lines if line.startswith("worktree ")][1:]

    def left(self) -> list[str]:
        """Drafts."""
        return [path.name for path in (*self.home.glob(".vibespace-*"), *self.root.glob(".vibespace-*"))]


@pytest.fixture
def shared(shell: SshShell, sshd: Sshd) -> Shared:
    return Shared(shell, sshd.home)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path / "source")


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
