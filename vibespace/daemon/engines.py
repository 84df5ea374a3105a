"""The one engine of this state directory: opened once `init` has chosen it, and asked through here."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import quote, urlsplit

from vibespace import durable
from vibespace.domain.host import Host
from vibespace.engine.base import FAKE, KUBERNETES, Engine, Examiner, Locator, Logs, Written
from vibespace.engine.containers import ContainersEngine
from vibespace.errors import FailedPrecondition, Unavailable
from vibespace.setup import engine
from vibespace.setup.engine import Choice
from vibespace.state import State

_KUBELET = 10250
"""Where every kubelet listens."""


async def open_engine(host: Host, state: State, environ: Mapping[str, str]) -> Engine:
    """The engine that `host` recorded. Raises Unavailable ENGINE_UNREACHABLE when it cannot be brought to answer."""
    chosen: Mapping[str, str] = host.engine
    if chosen["brand"] == FAKE:
        from vibespace.engine.fake import FakeEngine, faults  # noqa: PLC0415 (only who tries things out has it)
        from vibespace.engine.fake_world import World  # noqa: PLC0415 (see above)

        world = World(Path(environ.get("VIBESPACE_FAKE_ENGINE") or state.engine / FAKE))
        return FakeEngine(host.uid, world, faults=faults(environ.get("VIBESPACE_FAKE_FAULTS", "")))
    if chosen["brand"] == KUBERNETES:
        from vibespace.engine.kubernetes import KubernetesEngine  # noqa: PLC0415 (only who has a cluster)

        cluster = KubernetesEngine(state.kubeconfig, host.uid, renew=partial(_renew, state))
        await cluster.identity()
        return cluster
    choice = Choice(chosen["brand"], chosen["address"], bool(host.engine["private"]))
    revive = partial(asyncio.to_thread, engine.reopen, choice, state)
    await revive()
    guard = partial(asyncio.to_thread, engine.guard, choice, state)
    if not choice.private:
        return ContainersEngine(choice.socket, host.uid, revive=revive, guard=guard)
    commands = f"'podman --remote --url unix://{quote(choice.socket)}'"  # no shell's quotes inside of ours
    return ContainersEngine(choice.socket, host.uid, revive=revive, guard=guard, commands=commands)


def machines(host: Host | None, state: State) -> Sequence[tuple[str, int]]:
    """What the machines of a cluster serve that no agent is to reach: the API, and the kubelets. Waits for the disk."""
    if host is None or host.engine.get("brand") != KUBERNETES:
        return ()
    from vibespace.engine import cluster  # noqa: PLC0415 (only who has one)

    found = cluster.read(state.kubeconfig)
    server = urlsplit(found.server)
    nodes = [network.partition("/")[0] for network in found.closed]
    return [*((each, server.port or 443) for each in nodes), *((each, _KUBELET) for each in nodes)]


def _renew(state: State, kubeconfig: str) -> None:
    """Have another login in the kubeconfig. Waits for the disk. Raises Exhausted and Unavailable."""
    try:
        durable.replace(state.kubeconfig, kubeconfig.encode())
    except OSError as e:
        raise durable.refusal(e, state.home) from e


class LateEngine:
    """The engine for those that are made before it: until it has been opened, what they ask of it is Unavailable.

    It is a `net.base.Dialer` and `engine.base.Logs`, and looks into images.
    """

    def __init__(self) -> None:
        self.engine: Engine | None = None
        """None until it has been opened."""

    async def dial(self, agent_uid: str) -> socket.socket:
        """See Engine.dial."""
        return await self._there().dial(agent_uid)

    async def logs(self, agent_uid: str, *, follow: bool, since: float) -> AsyncIterator[Written]:
        """See Logs. Raises FailedPrecondition LOGS_NOT_KEPT when the engine keeps none."""
        engine = self._there()
        if not isinstance(engine, Logs):
            raise FailedPrecondition("LOGS_NOT_KEPT", "This engine does not keep what containers write.")
        async for piece in engine.logs(agent_uid, follow=follow, since=since):
            yield piece

    async def examine(self, image: str) -> None:
        """Raises FailedPrecondition IMAGE_UNFIT, saying what `image` lacks; IMAGE_NOT_FOUND; Unavailable."""
        engine = self._there()
        lacks = await engine.examine(image) if isinstance(engine, Examiner) else ()
        if lacks:
            raise FailedPrecondition(
                "IMAGE_UNFIT",
                f"Image {image} cannot be an agent's computer: it lacks {'; '.join(lacks)}.",
                field="spec.image",
                hint="Build it FROM localhost/vibespace-agent, which has all of that.",
                image=image,
            )

    async def addresses(self, agent_uids: Collection[str]) -> Mapping[str, Sequence[str]]:
        """See Locator; of none where the engine does not know."""
        engine = self._there()
        return await engine.addresses(agent_uids) if isinstance(engine, Locator) else {}

    def _there(self) -> Engine:
        if self.engine is None:
            raise Unavailable("ENGINE_UNREACHABLE", "The engine is not there yet.", hint="Try again.")
        return self.engine
