"""What is used, and which limits hold, for the answers that tell it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TypeVar

from vibespace.app.feed import Feed
from vibespace.domain import quantities
from vibespace.domain.vibespaces import Spec
from vibespace.engine.base import KUBERNETES, Engine, Meter, Usage
from vibespace.errors import Error
from vibespace.v1 import agents_pb2, vibespaces_pb2

N = TypeVar("N", int, float)

FIELDS = {
    "cpu": "cpu_millis",
    "cpu_limit": "cpu_limit_millis",
    "memory": "memory_bytes",
    "memory_limit": "memory_limit_bytes",
}
"""Setting of a spec -> field of engine.base.Resources."""

_PATIENCE = 3.0
"""Seconds that an answer waits for the engine's figures, which Docker may take one second to give."""

_NO_QUOTA = "volumes have no quotas here; the free disk space is the limit"
_OF_THE_CLASS = "the claim is of that size; whether it ends there is its storage class's affair"
_NOT_ENFORCED = "the engine does not enforce it on this machine"
_NOT_ASKED = "the engine cannot be asked now"


class Measuring:
    """For servicers. `engine` says which one there is by now, if any."""

    def __init__(self, feed: Feed, engine: Callable[[], Engine | None]) -> None:
        self._feed = feed
        self._engine = engine

    async def add(
        self, vibespaces: Iterable[vibespaces_pb2.Vibespace] = (), agents: Iterable[agents_pb2.Agent] = ()
    ) -> None:
        """Fill in what each of `agents` uses, and the agents and volumes of each of `vibespaces`: the engine is
        asked once.
        """
        members = [(found, [a.uid for a in self._feed.state.agents(found.vibespace_id)]) for found in vibespaces]
        known = {agent.uid: agent for agent in agents}
        used, stored = await asyncio.gather(
            self._usage({uid for _, uids in members for uid in uids} | known.keys()),
            self.disk({found.data_uid for found, _ in members}),
        )
        for found, uids in members:
            if measured := [used[uid] for uid in uids if uid in used]:
                found.status.usage.CopyFrom(_message(measured))
            if found.data_uid in stored:
                found.status.usage.disk_bytes = stored[found.data_uid]
        for uid in known.keys() & used.keys():
            known[uid].status.usage.CopyFrom(_message([used[uid]]))

    async def disk(self, data_uids: Collection[str]) -> Mapping[str, int]:
        """Bytes stored under each of `data_uids`; what the engine does not tell in time is not in it."""
        engine = self._engine()
        try:
            async with asyncio.timeout(_PATIENCE):
                return await engine.disk(data_uids) if data_uids and isinstance(engine, Meter) else {}
        except (Error, TimeoutError):
            return {}

    async def limits(self, spec: Spec) -> list[vibespaces_pb2.Limit]:
        """What became of each limit that was asked for."""
        asked = [name for name in (*FIELDS, "storage") if name in spec]
        holds = await self._enforced() if asked else frozenset()
        host = self._feed.state.host
        quota = _OF_THE_CLASS if host and host.engine.get("brand") == KUBERNETES else _NO_QUOTA
        return [_limit(name, spec[name], holds, quota) for name in asked]

    async def check(self, spec: Spec) -> None:
        """Raises InvalidArgument QUANTITY_INVALID for a limit above what the engine's machine has, as far as the engine
        tells it: some refuse such a container, each time anew.
        """
        engine = self._engine()
        if "cpu_limit" not in spec or not isinstance(engine, Meter):
            return
        try:
            async with asyncio.timeout(_PATIENCE):
                there = await engine.processors()
        except (Error, TimeoutError):  # what is refused later is told by the agent
            return
        quantities.check_processors(spec["cpu_limit"], "spec.cpu_limit", there)

    async def _usage(self, uids: Collection[str]) -> Mapping[str, Usage]:
        engine = self._engine()
        try:
            async with asyncio.timeout(_PATIENCE):
                return await engine.usage(uids) if isinstance(engine, Meter) else {}
        except (Error, TimeoutError):  # what else was asked is answered all the same, and says that the engine is away
            return {}

    async def _enforced(self) -> frozenset[str] | None:
        engine = self._engine()
        try:
            async with asyncio.timeout(_PATIENCE):
                return await engine.enforced() if isinstance(engine, Meter) else None
        except (Error, TimeoutError):
            return None


def _limit(setting: str, asked: str, holds: frozenset[str] | None, quota: str) -> vibespaces_pb2.Limit:
    enforced = holds is not None and FIELDS.get(setting) in holds
    why = quota if setting not in FIELDS else _NOT_ASKED if holds is None else _NOT_ENFORCED
    return vibespaces_pb2.Limit(setting=setting, asked=asked, enforced=enforced, reason="" if enforced else why)


def _message(used: Sequence[Usage]) -> agents_pb2.Usage:
    cpu = _sum(each.cpu_seconds for each in used)
    return agents_pb2.Usage(
        memory_bytes=_sum(each.memory_bytes for each in used),
        cpu_seconds=None if cpu is None else round(cpu),
        processes=_sum(each.processes for each in used),
    )


def _sum(told: Iterable[N | None]) -> N | None:
    """None when nothing is told: that is not the same as nothing used."""
    known = [each for each in told if each is not None]
    return sum(known[1:], known[0]) if known else None
