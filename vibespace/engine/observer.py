"""What is really there: lists our containers whenever something stirred, and says when that changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Set
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from vibespace.engine import bodies, sshport
from vibespace.engine.api import Api
from vibespace.engine.base import SSHD_PORT, Condition, Snapshot, Status
from vibespace.errors import NotFound

RELIST_SECONDS = 30.0
"""A list without any event: engines are known to lose one."""

REOPEN_SECONDS = 0.1
"""Until a stream of events that ended is opened again."""

SILENT_SECONDS = 30.0
"""How long an sshd may take before its agent is told to have failed; it is waited for all the same."""

OVERLAP_SECONDS = 5.0
"""How far back the event stream is opened: repeated events only wake us once more, a gap would lose one."""


@dataclass
class _Seen:
    """What a list does not tell about one container; asked for again after each of its events."""

    started: str
    address: tuple[str, int]
    reason: str
    ready: bool = False


class Observer:
    """One `watch`: events wake it, only lists are believed."""

    def __init__(self, api: Api, log_id: str, making: Set[str]) -> None:
        self._api = api
        self._filters = {"label": [f"{bodies.LOG}={log_id}"]}
        self._making = making
        self._seen: dict[str, _Seen] = {}
        self._stirred: set[str] = set()
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """List again now: the engine itself did something that makes no event."""
        self._wake.set()

    async def watch(self) -> AsyncGenerator[Snapshot, None]:
        events = asyncio.create_task(self._follow(time.time() - OVERLAP_SECONDS))
        probes: dict[str, asyncio.Task[None]] = {}
        last: Snapshot | None = None
        try:
            while True:
                self._wake.clear()
                snapshot = await self._list()
                if snapshot != last:
                    yield snapshot
                    last = snapshot
                self._probe(probes)
                await self._woken(events)
        finally:
            for task in (events, *probes.values()):
                task.cancel()
            await asyncio.gather(events, *probes.values(), return_exceptions=True)

    async def _follow(self, since: float) -> None:
        """Turn events into wake-ups. Podman sometimes ends the stream while it lives: only silence is its end."""
        while True:
            async for event in self._api.stream("GET", "/events", since=f"{since:.3f}", filters=self._filters):
                self._stirred.add(str(event.get("id") or event.get("Actor", {}).get("ID")))
                self._wake.set()
            since = time.time() - OVERLAP_SECONDS
            await self._api.ping()
            await asyncio.sleep(REOPEN_SECONDS)

    async def _woken(self, events: asyncio.Task[None]) -> None:
        wake = asyncio.create_task(self._wake.wait())
        try:
            await asyncio.wait((wake, events), timeout=RELIST_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            wake.cancel()
        if events.done():
            events.result()  # raises why the stream ended

    async def _list(self) -> Snapshot:
        begun = time.monotonic()
        found = await self._api.list("/containers/json", all=True, filters=self._filters)
        listed = {c["Id"]: c for c in found if c["Labels"].get(bodies.AGENT_UID)}
        self._seen = {id_: seen for id_, seen in self._seen.items() if id_ in listed}
        stirred, self._stirred = self._stirred, set()
        await asyncio.gather(*(self._inspect(id_) for id_ in listed if id_ in stirred or id_ not in self._seen))
        statuses = (self._status(c, self._seen[id_]) for id_, c in listed.items() if id_ in self._seen)
        return Snapshot(tuple(sorted(statuses, key=lambda status: status.agent_uid)), begun)

    async def _inspect(self, container_id: str) -> None:
        with suppress(NotFound):  # removed since it was listed: the event of that is on its way
            found = await self._api.get(f"/containers/{container_id}/json")
            state = found["State"]
            running = bool(state["Running"])
            started = f"{container_id[:12]}@{state['StartedAt']}" if running else ""
            before = self._seen.get(container_id)
            if running and before and before.started == started:
                return  # the same run: what was learned of it still holds
            self._seen[container_id] = _Seen(
                started=started,
                address=ssh_address(found) if running else ("", 0),
                reason=_reason(state),
            )

    def _status(self, listed: dict[str, Any], seen: _Seen) -> Status:
        labels = listed["Labels"]
        condition, reason = Condition.STOPPED, seen.reason
        if seen.started:
            condition = Condition.RUNNING if seen.ready else Condition.STARTING
        elif labels[bodies.AGENT_UID] in self._making:
            condition, reason = Condition.STARTING, ""
        return Status(
            agent_uid=labels[bodies.AGENT_UID],
            condition=condition,
            reason=reason,
            spec_hash=labels.get(bodies.SPEC, ""),
            image=listed["ImageID"],
            started=seen.started,
        )

    def _probe(self, probes: dict[str, asyncio.Task[None]]) -> None:
        """One task for every container whose sshd has not answered yet; one that has may take its leave."""
        runs = {seen.started: seen for seen in self._seen.values() if seen.started}
        for run, task in list(probes.items()):
            if run not in runs or task.done():
                task.cancel()
                del probes[run]
        for run, seen in runs.items():
            if run not in probes and not seen.ready:
                probes[run] = asyncio.create_task(self._await_ssh(seen))

    async def _await_ssh(self, seen: _Seen) -> None:
        pause, begin = 0.01, time.monotonic()
        while not seen.ready:
            try:
                sock = await sshport.connect(*seen.address)
            except OSError:
                if not seen.reason and time.monotonic() - begin > SILENT_SECONDS:
                    seen.reason = f"its sshd has not answered for {SILENT_SECONDS:.0f} s"
                    self._wake.set()
                await asyncio.sleep(pause)
                pause = min(2 * pause, 1.0)
            else:
                seen.ready, seen.reason = True, ""
                self._wake.set()
                await sshport.leave(sock)


def ssh_address(inspected: dict[str, Any]) -> tuple[str, int]:
    """Where this machine reaches the container's sshd: on its loopback, or in a closed network at the container itself.

    Port 0 when nowhere, which no connect survives.
    """
    settings = inspected["NetworkSettings"]
    for binding in (settings["Ports"] or {}).get(bodies.SSH_PORT) or ():
        return "127.0.0.1", int(binding["HostPort"])
    addresses = [network.get("IPAddress") for network in (settings.get("Networks") or {}).values()]
    return (addresses[0], SSHD_PORT) if addresses and addresses[0] else ("127.0.0.1", 0)


def addresses(inspected: dict[str, Any]) -> list[str]:
    """Where the container is in the networks that it is in; nowhere when it does not run."""
    networks = (inspected["NetworkSettings"].get("Networks") or {}).values()
    told = (network.get(kind) for network in networks for kind in ("IPAddress", "GlobalIPv6Address"))
    return [*filter(None, told)]


def _reason(state: dict[str, Any]) -> str:
    if state["Running"]:
        return ""
    if state["Status"] in ("created", "configured", "initialized"):
        return "it was made but never started"
    if state.get("OOMKilled"):
        return "it ran out of memory"
    return f"it ended with exit code {state['ExitCode']}"
