"""What the house asks of anything that runs containers: four verbs over frozen data.

An engine holds no truth. It is told what should be (`apply`, `delete`), says what is (`watch`), and opens the one
way in (`dial`). There is no exec: commands, terminals, files and forwards ride on ssh over `dial`, the same on every
engine.
Every verb may be called again after a crash at any point, and must then converge instead of failing.
Everything an engine makes carries the `log_id` it was opened with; what lacks it is never touched.
"""

from __future__ import annotations

import hashlib
import json
import socket
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

SSHD_PORT = 2222
"""Where sshd listens inside every agent container; the image's sshd_config depends on it."""

USER_ID = 1000
"""uid and gid of the agent inside; the image makes the user, the volumes belong to it."""

LOGINS = "/vibespace-logins"
"""Where a vibespace's store of logins is seen inside, by the agents that share them."""

FAKE = "fake"
"""Brand of the engine in memory. Only `init` under VIBESPACE_ENGINE=fake ever records it."""

KUBERNETES = "kubernetes"
"""Brand of a cluster: the one engine that is no container engine of one machine."""


class Condition(StrEnum):
    """What an engine sees of one agent's container."""

    RUNNING = "running"
    """Started, and its sshd port can be dialled."""
    STARTING = "starting"
    STOPPED = "stopped"
    """It exists and has ended; `Status.reason` says how, as far as the engine knows."""
    ABSENT = "absent"
    """There is no container. Volumes may exist."""


@dataclass(frozen=True)
class Resources:
    """Limits of one container. Zero means the engine's default (no limit)."""

    cpu_millis: int = 0
    """Share asked for, in 1/1000 of a core."""
    cpu_limit_millis: int = 0
    memory_bytes: int = 0
    """Memory asked for, a reservation."""
    memory_limit_bytes: int = 0
    """Hard limit, swap included."""
    pids: int = 0


@dataclass(frozen=True)
class HostMount:
    """A directory or file of the engine's machine, to be seen inside. The engine shows what it is told to."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class AgentSpec:
    """All an engine needs to run one agent: its container, its volumes, and its vibespace's network and volume.

    Compared by `spec_hash`: applying one that says the same to a container that runs does nothing.
    """

    agent_uid: str
    agent: str
    """Name inside its vibespace, a label for people; also names the home volume within `data_uid`."""
    vibespace_uid: str
    vibespace: str
    data_uid: str
    """Names the volumes; outlives the vibespace when its data is kept."""
    image: str
    running: bool = True
    """False: no container, volumes stay."""
    resources: Resources = Resources()
    host_key: bytes = field(default=b"", repr=False)
    """OpenSSH private key of the container's sshd; lands in a file, never in argv, environment or labels."""
    authorized_key: str = ""
    """The one public key that may log in, OpenSSH format, one line."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Values for every command inside; they land in a file, as the host key does."""
    mounts: Sequence[HostMount] = ()
    closed: bool = False
    """Its network leads to the other agents of the vibespace, and nowhere else."""
    sudo: bool = False
    """The user may become root inside; else there is no way to any privilege."""
    logins: str = ""
    """Its directory in the vibespace's store of logins, which it then sees at LOGINS; empty: it does not."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Paths in its home, and where they lead. Every command finds a link there; a file that lies there instead is moved
    to the link's end before, unless what is there is newer.
    """
    allow: Sequence[str] = ()
    """What of private networks its vibespace reaches, CIDR:PORT each, where the engine itself has a say in it."""
    storage_bytes: int = 0
    """How large its vibespace's volume is made, where volumes have a size; zero: the engine's default."""


def spec_hash(spec: AgentSpec) -> str:
    """The same text for specs that a running container need not be replaced for; it goes into labels and tells nothing
    of the key, nor of the environment: who would guess at a value must guess the key as well. `image` has no part in
    it: who runs takes a newer image at the next start, and is not ended for it.
    """
    told = replace(spec, image="", running=True, host_key=hashlib.sha256(spec.host_key).digest())
    told = replace(told, allow=(), storage_bytes=0)  # of the network and the volume, which are no part of a container
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=_told).encode()).hexdigest()


def _told(part: Any) -> Any:
    """Of a dataclass what differs from its defaults: a field that a newer build adds, and nobody has set, replaces no
    container.
    """
    if isinstance(part, bytes):
        return part.hex()
    unset = {f.name: f.default if f.default_factory is MISSING else f.default_factory() for f in fields(part)}
    return {name: value for name, value in vars(part).items() if value != unset[name]}


@dataclass(frozen=True)
class Target:
    """What `delete` takes away: one agent, or the vibespace with all that is left of it."""

    vibespace_uid: str
    data_uid: str
    agent_uid: str = ""
    agent: str = ""
    """Both empty: the whole vibespace (every container, the network, the volumes of `data_uid`)."""


@dataclass(frozen=True)
class Status:
    """One agent's container as the engine sees it now."""

    agent_uid: str
    condition: Condition
    reason: str = ""
    """Why it is not running, or does not get further than STARTING: one short clause, empty when there is none."""
    spec_hash: str = ""
    """`spec_hash()` of the spec it was made from."""
    image: str = ""
    """Image id the container runs."""
    started: str = ""
    """Opaque, changes with every start of the container: a connection made under another value is dead."""


@dataclass(frozen=True)
class Snapshot:
    """All containers that carry our log_id, at one moment. An agent that is not in it is ABSENT."""

    statuses: Sequence[Status]
    begun: float = field(default_factory=time.monotonic, compare=False)
    """When the engine began to look, at the latest: what it had ended by then is not shown any more."""


@dataclass(frozen=True)
class Identity:
    """Which engine answers: fixed at `init`, shown by `status`."""

    brand: str
    """podman | docker | kubernetes | fake"""
    version: str
    address: str
    """Socket path, or of a cluster its server and the namespace there."""
    rootless: bool = False
    unenforced_limits: Sequence[str] = ()
    """Limits that it takes and cannot hold containers to: of `cpu`, `memory`, `processes`."""


@dataclass(frozen=True)
class Leftover:
    """An object of ours by label that no live vibespace or agent accounts for."""

    kind: str
    """container | volume | network"""
    name: str
    owner_uid: str
    vibespace: str = ""
    """Name of the one that it was made for; empty where nothing tells it."""


class Engine(Protocol):
    """Four verbs. All raise `errors.Unavailable` (reason ENGINE_UNREACHABLE) when the engine does not answer."""

    async def apply(self, spec: AgentSpec) -> None:
        """Make it so: network, volumes and container as `spec` says; a container of another spec is replaced.

        Returns when the container is started (or gone, for `running=False`); `watch` tells what became of it.
        Raises FailedPrecondition IMAGE_NOT_FOUND, Exhausted ENGINE_EXHAUSTED, Aborted ENGINE_REFUSED.
        """

    async def delete(self, target: Target, *, keep_data: bool) -> None:
        """Take away what `target` names; what is not there is no error. `keep_data` leaves the volumes."""

    def watch(self) -> AsyncIterator[Snapshot]:
        """A complete Snapshot first, then one after every change, until closed.

        Lost events are made up for: after any reconnect the next Snapshot is complete again. While the engine is not
        reachable it raises Unavailable; the caller calls `watch` again.
        """

    async def dial(self, agent_uid: str) -> socket.socket:
        """A connected, non-blocking stream socket to that agent's sshd; the caller closes it.

        Raises Unavailable AGENT_UNREACHABLE when there is no running container.
        """

    async def identity(self) -> Identity:
        """Which engine this is; also the cheapest way to ask whether it answers."""

    async def close(self) -> None:
        """Let go of connections. Containers go on."""


@dataclass(frozen=True)
class Usage:
    """What one container uses now; None is what the engine does not tell."""

    memory_bytes: int | None = None
    cpu_seconds: float | None = None
    """Since its start."""
    processes: int | None = None


@runtime_checkable
class Meter(Protocol):
    """Optional: an engine that measures, and knows which limits it holds containers to."""

    async def usage(self, agent_uids: Collection[str]) -> Mapping[str, Usage]:
        """Of those of these agents whose containers run, and of which it has figures."""

    async def disk(self, data_uids: Collection[str]) -> Mapping[str, int]:
        """Bytes in the volumes of each of these that has any, whether an agent runs or not."""

    async def enforced(self) -> frozenset[str]:
        """Names of the fields of Resources that have an effect here."""

    async def processors(self) -> int:
        """How many its machine has now. Docker refuses a limit above, Podman takes it."""


@runtime_checkable
class Locator(Protocol):
    """Optional: an engine that knows where in its networks containers are."""

    async def addresses(self, agent_uids: Collection[str]) -> Mapping[str, Sequence[str]]:
        """IP addresses of each of these agents whose container has any, as the engine gave them: no agent has a say."""


@runtime_checkable
class Examiner(Protocol):
    """Optional: an engine that can look into an image before anything is made from it."""

    async def examine(self, image: str) -> Sequence[str]:
        """What `image` lacks of docs/images.md, a few words each; empty: agents can run in it.

        Raises FailedPrecondition IMAGE_NOT_FOUND.
        """


@runtime_checkable
class Inventory(Protocol):
    """Optional: an engine that can list all that it ever made for this log."""

    async def leftovers(self, known_uids: frozenset[str]) -> Sequence[Leftover]:
        """Objects with our log_id whose owner (agent, vibespace or data uid) is not in `known_uids`."""


@dataclass(frozen=True)
class Written:
    """Next bytes that a container's main process wrote."""

    data: bytes
    stderr: bool = False


@runtime_checkable
class Logs(Protocol):
    """Optional: an engine that keeps what containers write."""

    def logs(self, agent_uid: str, *, follow: bool, since: float) -> AsyncIterator[Written]:
        """What the agent's container wrote from `since` on (seconds since 1970), as far as the engine kept it.

        With `follow` also what it writes from now on, until it ends. What an earlier container of the agent wrote went
        with it. Raises NotFound CONTAINER_NOT_FOUND when there is none.
        """
