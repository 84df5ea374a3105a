"""The repository that agents share and their worktrees, as a test looks at them."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.net.gitsource import ENV, Source, pieces
from tests.net.running import AGENT, run
from vibespace.net.git import Git
from vibespace.net.gitbase import Work
from vibespace.net.shell import SshShell
from vibespace.net.worktrees import GitWorktrees

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
