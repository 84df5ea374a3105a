"""Repositories into a vibespace: net.base.Repositories by git itself, inside, over a Shell.

All work happens in a draft next to the target; one rename makes it the target. So the target is whole or not there,
whatever breaks, and an attempt that finds it has nothing to do.
"""

from __future__ import annotations

import asyncio
import posixpath
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from weakref import WeakValueDictionary

from vibespace.errors import FailedPrecondition, Unavailable
from vibespace.net.base import Shell
from vibespace.net.command import Command, Result
from vibespace.net.gitscripts import BASE, SHARE
from vibespace.net.gitwords import GIT, GIT_HERE, SCRIPT, check, last_words, wants_login

DRAFT = ".vibespace-incoming-"
"""How a draft's name begins; what begins so and lies next to a target is ours to remove."""

Fill = Callable[[str, str], Awaitable[None]]
"""(agent_uid, draft) -> makes the repository at draft/repository."""


class Git:
    """net.base.Repositories. One attempt at a time in each parent directory, where drafts are removed."""

    def __init__(self, shell: Shell) -> None:
        self._run = Command(shell)
        self._busy: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def clone(self, agent_uid: str, url: str, directory: str, branch: str, *, bare: bool = False) -> str:
        """See Repositories."""
        check("repository's URL", url)
        check("branch", branch)

        async def fill(agent_uid: str, draft: str) -> None:
            wanted = [f"--branch={branch}"] if branch else []
            words = [*(["--no-checkout"] if bare else []), *wanted, "--", url, f"{draft}/repository"]
            await self._git(agent_uid, *GIT, "clone", "--quiet", *words)
            if bare:
                await self._share(agent_uid, draft, cloned=True)

        if bare:
            await self._refuse_another(agent_uid, directory, url)
        return await self._once(agent_uid, directory, fill, bare=bare)

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
        """See Repositories. A bundle without a byte is a repository without commits; one must hold HEAD or `branch`."""
        check("branch", branch)
        check("remote's URL", origin)

        async def fill(agent_uid: str, draft: str) -> None:
            size = await self._store(agent_uid, bundle, f"{draft}/bundle")
            repository = f"{draft}/repository"
            if size:
                await self._unpack(agent_uid, draft, branch)
            else:
                head = [f"--initial-branch={branch}"] if branch else []
                await self._git(agent_uid, *GIT, "init", "--quiet", *head, "--", repository)
            if origin:
                await self._git(agent_uid, *GIT, "-C", repository, "remote", "add", "--", "origin", origin)
            if bare:
                await self._share(agent_uid, draft, cloned=False)
            elif size:
                await self._git(agent_uid, *GIT_HERE, "-C", repository, "reset", "--quiet", "--hard")

        return await self._once(agent_uid, directory, fill, bare=bare)

    async def _once(self, agent_uid: str, directory: str, fill: Fill, *, bare: bool) -> str:
        """The commit at `directory`, which `fill` makes unless it is there."""
        lock = self._busy.setdefault((agent_uid, posixpath.dirname(directory)), asyncio.Lock())
        async with lock:
            there = await self._commit(agent_uid, directory, bare=bare)
            if there is None:
                await self._draft(agent_uid, directory, fill)
                there = await self._commit(agent_uid, directory, bare=bare)
            return there or ""

    async def _commit(self, agent_uid: str, directory: str, *, bare: bool) -> str | None:
        """What is checked out at `directory`, or begun at: None without a repository, empty without a commit."""
        git_dir = f"--git-dir={directory}" if bare else f"--git-dir={directory}/.git"
        which = await self._base(agent_uid, git_dir) if bare else "HEAD"
        head = await self._run(agent_uid, *GIT, git_dir, "rev-parse", "--quiet", "--verify", f"{which}^{{commit}}")
        if head.code == 0:
            return head.stdout.decode().strip()
        found = await self._run(agent_uid, *GIT, git_dir, "rev-parse", "--git-dir")
        return "" if found.code == 0 else None

    async def _draft(self, agent_uid: str, directory: str, fill: Fill) -> None:
        other = await self._run(agent_uid, "find", directory, "-mindepth", "1", "-print", "-quit")
        if other.stdout:
            raise failure(f"{directory} is there already and is no git repository.")
        parent = posixpath.dirname(directory)
        draft = f"{parent}/{DRAFT}{secrets.token_hex(8)}"
        await self._tidy(agent_uid, parent)
        try:
            await self._git(agent_uid, "mkdir", "--", draft)
            await fill(agent_uid, draft)
            # A rename: onto nothing or an empty directory. What else is there stays, and this fails.
            await self._git(agent_uid, "mv", "-T", "--", f"{draft}/repository", directory)
        finally:
            with suppress(Unavailable):  # the next attempt removes it
                await self._tidy(agent_uid, parent)

    async def _tidy(self, agent_uid: str, parent: str) -> None:
        """Remove drafts, as far as that goes: git of an attempt that was cut off may still write into its own."""
        which = ["-maxdepth", "1", "-name", f"{DRAFT}*", "-exec", "rm", "-rf", "--", "{}", "+"]
        await self._run(agent_uid, "find", parent, *which)

    async def _store(self, agent_uid: str, bundle: AsyncIterator[bytes], path: str) -> int:
        """Write the bundle to `path` inside; returns its size in bytes."""
        result = await self._run(agent_uid, "dd", f"of={path}", "bs=64k", "status=none", stdin=bundle)
        if result.code:
            raise _failed(result)
        return result.sent

    async def _unpack(self, agent_uid: str, draft: str, branch: str) -> None:
        """Bundle to repository: a bare clone holds all branches as its own, then it gets its files."""
        bundle, repository = f"{draft}/bundle", f"{draft}/repository"
        here = [*GIT_HERE, f"--git-dir={repository}/.git"]
        await self._git(agent_uid, *GIT_HERE, "clone", "--quiet", "--bare", "--", bundle, f"{repository}/.git")
        await self._git(agent_uid, "rm", "--", bundle)
        await self._git(agent_uid, *here, "remote", "remove", "origin")
        await self._git(agent_uid, *here, "config", "core.bare", "false")
        commit = await self._head(agent_uid, here, branch)
        if branch:
            await self._git(agent_uid, *here, "symbolic-ref", "HEAD", f"refs/heads/{branch}")
        else:
            await self._git(agent_uid, *here, "update-ref", "--no-deref", "HEAD", commit)

    async def _share(self, agent_uid: str, draft: str, *, cloned: bool) -> None:
        """A repository without files yet becomes the one that worktrees share: bare, with the ref that they begin at.

        Of one that was `cloned` the branches are those at origin. What was sent has branches of its own; what they are
        now is noted, for it is somewhere else as well.
        """
        await self._git(agent_uid, *SCRIPT, SHARE, "sh", draft, "cloned" if cloned else "sent")

    async def _refuse_another(self, agent_uid: str, directory: str, url: str) -> None:
        """All shared repositories have one name: what lies there may be of data that was kept, and of another URL."""
        there = await self._run(agent_uid, *GIT_HERE, f"--git-dir={directory}", "config", "--get", "remote.origin.url")
        found = there.stdout.decode().strip()
        if found and found != url:
            raise failure(f"{directory} is there already, of {found}.")

    async def _base(self, agent_uid: str, git_dir: str) -> str:
        result = await self._run(agent_uid, *GIT_HERE, git_dir, "config", "--get", BASE)
        return result.stdout.decode().strip() or "HEAD"

    async def _head(self, agent_uid: str, here: list[str], branch: str) -> str:
        """The commit to check out. A clone's HEAD is the bundle's, on whatever branch git guessed."""
        wanted = f"refs/heads/{branch}" if branch else "HEAD"
        result = await self._run(agent_uid, *here, "rev-parse", "--quiet", "--verify", wanted)
        if result.code:
            missing = f"There is no branch {branch} in it." if branch else "It does not say what is checked out."
            raise failure(missing)
        return result.stdout.decode().strip()

    async def _git(self, agent_uid: str, *command: str) -> None:
        result = await self._run(agent_uid, *command)
        if result.code:
            raise _failed(result)


def failure(why: str, mend: str = "Mend that") -> FailedPrecondition:
    """REPOSITORY_FAILED, with the sentence that says why."""
    return FailedPrecondition("REPOSITORY_FAILED", why, hint=f"{mend}, and start the vibespace again.")


def _failed(result: Result) -> FailedPrecondition:
    said = result.stderr.decode(errors="replace")
    why = last_words(said) or f"git ended with code {result.code}."
    if wants_login(said):
        return failure(why, "Store a token with 'vibespace credential set git --host HOST'")
    return failure(why)
