"""What git inside a container means to those who need it: repositories, worktrees, and logins."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol


class Repositories(Protocol):
    """Puts a git repository into a vibespace. All-or-nothing: a failed or broken-off attempt leaves no directory.

    Both return the commit checked out (40 hex digits, empty for a repository without commits), return at once with it
    when an earlier attempt had already finished, and raise FailedPrecondition REPOSITORY_FAILED with git's own last
    line. One that is `bare` has no files, and what Worktrees needs; its commit is the one that they begin at.
    """

    async def clone(self, agent_uid: str, url: str, directory: str, branch: str, *, bare: bool = False) -> str:
        """Clone `url` from inside. An empty branch means the repository's own default."""

    async def receive(
        self,
        agent_uid: str,
        bundle: AsyncIterator[bytes],
        directory: str,
        branch: str,
        origin: str,
        *,
        bare: bool = False,
    ) -> str:
        """Clone from a git bundle that comes in pieces; `origin` becomes the remote's URL, or no remote is left."""


@dataclass(frozen=True)
class Work:
    """What git says of a worktree. The agent may lie in it."""

    branch: str
    """Checked out; empty for none."""
    base: str = ""
    """What `ahead` and `behind` are counted from."""
    ahead: int | None = None
    behind: int | None = None
    """None where there is no commit yet on one of the two."""
    uncommitted: int = 0
    """Files."""
    files: Sequence[str] = ()
    """A few of those, quoted as git does: in one line, without control characters."""
    unpushed: int = 0
    """Commits that are on no other branch, here or at a remote."""
    submodules: int = 0
    """Those with commits that are at no remote of theirs."""

    @property
    def unsaved(self) -> str:
        """What is nowhere else, in words; empty when that is nothing."""
        return _told(
            (self.uncommitted, "file", f"not committed ({self._some})"),
            (self.unpushed, "commit", "on no other branch"),
            (self.submodules, "submodule", "with commits that are at no remote"),
        )

    @property
    def lost(self) -> str:
        """What would go with its files, in words: not commits of a branch."""
        return _told(
            (self.uncommitted, "file", f"not committed ({self._some})"),
            (0 if self.branch else self.unpushed, "commit", "on no branch"),
            (self.submodules, "submodule", "with commits that are at no remote"),
        )

    @property
    def _some(self) -> str:
        """Names of some of the files that are not committed."""
        named = [name[:80] for name in self.files]
        return ", ".join([*named, "…"] if self.uncommitted > len(named) else named)


def _told(*what: tuple[int, str, str]) -> str:
    parts = [f"{count} {noun}{'' if count == 1 else 's'} {how}" for count, noun, how in what if count]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


class Worktrees(Protocol):
    """Working copies of a repository that was cloned `bare`, one an agent, on a branch called as the agent.

    All-or-nothing: a broken-off attempt leaves none, and the next one removes what it was at. `name` is whose it is,
    `agent_uid` from inside which agent of that vibespace it is done. All raise FailedPrecondition WORKTREE_FAILED with
    git's own last line.
    """

    async def make(self, agent_uid: str, name: str) -> list[str]:
        """Make it, unless it is there; returns what is not in it though the repository has it, a sentence each.

        A branch of that name is gone on with: one that is here, or else one at `origin`.
        """

    async def look(self, agent_uid: str, name: str) -> Work | None:
        """What is in it; None when it is not there."""

    async def remove(self, agent_uid: str, name: str, *, force: bool) -> str:
        """Take it away, and its branch when others have all of that; returns why it stays, empty when it is gone.

        It stays when work would go with it, but for `force`.
        """


@dataclass(frozen=True)
class GitLogin:
    """How git logs in at one server."""

    host: str
    """`example.org`, `example.org:8443`; over plain http `http://example.org`."""
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class GitAccess:
    """All that git is given inside: a login a host, and the author of commits where nobody else says who that is."""

    logins: Sequence[GitLogin] = ()
    author_name: str = ""
    author_email: str = ""


class GitKeeper(Protocol):
    """Gives agents what git needs inside, and takes it back."""

    async def give(self, agent_uid: str, access: GitAccess) -> None:
        """From now on git of that agent has exactly this, until its container ends.

        Raises Unavailable, and FailedPrecondition GIT_ACCESS_FAILED.
        """
