"""A working copy for each agent: net.base.Worktrees by git itself, inside, over a Shell."""

from __future__ import annotations

import re
import secrets

from vibespace.errors import FailedPrecondition
from vibespace.net.base import Shell
from vibespace.net.command import Command, Result
from vibespace.net.git import DRAFT
from vibespace.net.gitbase import Work
from vibespace.net.gitscripts import LOOK, MAKE, MISSING, REMOVE
from vibespace.net.gitwords import SCRIPT, last_words

_NOTES = {
    "submodules": "Submodules are not fetched: 'git submodule update --init' does that.",
    "lfs": "There is no git-lfs inside: files that Git LFS keeps are pointers.",
}

_STATUS = re.compile(r"[ A-Z?!]{2} (.*)")
_FACT = re.compile(r"= (\w+) (.*)")


class GitWorktrees:
    """net.base.Worktrees. Not two at once for one agent."""

    def __init__(self, shell: Shell, repository: str, root: str) -> None:
        """`repository` is where the shared one lies, inside every agent; worktrees lie in `root`."""
        self._run = Command(shell)
        self._repository = repository
        self._root = root

    async def make(self, agent_uid: str, name: str) -> list[str]:
        """See Worktrees."""
        result = await self._script(agent_uid, MAKE, name)
        return [_NOTES[word] for word in result.stdout.decode().split() if word in _NOTES]

    async def look(self, agent_uid: str, name: str) -> Work | None:
        """See Worktrees."""
        result = await self._run(agent_uid, *SCRIPT, LOOK, "sh", f"{self._root}/{name}", name)
        if result.code == MISSING:
            return None
        _check(result)
        return read(result.stdout.decode(errors="replace"))

    async def remove(self, agent_uid: str, name: str, *, force: bool) -> str:
        """See Worktrees."""
        if not force and (work := await self.look(agent_uid, name)) and (lost := work.lost):
            return f"It has {lost}."
        await self._script(agent_uid, REMOVE, name)
        return ""

    async def _script(self, agent_uid: str, script: str, name: str) -> Result:
        drafts = f"{self._root}/{DRAFT}{name}."
        words = [self._repository, self._root, name, drafts, secrets.token_hex(8)]
        result = await self._run(agent_uid, *SCRIPT, script, "sh", *words)
        _check(result)
        return result


def read(told: str) -> Work:
    """What LOOK wrote. Who works there may have had it write anything."""
    files, facts = list[str](), dict[str, str]()
    for line in map(_printable, told.splitlines()):
        if found := _FACT.fullmatch(line):
            facts[found[1]] = found[2]
        elif found := _STATUS.fullmatch(line):
            files.append(found[1])
    ahead, _, behind = facts.get("apart", "").partition("\t")
    return Work(
        branch=facts.get("branch", ""),
        base=facts.get("base", ""),
        ahead=_number(ahead) if ahead else None,
        behind=_number(behind) if behind else None,
        uncommitted=_number(facts.get("uncommitted", "")),
        files=tuple(files),
        unpushed=_number(facts.get("unpushed", "")),
        submodules=_number(facts.get("modules", "")),
    )


def _printable(line: str) -> str:
    return "".join(c if c.isprintable() or c == "\t" else "?" for c in line)


def _number(text: str) -> int:
    """As the API can tell it."""
    return min(int(text), 2**31 - 1) if re.fullmatch(r"[0-9]{1,18}", text) else 0


def _check(result: Result) -> None:
    if result.code:
        why = last_words(result.stderr.decode(errors="replace")) or f"git ended with code {result.code}."
        raise FailedPrecondition("WORKTREE_FAILED", why, hint="Mend that, and start the agent again.")
