"""Which engine answers, and what it cannot do: each brand says so in its own way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vibespace.engine.api import Api
from vibespace.engine.base import Identity

_LIMITS = {
    "cpu": ("cpu", ("CPUShares", "CpuCfsPeriod", "CpuCfsQuota")),
    "memory": ("memory", ("MemoryLimit", "SwapLimit")),
    "processes": ("pids", ("PidsLimit",)),
}
"""By our word for a limit: the control group that holds it, as Podman names it, and what Docker must say it can."""


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


async def _without_group(api: Api) -> Sequence[str]:
    """Podman's answer to Docker's question is what root's would be; its own one knows what this user was given."""
    given = (await api.get("/libpod/info"))["host"]["cgroupControllers"] or ()
    return tuple(limit for limit, (group, _) in _LIMITS.items() if group not in given)


def _denied(info: Mapping[str, Any]) -> Sequence[str]:
    return tuple(limit for limit, (_, needs) in _LIMITS.items() if not all(info.get(need) for need in needs))
