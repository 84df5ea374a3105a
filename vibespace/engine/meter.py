"""What containers and volumes use, by the API that Podman and Docker have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

from vibespace.engine import bodies
from vibespace.engine.api import Api
from vibespace.engine.base import Usage
from vibespace.errors import Aborted, NotFound


async def usage(api: Api, agent_uids: Collection[str]) -> Mapping[str, Usage]:
    """By agent uid; what does not run is not in it, nor what the engine has no figures of."""
    measured = await asyncio.gather(*(_one(api, uid) for uid in agent_uids))
    return {uid: found for uid, found in zip(agent_uids, measured, strict=True) if found is not None}


async def disk(api: Api, data_uids: Collection[str]) -> Mapping[str, int]:
    """By data uid. Volumes are known by their names: Podman leaves out their labels here."""
    found: dict[str, int] = {}
    volumes = (await api.get("/system/df", type="volume"))["Volumes"] or ()
    sizes = {volume["Name"]: int((volume.get("UsageData") or {}).get("Size", -1)) for volume in volumes}
    for uid in data_uids:
        own = [size for name, size in sizes.items() if bodies.is_volume_of(name, uid)]
        if own and min(own) >= 0:  # Docker says -1 of one that it has not measured
            found[uid] = sum(own)
    return found


async def processors(api: Api) -> int:
    """Asked anew each time: a machine may be given others while the engine runs."""
    return int((await api.get("/info"))["NCPU"])


async def _one(api: Api, agent_uid: str) -> Usage | None:
    path = f"/containers/{bodies.container_name(agent_uid)}/stats"
    try:
        told: dict[str, Any] = await api.get(path, **{"stream": False, "one-shot": True}) or {}
    except (NotFound, Aborted):  # gone, or stopped, which Podman calls an error
        return None
    memory, processes = told.get("memory_stats") or {}, told.get("pids_stats") or {}
    cpu = (told.get("cpu_stats") or {}).get("cpu_usage") or {}
    if not processes.get("current"):  # made, and not started yet; or there is no control group to ask
        return None
    # Nothing that runs uses none: zero is what an engine says of a limit that it was not given.
    nanoseconds = cpu.get("total_usage") or None
    return Usage(memory.get("usage") or None, nanoseconds and nanoseconds / 1e9, int(processes["current"]))
