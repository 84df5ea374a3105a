"""From a spec to what the containers API is sent: names, labels, limits, the hardened profile. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from vibespace.engine.base import LOGINS, SSHD_PORT, USER_ID, AgentSpec, HostMount, Resources, spec_hash

Labels = dict[str, str]

LOG = "vibespace.log"
"""Whose object it is; objects without it are never touched. The label names are read by every later version."""
OWNER = "vibespace.owner"
"""The uid the object lives and dies with: agent (container), data (volume), vibespace (network)."""
VIBESPACE = "vibespace.vibespace"
"""The name of the vibespace that it was made for, for people: another one may have that name by now."""
AGENT = "vibespace.agent"
AGENT_UID = "vibespace.agent-uid"
VIBESPACE_UID = "vibespace.vibespace-uid"
SPEC = "vibespace.spec"
"""`spec_hash()`: compared in place of the container's settings, which engines rewrite."""

SSH_PORT = f"{SSHD_PORT}/tcp"

PIDS = 4096
"""Processes and threads of one container where nothing was asked: room for builds, none for a fork bomb."""


_NO_WAY_UP = "no-new-privileges"
NOT_EVEN_ROOTS = ("MKNOD", "NET_RAW", "SETFCAP", "SETPCAP", "NET_BIND_SERVICE", "KILL", "FSETID")
"""Of the engines' usual capabilities, those that root inside can do without."""


def container_name(agent_uid: str) -> str:
    return f"vs-{agent_uid}"


def network_name(vibespace_uid: str) -> str:
    return f"vs-{vibespace_uid}"


def shared_volume(data_uid: str) -> str:
    return f"vs-{data_uid}"


def home_volume(data_uid: str, agent: str) -> str:
    return f"vs-{data_uid}-home-{agent}"


def logins_volume(data_uid: str) -> str:
    return f"vs-{data_uid}-logins"


def volumes(spec: AgentSpec) -> Mapping[str, str]:
    """What it is shown of its vibespace's volumes, by the place inside."""
    found = {"/vibespace": shared_volume(spec.data_uid), "/home/agent": home_volume(spec.data_uid, spec.agent)}
    return found | ({LOGINS: logins_volume(spec.data_uid)} if spec.logins else {})


def volume_of(name: str) -> tuple[str, str]:
    """Whose data a volume of that name holds: the data uid, and the agent of a home; empty of what is not named so."""
    uid, _, agent = name.removeprefix("vs-").partition("-home-")
    return (uid.removesuffix("-logins"), agent) if name.startswith("vs-") else ("", "")


def is_volume_of(name: str, data_uid: str) -> bool:
    """Whether a volume of that name holds data of `data_uid`."""
    fixed = (shared_volume(data_uid), logins_volume(data_uid))
    return name in fixed or name.startswith(home_volume(data_uid, ""))


def labels(log_id: str, owner: str, **more: str) -> Labels:
    return {LOG: log_id, OWNER: owner, **more}


def network(log_id: str, vibespace_uid: str, vibespace: str, subnet: str, *, closed: bool = False) -> dict[str, Any]:
    """A bridge of its own, isolated from every other: made by the common API, which asks for that by itself.

    One that is `closed` leads nowhere but to this machine itself, and publishes no ports.
    """
    return {
        "Name": network_name(vibespace_uid),
        "Driver": "bridge",
        "Internal": closed,
        "CheckDuplicate": True,  # without it Docker makes a second network of the same name
        "IPAM": {"Config": [{"Subnet": subnet}]},
        "Options": {"com.docker.network.bridge.name": bridge(vibespace_uid, closed=closed)},
        "Labels": labels(log_id, vibespace_uid, **{VIBESPACE: vibespace}),
    }


def bridge(vibespace_uid: str, *, closed: bool = False) -> str:
    """The interface on the host: at most 15 bytes, and `vs` first, so that one firewall rule finds them all, and `vsn`
    those of closed networks: no digit is an `n`.
    """
    return ("vsn" if closed else "vs") + hashlib.sha256(vibespace_uid.encode()).hexdigest()[:12]


def subnets(vibespace_uid: str) -> Iterator[str]:
    """Subnets to try, the same ones for the same vibespace: Docker's own pool ends after some thirty networks."""
    for attempt in range(16):
        digest = hashlib.sha256(f"{vibespace_uid}/{attempt}".encode()).digest()
        yield f"10.{64 + digest[0] % 128}.{digest[1]}.0/24"


def volume(log_id: str, data_uid: str, name: str, vibespace: str) -> dict[str, Any]:
    return {"Name": name, "Labels": labels(log_id, data_uid, **{VIBESPACE: vibespace})}


def container(
    log_id: str, spec: AgentSpec, ulimits: Mapping[str, int], sysctls: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """A user without privileges, the engine's seccomp filter, limits, own network. See `profile`."""
    network = network_name(spec.vibespace_uid)
    names = {AGENT: spec.agent, VIBESPACE: spec.vibespace}
    uids = {AGENT_UID: spec.agent_uid, VIBESPACE_UID: spec.vibespace_uid, SPEC: spec_hash(spec)}
    return {
        "Image": spec.image,
        "Hostname": spec.agent,
        "User": f"{USER_ID}:{USER_ID}",
        "Labels": labels(log_id, spec.agent_uid, **names, **uids),
        "ExposedPorts": {SSH_PORT: {}},
        "NetworkingConfig": {"EndpointsConfig": {network: {"Aliases": [spec.agent]}}},
        "HostConfig": {
            "NetworkMode": network,
            "PortBindings": {} if spec.closed else {SSH_PORT: [{"HostIp": "127.0.0.1", "HostPort": ""}]},
            "Mounts": [
                *(_mount(volume, place) for place, volume in volumes(spec).items()),
                *map(_bind, spec.mounts),
            ],
            "Init": True,
            **profile(spec),
            "Sysctls": {  # ping and ports below 1024, which the dropped capabilities would forbid
                "net.ipv4.ping_group_range": f"{USER_ID} {USER_ID}",  # a rootless engine may only name groups it has
                "net.ipv4.ip_unprivileged_port_start": "0",
                **sysctls,
            },
            "Ulimits": [{"Name": name, "Soft": top, "Hard": top} for name, top in ulimits.items()],
            **limits(spec.resources),
        },
    }


def profile(spec: AgentSpec) -> dict[str, Any]:
    """Hardened: no capabilities, and no way to new ones. Comfortable (`sudo`): what root inside needs to install
    packages, and none of what reaches further; no-new-privileges would forbid sudo itself.

    Capabilities are only ever dropped: Podman 4.3 hands an added one to a user that is not root.
    """
    return {"CapDrop": list(NOT_EVEN_ROOTS)} if spec.sudo else {"CapDrop": ["ALL"], "SecurityOpt": [_NO_WAY_UP]}


def limits(resources: Resources) -> dict[str, int]:
    """Only what was asked for, and the number of processes always: to these APIs zero is not the same as nothing."""
    found = {"PidsLimit": resources.pids or PIDS}
    if resources.cpu_limit_millis:
        found["NanoCpus"] = resources.cpu_limit_millis * 1_000_000
    if resources.cpu_millis:
        found["CpuShares"] = max(2, resources.cpu_millis * 1024 // 1000)
    if resources.memory_limit_bytes:
        found["Memory"] = found["MemorySwap"] = resources.memory_limit_bytes
    if resources.memory_bytes:
        found["MemoryReservation"] = resources.memory_bytes
    return found


def _bind(mount: HostMount) -> dict[str, Any]:
    return {"Type": "bind", "Source": mount.source, "Target": mount.target, "ReadOnly": mount.read_only}


def _mount(source: str, target: str) -> dict[str, str]:
    return {"Type": "volume", "Source": source, "Target": target}
