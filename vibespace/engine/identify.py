"""Which engine answers, and what it cannot do: each brand says so in its own way."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from vibespace.engine.api import Api
from vibespace.engine.base import Identity


class _Limit(NamedTuple):
    """What makes out one kind of limit."""

    group: str
    """The control group that holds it, as Podman names it."""
    needs: Sequence[str]
    """What Docker must say it can."""
    fields: Collection[str]
    """Those of Resources that it is the limit of."""


_LIMITS = {
    "cpu": _Limit("cpu", ("CPUShares", "CpuCfsPeriod", "CpuCfsQuota"), ("cpu_millis", "cpu_limit_millis")),
    "memory": _Limit("memory", ("MemoryLimit", "SwapLimit"), ("memory_bytes", "memory_limit_bytes")),
    "processes": _Limit("pids", ("PidsLimit",), ("pids",)),
}
"""By our word for it."""


async def identify(api: Api) -> Identity:
    """The engine behind `api`. Raises what its calls do."""
    version, info = await api.get("/version"), await api.get("/info")
    podman = any(component["Name"] == "Podman Engine" for component in version.get("Components") or ())
    return Identity(
        brand="podman" if podman else "docker",
        version=str(version["Version"]),
        address=api.socket,
        rootless=bool(info.get("Rootless")) or "name=rootless" in (info.get("SecurityOptions") or ()),
        unenforced_limits=await _without_group(api) if podman else _denied(info),
    )


def enforced(unenforced_limits: Collection[str]) -> frozenset[str]:
    """The fields of Resources that hold. A rootless engine lacks some where control groups were not delegated to its
    user.
    """
    return frozenset().union(*(limit.fields for word, limit in _LIMITS.items() if word not in unenforced_limits))


async def _without_group(api: Api) -> Sequence[str]:
    """Podman's answer to Docker's question is what root's would be; its own one knows what this user was given."""
    given = (await api.get("/libpod/info"))["host"]["cgroupControllers"] or ()
    return tuple(word for word, limit in _LIMITS.items() if limit.group not in given)


def _denied(info: Mapping[str, Any]) -> Sequence[str]:
    return tuple(word for word, limit in _LIMITS.items() if not all(info.get(need) for need in limit.needs))
