"""What an installation has in its engine, found by its label: looked at, and taken away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vibespace.engine.api import Api, gone
from vibespace.engine.bodies import LOG, VIBESPACE, volume_of
from vibespace.errors import Error, FailedPrecondition
from vibespace.setup.build import Progress

STOP_SECONDS = 10
"""What a container gets to end by itself: what it writes may be kept.

As in engine/containers.py, of which setup knows nothing.
"""

AT_ONCE = 8


@dataclass(frozen=True)
class Objects:
    """Names; of containers and images, ids that a name is told beside."""

    containers: Mapping[str, str]
    """Name by id."""
    networks: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    """Only of our own engine: another one's image may be somebody else's too."""
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By image, what it is called."""
    layers: tuple[str, ...] = ()
    """What the images were built on and nobody would call an image, though the engine does when asked for all."""
    of: Mapping[str, str] = field(default_factory=dict)
    """By volume, the name of the vibespace that it was made for, where its label tells it."""

    @property
    def vibespaces(self) -> int:
        """Of how many there is data, those included that were deleted without it."""
        return len({volume_of(name)[0] for name in self.volumes} - {""})

    @property
    def agents(self) -> int:
        """Of how many there is a home."""
        return sum(bool(volume_of(name)[1]) for name in self.volumes)


NOTHING = Objects({})


async def find(api: Api, log_id: str, *, private: bool) -> Objects:
    """All that is labelled with `log_id`; of our own engine all there is.

    Raises FailedPrecondition ENGINE_SHARED when our own engine also has what another installation made.
    """
    filters = {} if private else {"filters": {"label": [f"{LOG}={log_id}"]}}
    containers = await api.list("/containers/json", all=True, **filters)
    volumes = (await api.list("/volumes", **filters))["Volumes"] or ()
    networks = await api.list("/networks", filters={"label": [f"{LOG}={log_id}"]})
    if private:
        _refuse_others((*containers, *volumes), log_id)
    every = {found["Id"] for found in await api.get("/images/json", all=True)} if private else set()
    images = {found["Id"]: found["RepoTags"] for found in await api.get("/images/json")} if private else {}
    return Objects(
        {found["Id"]: found["Names"][0].lstrip("/") for found in containers},
        tuple(sorted(found["Name"] for found in networks)),
        tuple(sorted(found["Name"] for found in volumes)),
        tuple(sorted(images)),
        {id: tuple(tags or ()) for id, tags in images.items()},
        tuple(sorted(every - images.keys())),
        {found["Name"]: name for found in volumes if (name := (found["Labels"] or {}).get(VIBESPACE))},
    )


async def measure(api: Api, objects: Objects) -> int | None:
    """Bytes in the volumes; None where the engine does not say, which is no reason to keep them."""
    try:
        told = (await api.get("/system/df", type="volume"))["Volumes"] or ()
    except Error:
        return None
    sizes = {volume["Name"]: int((volume.get("UsageData") or {}).get("Size", -1)) for volume in told}
    found = [sizes.get(name, -1) for name in objects.volumes]
    return sum(found) if all(size >= 0 for size in found) else None


async def take(api: Api, objects: Objects, progress: Progress) -> None:
    """Take these away, in the order in which they hold each other. What has gone meanwhile is what was wanted."""
    progress("Stopping containers")
    await _each(objects.containers, lambda id: _remove_container(api, id))
    progress("Removing networks and volumes")
    await _each(objects.networks, lambda name: api.delete(f"/networks/{name}"))
    await _each(objects.volumes, lambda name: api.delete(f"/volumes/{name}"))
    if objects.images or objects.layers:
        progress("Removing images")
    for image in (*objects.images, *objects.layers):  # one after the other: each may take others with it
        await gone(api.delete(f"/images/{image}", force=True))


async def _remove_container(api: Api, id: str) -> None:
    await gone(api.post(f"/containers/{id}/stop", t=STOP_SECONDS))
    await api.delete(f"/containers/{id}", force=True)


async def _each(names: Iterable[str], remove: Callable[[str], Awaitable[Any]]) -> None:
    room = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> None:
        async with room:
            await gone(remove(name))

    for result in await asyncio.gather(*map(one, names), return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


def _refuse_others(found: Iterable[Mapping[str, Any]], log_id: str) -> None:
    others = {owner for each in found if (owner := (each["Labels"] or {}).get(LOG)) not in (None, log_id)}
    if others:
        raise FailedPrecondition(
            "ENGINE_SHARED",
            f"Another installation ({', '.join(sorted(others))}) uses the Podman of this one.",
            hint="Uninstall that one first: its 'engine.socket' names this one's socket.",
        )
