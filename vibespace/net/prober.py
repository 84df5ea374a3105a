"""Looks around from inside an agent's container: net.base.Prober, by probe.py, run there over a Shell."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection, Sequence
from importlib import resources
from ipaddress import ip_address
from typing import Any

from vibespace.errors import Unavailable
from vibespace.net import probe
from vibespace.net.base import Seen, Shell, Target
from vibespace.net.command import Command
from vibespace.net.files import MISSING, PYTHON

_LONGEST = 16
"""Characters of what the kernel says that a process may do."""


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
            return _seen(json.loads(done.stdout), targets, loopback, paths)
        except (ValueError, TypeError, KeyError, RecursionError) as e:  # the agent may have had its hand in it
            raise Unavailable("PROBE_FAILED", f"what looks around inside ended with {done.code}") from e


def _seen(told: Any, targets: Sequence[Target], ports: Collection[int], paths: Sequence[str]) -> Seen:
    """What is told, as far as it was asked. Raises ValueError, TypeError or KeyError where it is something else."""
    loopback = [_target(each) for each in _list(told["loopback"])]
    if len(loopback) > probe.LOOPBACK or not all(_is_machine(host) and port in ports for host, port in loopback):
        raise ValueError("that is no loopback of the machine")
    reached = {_target(each) for each in _list(told["reached"])}
    opened = _list(told["opened"])
    return Seen(
        reached=[each for each in (*targets, *loopback) if each in reached],
        loopback=loopback,
        opened=[path for path in paths if path in opened],
        powers={name: _power(told["powers"][name]) for name in probe.POWERS if name in told["powers"]},
    )


def _is_machine(host: str) -> bool:
    return host in probe.MACHINE or ("%" not in host and bool(ip_address(host)))


def _list(told: object) -> list[object]:
    if not isinstance(told, list):
        raise TypeError("that is no list")
    return told


def _target(told: object) -> Target:
    match told:
        case [str(host), int(port)]:
            return host, port
    raise TypeError("that is no address with a port")


def _power(told: object) -> str:
    if not isinstance(told, str) or not told.isascii() or not told.isalnum() or len(told) > _LONGEST:
        raise ValueError("the kernel says no such thing")
    return told


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
