"""Agents on Podman or Docker: one container each, made, replaced and taken away by the API both have."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any
from weakref import WeakSet, WeakValueDictionary

from vibespace.engine import bodies, examination, files, logs, meter, sshport
from vibespace.engine.api import Api, gone
from vibespace.engine.base import LOGINS, AgentSpec, Identity, Leftover, Snapshot, Target, Usage, Written, spec_hash
from vibespace.engine.identify import enforced, identify
from vibespace.engine.observer import Observer, addresses, ssh_address
from vibespace.errors import Aborted, AlreadyExists, Error, FailedPrecondition, NotFound, Unavailable

STOP_SECONDS = 10
"""What a container gets to end by itself before it is killed."""

DIAL_SECONDS = 15.0
"""How long a container that runs may take until its sshd answers."""

_PORTS = 3
"""How many ports of the host may be taken by others, one after another, before a start is given up."""


class ContainersEngine:
    """`engine.base.Engine` and `Inventory` on the socket of a Podman or Docker, for the objects of one log.

    It remembers nothing that the engine does not know: what was left half made is found by name and label, and
    made again. The verbs may run side by side; those of one agent wait for each other.
    """

    def __init__(
        self,
        socket: str,
        log_id: str,
        *,
        revive: Callable[[], Awaitable[None]] | None = None,
        guard: Callable[[], Awaitable[None]] | None = None,
        commands: str = "the engine's own commands",
    ) -> None:
        """`revive` is awaited before every watch: it may start the engine, and raises Unavailable when it cannot.

        `guard` is awaited after every start of a container: it keeps networks apart where that can be done no sooner.

        `commands` are those by which a person makes an image there.
        """
        self._revive = revive
        self._guard = guard
        self._commands = commands
        self._api = Api(socket)
        self._log_id = log_id
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._making: set[str] = set()
        self._observers: WeakSet[Observer] = WeakSet()
        self._ulimits = _ulimits()
        self._sysctls = _sysctls()
        self._identity: Identity | None = None

    async def apply(self, spec: AgentSpec) -> None:
        async with self._one_at_a_time(spec.agent_uid):
            if not spec.running:
                await self._remove(await self._container(spec.agent_uid))
                return
            found = await self._container(spec.agent_uid)
            if found and found["State"]["Running"] and _labels(found).get(bodies.SPEC) == spec_hash(spec):
                return
            self._making.add(spec.agent_uid)
            try:
                # Whatever else is there is not trusted, such as one whose keys may be missing.
                await self._remove(found)
                await self._make(spec)
            finally:
                self._making.discard(spec.agent_uid)
                for observer in self._observers:
                    observer.wake()

    async def delete(self, target: Target, *, keep_data: bool) -> None:
        if target.agent_uid:
            async with self._one_at_a_time(target.agent_uid):
                await self._remove(await self._container(target.agent_uid))
                if not keep_data:
                    await self._remove_volumes([bodies.home_volume(target.data_uid, target.agent)])
            return
        containers = await self._list("/containers/json", all=True)
        ours = [c for c in containers if c["Labels"].get(bodies.VIBESPACE_UID) == target.vibespace_uid]
        await _together(self._remove(c) for c in ours)
        await self._remove_network(target.vibespace_uid)
        if not keep_data:
            volumes = (await self._list("/volumes"))["Volumes"] or ()
            await self._remove_volumes(v["Name"] for v in volumes if v["Labels"].get(bodies.OWNER) == target.data_uid)

    async def watch(self) -> AsyncIterator[Snapshot]:
        if self._revive is not None:
            await self._revive()
        observer = Observer(self._api, self._log_id, self._making)
        self._observers.add(observer)
        async with aclosing(observer.watch()) as snapshots:
            async for snapshot in snapshots:
                yield snapshot

    async def dial(self, agent_uid: str) -> socket.socket:
        pause = 0.005
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                while True:
                    found = await self._container(agent_uid)
                    if not found or not found["State"]["Running"]:
                        raise _unreachable(agent_uid, "its container does not run")
                    try:
                        return await sshport.connect(*ssh_address(found))
                    except OSError:
                        await asyncio.sleep(pause)
                        pause = min(2 * pause, 0.25)
        except TimeoutError as e:
            raise _unreachable(agent_uid, f"its sshd did not answer within {DIAL_SECONDS:.0f} s") from e

    async def identity(self) -> Identity:
        if self._identity is not None:
            await self._api.ping()
            return self._identity
        self._identity = await identify(self._api)
        return self._identity

    async def examine(self, image: str) -> Sequence[str]:
        try:
            made = await self._api.post("/containers/create", examination.container(self._log_id, image))
        except NotFound as e:
            raise _no_image(image, self._commands) from e
        path = f"/containers/{made['Id']}"
        try:
            async with asyncio.timeout(examination.SECONDS):
                try:
                    await self._api.post(f"{path}/start")
                except (Aborted, NotFound):
                    return (examination.NO_SHELL,)
                told = await self._told(path)
            return [line["lacks"] for line in told if "lacks" in line] or (() if told else (examination.NO_SHELL,))
        except TimeoutError as e:
            raise Aborted("ENGINE_REFUSED", f"A look into {image} took more than {examination.SECONDS:.0f} s.") from e
        finally:
            await gone(self._api.delete(path, force=True, v=True))

    async def _told(self, path: str) -> Sequence[Mapping[str, str]]:
        """All lines of a look. They say themselves when they end: a user's Podman 4.3 does not tell who follows it."""
        told = []
        async with aclosing(self._api.stream("GET", f"{path}/logs", stdout=True, follow=True)) as lines:
            async for line in lines:
                told.append(line)
                if "done" in line:
                    break
        return told

    async def usage(self, agent_uids: Collection[str]) -> Mapping[str, Usage]:
        return await meter.usage(self._api, agent_uids)

    async def disk(self, data_uids: Collection[str]) -> Mapping[str, int]:
        return await meter.disk(self._api, data_uids)

    async def addresses(self, agent_uids: Collection[str]) -> Mapping[str, Sequence[str]]:
        found = await asyncio.gather(*map(self._addresses, agent_uids))
        return {uid: told for uid, told in zip(agent_uids, found, strict=True) if told}

    async def _addresses(self, agent_uid: str) -> Sequence[str]:
        try:
            found = await self._container(agent_uid)
        except FailedPrecondition:  # another installation's: one that is not ours keeps nobody else from being told
            return ()
        return addresses(found) if found else ()

    async def enforced(self) -> frozenset[str]:
        return enforced((await self.identity()).unenforced_limits)

    async def processors(self) -> int:
        return await meter.processors(self._api)

    async def close(self) -> None:
        await self._api.close()

    async def logs(self, agent_uid: str, *, follow: bool, since: float) -> AsyncIterator[Written]:
        found = await self._container(agent_uid)
        if not found:
            raise logs.gone()
        async for piece in logs.read(self._api, found["Id"], follow=follow, since=since):
            yield piece

    async def leftovers(self, known_uids: frozenset[str]) -> Sequence[Leftover]:
        containers, volumes, networks = await asyncio.gather(
            self._list("/containers/json", all=True), self._list("/volumes"), self._list("/networks")
        )
        objects = [
            *(("container", c["Names"][0].lstrip("/"), c["Labels"]) for c in containers),
            *(("volume", v["Name"], v["Labels"]) for v in volumes["Volumes"] or ()),
            *(("network", n["Name"], n["Labels"]) for n in networks),
        ]
        return [
            Leftover(kind, name, owner, labels.get(bodies.VIBESPACE, ""))
            for kind, name, labels in objects
            if (owner := labels.get(bodies.OWNER, "")) not in known_uids
        ]

    def _one_at_a_time(self, agent_uid: str) -> asyncio.Lock:
        return self._locks.setdefault(agent_uid, asyncio.Lock())

    async def _make(self, spec: AgentSpec) -> None:
        volumes = (self._ensure_volume(volume, spec) for volume in bodies.volumes(spec).values())
        await _together((self._ensure_network(spec), *volumes))
        path = await self._make_started(spec)
        if self._guard is not None:
            try:
                await self._guard()
            except Error:
                await self._api.delete(path, force=True)  # rather none than one that reaches others
                raise

    async def _make_started(self, spec: AgentSpec) -> str:
        """Its path. Podman picks the host's port for a container that it makes: others may take it before the start."""
        refusal: Error | None = None
        for _ in range(_PORTS):
            path = await self._create(spec)
            try:
                await self._start(path)
                return path
            except AlreadyExists as e:
                refusal = e
                await self._api.delete(path, force=True)
        raise Aborted("ENGINE_REFUSED", f"No port is free: {refusal}") from refusal

    async def _create(self, spec: AgentSpec) -> str:
        body = bodies.container(self._log_id, spec, self._ulimits, self._sysctls)
        try:
            made = await self._api.post("/containers/create", body, name=bodies.container_name(spec.agent_uid))
        except (NotFound, AlreadyExists) as e:
            if isinstance(e, AlreadyExists) or "image" not in e.message.lower():
                raise Aborted("ENGINE_REFUSED", e.message) from e  # something came or went since we looked
            raise _no_image(spec.image, self._commands) from e
        path = f"/containers/{made['Id']}"
        await self._api.put(f"{path}/archive", files.archive(spec), path="/")
        if spec.logins:
            await self._api.put(f"{path}/archive", files.store(spec), path=LOGINS)
        return path

    async def _start(self, path: str) -> None:
        """Podman, with much to do, may still be putting away what files were just put in by, and then finds it gone."""
        try:
            await self._api.post(f"{path}/start")
        except Aborted as e:
            if "mounting storage" not in e.message:
                raise
            await self._api.post(f"{path}/start")

    async def _ensure_network(self, spec: AgentSpec) -> None:
        """The network, by its name. Refused is either the name (then it must be ours) or the subnet (then another)."""
        refusal: Error | None = None
        for subnet in bodies.subnets(spec.vibespace_uid):
            try:
                body = bodies.network(self._log_id, spec.vibespace_uid, spec.vibespace, subnet, closed=spec.closed)
                await self._api.post("/networks/create", body)
                return
            except (AlreadyExists, Aborted) as e:
                refusal = e
                if await self._ours(f"/networks/{body['Name']}"):
                    return
        raise Aborted("ENGINE_REFUSED", f"No subnet is free: {refusal}") from refusal

    async def _ensure_volume(self, name: str, spec: AgentSpec) -> None:
        """Creating a volume that exists answers with it; Podman refuses only the second of two at the same moment."""
        body = bodies.volume(self._log_id, spec.data_uid, name, spec.vibespace)
        try:
            found = await self._api.post("/volumes/create", body)
        except AlreadyExists:
            found = await self._api.get(f"/volumes/{name}")
        self._check(name, found.get("Labels") or {})

    async def _remove(self, found: dict[str, Any] | None) -> None:
        """Stop and remove one of our containers; its volumes stay."""
        if found is None:
            return
        path = f"/containers/{found['Id']}"
        try:
            if _runs(found):
                await self._api.post(f"{path}/stop", t=STOP_SECONDS)
            await self._api.delete(path, force=True)
        except NotFound:
            return  # gone meanwhile, which is what was wanted
        except Aborted as e:
            if "already in progress" not in e.message:
                raise
            await gone(self._api.post(f"{path}/wait", condition="removed"))  # Docker, when somebody else removes it

    async def _remove_network(self, vibespace_uid: str) -> None:
        path = f"/networks/{bodies.network_name(vibespace_uid)}"
        if await self._ours(path):
            await gone(self._api.delete(path))

    async def _remove_volumes(self, names: Iterable[str]) -> None:
        async def remove(name: str) -> None:
            if await self._ours(f"/volumes/{name}"):
                await gone(self._api.delete(f"/volumes/{name}"))

        await _together(remove(name) for name in names)

    async def _container(self, agent_uid: str) -> dict[str, Any] | None:
        """The agent's container as the engine tells it, or None. Raises when the name is another's."""
        name = bodies.container_name(agent_uid)
        try:
            found: dict[str, Any] = await self._api.get(f"/containers/{name}/json")
        except NotFound:
            return await self._renamed(agent_uid)
        self._check(name, _labels(found))
        return found

    async def _renamed(self, agent_uid: str) -> dict[str, Any] | None:
        """The agent's container under a name that somebody gave it by hand: it is ours all the same."""
        listed = await self._list("/containers/json", all=True)
        ours = [c for c in listed if (c["Labels"] or {}).get(bodies.AGENT_UID) == agent_uid]
        try:
            found: dict[str, Any] | None = await self._api.get(f"/containers/{ours[0]['Id']}/json") if ours else None
        except NotFound:
            return None
        return found

    async def _ours(self, path: str) -> bool:
        """Whether it is there. Raises when it is there and is not ours."""
        try:
            found = await self._api.get(path)
        except NotFound:
            return False
        self._check(found["Name"], found.get("Labels") or {})
        return True

    def _check(self, name: str, labels: dict[str, str]) -> None:
        if labels.get(bodies.LOG) != self._log_id:
            raise FailedPrecondition(
                "ENGINE_NAME_TAKEN",
                f"The engine has a '{name}' that another installation made; it is left alone.",
                hint="Remove or rename it by hand, then 'vibespace start' tries again.",
                object=name,
            )

    async def _list(self, path: str, **query: Any) -> Any:
        return await self._api.list(path, filters={"label": [f"{bodies.LOG}={self._log_id}"]}, **query)


async def _together(jobs: Iterable[Awaitable[None]]) -> None:
    """All of them, then the first failure: none is left running behind the caller's back."""
    results = await asyncio.gather(*jobs, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


def _no_image(image: str, commands: str) -> FailedPrecondition:
    return FailedPrecondition(
        "IMAGE_NOT_FOUND",
        f"The engine has no image {image}.",
        hint=f"'vibespace init' makes the agents' own; another is pulled or built with {commands}.",
        image=image,
    )


def _labels(inspected: dict[str, Any]) -> dict[str, str]:
    return inspected["Config"]["Labels"] or {}


def _runs(found: dict[str, Any]) -> bool:
    """Of an inspected container, or of one from a list."""
    state = found["State"]
    return state == "running" if isinstance(state, str) else bool(state["Running"])


def _unreachable(agent_uid: str, why: str) -> Unavailable:
    return Unavailable("AGENT_UNREACHABLE", f"The agent cannot be reached: {why}.", agent_uid=agent_uid)


def _ulimits() -> dict[str, int]:
    """The highest limits this machine lets a container have: Podman asks for more by itself, and is refused."""
    top = int(Path("/proc/sys/kernel/pid_max").read_text())  # Podman lowers its own limit to this
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    processes = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    return {
        "nofile": files if files != resource.RLIM_INFINITY else 1 << 20,
        "nproc": min(processes, top) if processes != resource.RLIM_INFINITY else top,
    }


def _sysctls() -> dict[str, str]:
    """Docker closes ::1 where its networks have no IPv6; many a server inside listens there only."""
    there = Path("/proc/sys/net/ipv6").exists()  # a kernel without it refuses the container
    return {"net.ipv6.conf.lo.disable_ipv6": "0"} if there else {}
