"""An engine without containers: the whole daemon runs on it, thousands of agents at a time, and it fails on demand."""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, get_args

from vibespace.engine import bodies, files, logs
from vibespace.engine.base import (
    FAKE,
    LOGINS,
    AgentSpec,
    Condition,
    Identity,
    Leftover,
    Resources,
    Snapshot,
    Status,
    Target,
    Usage,
    Written,
    spec_hash,
)
from vibespace.engine.fake_ssh import Inside, end_programs
from vibespace.engine.fake_world import Thing, World
from vibespace.errors import Aborted, FailedPrecondition, InvalidArgument, Unavailable

Verb = Literal["apply", "delete", "watch", "dial", "identity"]
Kind = Literal["fail", "lose", "hang", "twice", "refuse"]


@dataclass(frozen=True)
class Fault:
    """What goes wrong at the `nth` call of a verb, counted from 1 over the life of the engine object.

    `fail`: not done, Unavailable. `lose`: done, but the answer is Unavailable all the same. `hang`: neither done nor
    answered. `twice`: done twice (for `watch`: every snapshot comes twice). `refuse`: not done, Aborted.
    """

    verb: Verb
    nth: int
    kind: Kind


def faults(text: str) -> tuple[Fault, ...]:
    """From `apply:3:fail,watch:1:hang`, as it is handed to a daemon under test. Raises InvalidArgument."""
    found = []
    for item in filter(None, text.split(",")):
        verb, nth, kind = (*item.split(":"), "", "")[:3]
        if verb not in get_args(Verb) or not nth.isdigit() or kind not in get_args(Kind):
            raise InvalidArgument("FAULT_INVALID", f"'{item}' is not VERB:NTH:KIND.")
        found.append(Fault(verb, int(nth), kind))  # type: ignore[arg-type]  # both were just looked up
    return tuple(found)


class FakeEngine:
    """`engine.base.Engine` and `Inventory` over a World; `image_missing` are images that it does not
    have, `lacking` what some of the others lack.
    """

    def __init__(
        self,
        log_id: str,
        world: World | None = None,
        *,
        faults: Iterable[Fault] = (),
        image_missing: frozenset[str] = frozenset(),
        lacking: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.world = world or World()
        self._log_id = log_id
        self._faults = {(fault.verb, fault.nth): fault.kind for fault in faults}
        self._image_missing = image_missing
        self._lacking = lacking or {}
        self._calls: Counter[Verb] = Counter()
        self._insides: dict[str, Inside] = {}
        """By the run of the container, `started`."""
        self._hashes: dict[str, str] = {}

    async def apply(self, spec: AgentSpec) -> None:
        await self._call("apply", lambda: self._apply(spec))

    async def delete(self, target: Target, *, keep_data: bool) -> None:
        await self._call("delete", lambda: self._delete(target, keep_data))

    async def watch(self) -> AsyncIterator[Snapshot]:
        kind = await self._begin("watch")
        last: Snapshot | None = None
        outages = self.world.outages
        with self.world.listening() as changed:
            while True:
                changed.clear()
                if self.world.outages > outages:
                    raise _unreachable("it went down")
                snapshot = Snapshot(tuple(self._statuses()))
                if snapshot != last:
                    yield snapshot
                    if kind == "twice":
                        yield snapshot
                    last = snapshot
                await changed.wait()

    async def dial(self, agent_uid: str) -> socket.socket:
        kind = await self._begin("dial")
        thing = self._ours("container", bodies.container_name(agent_uid))
        if kind == "lose" or thing is None or thing.spec is None or thing.ended:
            raise Unavailable(
                "AGENT_UNREACHABLE", "The agent cannot be reached: its container does not run.", agent_uid=agent_uid
            )
        if thing.started not in self._insides:
            self._insides[thing.started] = self._inside(thing.spec)
        return self._insides[thing.started].dial()

    async def identity(self) -> Identity:
        await self._call("identity", _nothing)
        return Identity(FAKE, "1", self.world.address)

    async def examine(self, image: str) -> Sequence[str]:
        self._reach()
        self._find_image(image)
        return self._lacking.get(image, ())

    async def usage(self, agent_uids: Collection[str]) -> Mapping[str, Usage]:
        self._reach()
        found = {uid: self._ours("container", bodies.container_name(uid)) for uid in agent_uids}
        running = [uid for uid, thing in found.items() if thing and not thing.ended]
        return {uid: Usage(memory_bytes=2 << 20, cpu_seconds=0.5, processes=2) for uid in running}

    async def disk(self, data_uids: Collection[str]) -> Mapping[str, int]:
        self._reach()
        found: dict[str, int] = {}
        for (kind, name), thing in self.world.things.items():
            if (kind, thing.log_id) == ("volume", self._log_id) and thing.owner in data_uids:
                stored = (path for path in self.world.files(name).rglob("*") if path.is_file())
                found[thing.owner] = found.get(thing.owner, 0) + sum(path.lstat().st_size for path in stored)
        return found

    async def enforced(self) -> frozenset[str]:
        self._reach()
        return frozenset(field.name for field in fields(Resources))

    async def processors(self) -> int:
        self._reach()
        return self.world.processors

    async def close(self) -> None:
        await asyncio.gather(*(inside.close() for inside in self._insides.values()))
        self._insides.clear()

    async def logs(self, agent_uid: str, *, follow: bool, since: float) -> AsyncIterator[Written]:
        """What an sshd says first; all of it was written in 1970, so that `since` leaves it out."""
        self._reach()
        name = bodies.container_name(agent_uid)
        thing = self._ours("container", name)
        if thing is None:
            raise logs.gone()
        if not since:
            yield Written(b"Server listening on 0.0.0.0 port 2222.\n", stderr=True)
        with self.world.listening() as changed:
            while follow and (now := self.world.things.get(("container", name))):
                if now.ended or now.started != thing.started:
                    return
                changed.clear()
                await changed.wait()

    async def leftovers(self, known_uids: frozenset[str]) -> Sequence[Leftover]:
        self._reach()
        return [
            Leftover(kind, name, thing.owner, thing.vibespace)
            for (kind, name), thing in self.world.things.items()
            if thing.log_id == self._log_id and thing.owner not in known_uids
        ]

    async def _call(self, verb: Verb, work: Callable[[], Awaitable[None]]) -> None:
        kind = await self._begin(verb)
        await work()
        if kind == "twice":
            await work()
        if kind == "lose":
            raise _unreachable("its answer was lost")

    async def _begin(self, verb: Verb) -> Kind | None:
        """Count the call; what shall go wrong with it beyond this."""
        self._calls[verb] += 1
        kind = self._faults.get((verb, self._calls[verb]))
        if kind == "hang":
            await asyncio.Event().wait()
        if kind == "fail":
            raise _unreachable("it was told to fail")
        if kind == "refuse":
            raise Aborted("ENGINE_REFUSED", "It was told to refuse.")
        self._reach()
        return kind

    def _reach(self) -> None:
        if not self.world.reachable:
            raise _unreachable("it is down")

    async def _apply(self, spec: AgentSpec) -> None:
        name = bodies.container_name(spec.agent_uid)
        found = self._ours("container", name)
        if not spec.running:
            await self._end(name, found)
            return
        if found and found.spec and not found.ended and spec_hash(found.spec) == spec_hash(spec):
            return
        await self._end(name, found)
        if spec.resources.cpu_limit_millis > (there := self.world.processors) * 1000:
            raise Aborted("ENGINE_REFUSED", f"Range of CPUs is from 0.01 to {there}.00: there are only {there}")
        self._ensure("network", bodies.network_name(spec.vibespace_uid), spec.vibespace_uid, spec.vibespace)
        for volume in bodies.volumes(spec).values():
            self._ensure("volume", volume, spec.data_uid, spec.vibespace)
        self._find_image(spec.image)
        made = Thing(self._log_id, spec.agent_uid, spec, started=uuid.uuid4().hex, vibespace=spec.vibespace)
        self.world.put("container", name, made)

    async def _delete(self, target: Target, keep_data: bool) -> None:
        if target.agent_uid:
            name = bodies.container_name(target.agent_uid)
            await self._end(name, self._ours("container", name))
            volumes = [bodies.home_volume(target.data_uid, target.agent)]
        else:
            for (kind, name), thing in list(self.world.things.items()):
                spec = thing.spec
                if kind == "container" and spec and spec.vibespace_uid == target.vibespace_uid:
                    await self._end(name, self._ours(kind, name))
            self._drop("network", bodies.network_name(target.vibespace_uid))
            volumes = [
                name
                for (kind, name), thing in self.world.things.items()
                if (kind, thing.owner, thing.log_id) == ("volume", target.data_uid, self._log_id)
            ]
        if not keep_data:
            for name in volumes:
                self._drop("volume", name)

    def _find_image(self, image: str) -> None:
        if image in self._image_missing:
            raise FailedPrecondition("IMAGE_NOT_FOUND", f"The engine has no image {image}.", image=image)

    def _ours(self, kind: str, name: str) -> Thing | None:
        thing = self.world.things.get((kind, name))
        if thing is not None and thing.log_id != self._log_id:
            raise FailedPrecondition("ENGINE_NAME_TAKEN", f"Another installation made the {kind} '{name}'.")
        return thing

    def _ensure(self, kind: str, name: str, owner: str, vibespace: str) -> None:
        if self._ours(kind, name) is None:
            self.world.put(kind, name, Thing(self._log_id, owner, vibespace=vibespace))

    def _drop(self, kind: str, name: str) -> None:
        if self._ours(kind, name) is not None:
            self.world.drop(kind, name)

    async def _end(self, name: str, found: Thing | None) -> None:
        if found is not None:
            self.world.drop("container", name)
            self._hashes.pop(found.started, None)
            if inside := self._insides.pop(found.started, None):
                await inside.close()
            home = found.spec and self.world.files(bodies.home_volume(found.spec.data_uid, found.spec.agent))
            if home and (home / ".vibespace").exists():
                await asyncio.to_thread(end_programs, home)

    def _inside(self, spec: AgentSpec) -> Inside:
        mounts = {place: self.world.files(volume) for place, volume in bodies.volumes(spec).items()}
        mounts["/dev/shm"] = self.world.files(bodies.container_name(spec.agent_uid))  # noqa: S108 (a path inside)
        if spec.logins:
            (mounts[LOGINS] / spec.logins).mkdir(mode=0o700, exist_ok=True)
        mounts |= {mount.target: Path(mount.source) for mount in spec.mounts}
        return Inside(spec.host_key, spec.authorized_key, mounts, spec.environment, files.links(spec.links).decode())

    def _statuses(self) -> Iterator[Status]:
        for thing in self.world.things.values():
            if thing.spec is not None and thing.log_id == self._log_id:
                yield Status(
                    agent_uid=thing.spec.agent_uid,
                    condition=Condition.STOPPED if thing.ended else Condition.RUNNING,
                    reason=thing.ended,
                    spec_hash=self._hash(thing),
                    image=thing.spec.image,
                    started="" if thing.ended else thing.started,
                )

    def _hash(self, thing: Thing) -> str:
        """Once a run: every change makes a snapshot of them all."""
        assert thing.spec is not None
        if thing.started not in self._hashes:
            self._hashes[thing.started] = spec_hash(thing.spec)
        return self._hashes[thing.started]


async def _nothing() -> None:
    """The work of a verb that only asks."""


def _unreachable(why: str) -> Unavailable:
    return Unavailable("ENGINE_UNREACHABLE", f"The fake engine does not answer: {why}.")
