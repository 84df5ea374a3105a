"""Whether there is a file that a program keeps its login in: net.base.LoginLooker, over a Shell. It is not read."""

from __future__ import annotations

from collections.abc import Sequence

from vibespace.errors import Unavailable
from vibespace.net.base import Shell
from vibespace.net.command import Command

_LOOK = """\
store=$1 place=$HOME/$2 file=$3
shift 3
for name; do [ -z "${!name}" ] || place=${!name}; done
[ -s "$place/$file" ] || exit 0
case $(readlink -f -- "$place/$file") in "$(readlink -f -- "$store")"/*) echo shared ;; *) echo own ;; esac
"""


class InsideLoginLooker:
    """Over `shell`."""

    def __init__(self, shell: Shell) -> None:
        self._run = Command(shell)

    async def __call__(self, agent_uid: str, store: str, directory: str, file: str, variables: Sequence[str]) -> str:
        """See LoginLooker."""
        result = await self._run(agent_uid, "bash", "-c", _LOOK, "login", store, directory, file, *variables)
        said = result.stdout.decode(errors="replace").strip()
        if result.code or said not in ("", "own", "shared"):  # the agent may have had its hand in it
            raise Unavailable("LOGIN_UNSEEN", f"What looks for a login inside ended with {result.code}.")
        return said
