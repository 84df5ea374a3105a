"""What git needs inside, in files of ours: net.base.GitKeeper, over a Shell.

They lie in memory that only this container has (its /dev/shm), are the agent's alone (0600), and go with the container:
on no disk, in no volume that outlives it, and in no repository. /etc/gitconfig of the agents' image includes `config`.
What runs in the container as the agent can read them.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import AsyncIterator

from vibespace.errors import FailedPrecondition
from vibespace.net.base import Shell
from vibespace.net.command import Command
from vibespace.net.gitbase import GitAccess, GitLogin

DIRECTORY = "/dev/shm/vibespace-git"  # noqa: S108 (of the container, not of this machine)
CONFIG = f"{DIRECTORY}/config"

_WRITE = 'umask 077 && mkdir -p -- "$1" && cat >"$1/.$2" && mv -- "$1/.$2" "$1/$2"'
"""A name appears with all of its content, or as it was."""
_KEEP = 'cd -- "$1" && shift && for f in * .[!.]*; do case " $* " in *" $f "*) ;; *) rm -f -- "$f" ;; esac; done'

_HELPER = '!f() {{ test "$1" = get && cat -- {}; }}; f'
"""Hands out what its file says. It neither stores nor erases anything."""


class GitAccessFiles:
    """net.base.GitKeeper."""

    def __init__(self, shell: Shell, directory: str = DIRECTORY) -> None:
        self._run = Command(shell)
        self._directory = directory

    async def give(self, agent_uid: str, access: GitAccess) -> None:
        """See GitKeeper. The config comes after the logins that it names, and before those that nothing names go."""
        if access == GitAccess():
            await self._sh(agent_uid, 'rm -rf -- "$1"')
            return
        logins = {_file(login): f"username={login.username}\npassword={login.password}\n" for login in access.logins}
        for name, content in logins.items():
            await self._sh(agent_uid, _WRITE, name, content=content)
        await self._sh(agent_uid, _WRITE, "config", content=config(access, self._directory))
        await self._sh(agent_uid, _KEEP, "config", *logins)

    async def _sh(self, agent_uid: str, script: str, *words: str, content: str = "") -> None:
        result = await self._run(agent_uid, "sh", "-c", script, "sh", self._directory, *words, stdin=_once(content))
        if result.code:
            why = result.stderr.decode(errors="replace").strip().rpartition("\n")[2][:300]
            raise FailedPrecondition("GIT_ACCESS_FAILED", f"git could not be given its logins inside: {why}")


def config(access: GitAccess, directory: str) -> str:
    """For git to include: an author, and for each host a helper that reads its file."""
    lines = ["# Of vibespace: made again whenever a credential changes."]
    if access.author_name or access.author_email:
        lines.append("[user]")
    if access.author_name:
        lines.append(f"\tname = {_quoted(access.author_name)}")
    if access.author_email:
        lines.append(f"\temail = {_quoted(access.author_email)}")
    for login in access.logins:
        helper = _HELPER.format(shlex.quote(f"{directory}/{_file(login)}"))
        lines += [f"[credential {_quoted(_url(login.host))}]", f"\thelper = {_quoted(helper)}"]
    return "\n".join(lines) + "\n"


def _url(host: str) -> str:
    return host if host.startswith("http://") else f"https://{host}"


def _file(login: GitLogin) -> str:
    return hashlib.sha256(login.host.encode()).hexdigest()[:16]


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


async def _once(content: str) -> AsyncIterator[bytes]:
    if content:
        yield content.encode()
