"""Looks around from inside an agent's container: net.base.Prober, by probe.py, run there over a Shell."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from importlib import resources

from vibespace.errors import Unavailable
from vibespace.net.base import Seen, Shell, Target
from vibespace.net.command import Command
from vibespace.net.files import MISSING, PYTHON


class InsideProber:
    """Over `shell`."""

    def __init__(self, shell: Shell) -> None:
        self._command = Command(shell)
        self._program = resources.files("vibespace.net").joinpath("probe.py").read_text()

    async def __call__(
        self,
        agent_uid: str,
        *,
        targets: Sequence[Target] = (),
        loopback: Sequence[int] = (),
        paths: Sequence[str] = (),
    ) -> Seen:
        """See Prober."""
        asked = json.dumps({"targets": targets, "loopback": loopback, "paths": paths})
        done = await self._command(agent_uid, PYTHON, "-I", "-c", self._program, stdin=_once(asked.encode()))
        if done.code == MISSING:
            raise Unavailable("PROBE_FAILED", f"its image has no {PYTHON}")
        try:
            told = json.loads(done.stdout)
            return Seen(
                addresses=list(told["addresses"]),
                reached=_targets(told["reached"]),
                loopback=_targets(told["loopback"]),
                opened=list(told["opened"]),
                powers=dict(told["powers"]),
            )
        except (ValueError, TypeError, KeyError) as e:  # the agent may have had its hand in it
            raise Unavailable("PROBE_FAILED", f"what looks around inside ended with {done.code}") from e


def _targets(told: list[tuple[str, int]]) -> list[Target]:
    return [(str(host), int(port)) for host, port in told]


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
