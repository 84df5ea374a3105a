"""The agents' image: found in the engine, or built there. A failed build leaves the image of before."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vibespace.engine.api import Api
from vibespace.errors import NotFound
from vibespace.setup import context, npm, programs
from vibespace.setup.base import identity, provide
from vibespace.setup.build import Progress, full_disk, run
from vibespace.state import state

NAME = "localhost/vibespace-agent"
LATEST = f"{NAME}:latest"
"""The image that new and restarted agents take."""

_LABEL = "vibespace.program."


@dataclass(frozen=True)
class Image:
    """One agents' image that the engine has."""

    id: str
    tags: Sequence[str]
    created: int
    """Seconds since 1970."""
    size_bytes: int
    programs: Mapping[str, str]
    """Version by program."""


async def ensure(api: Api, base: str, progress: Progress, *, cache: Path | None = None) -> str:
    """The id of the image that these files make on `base`; builds it where the engine does not have it.

    `base` is a reference or a path of a tar; `cache` keeps downloads (default: in the state directory). Raises
    Unavailable BASE_UNREACHABLE or PROGRAM_UNREACHABLE, NotFound BASE_NOT_FOUND, InvalidArgument BASE_INVALID,
    FailedPrecondition PROGRAM_INTEGRITY, Exhausted IMAGE_NO_SPACE, Aborted IMAGE_BUILD_FAILED.
    """
    cache = cache or state().cache
    name = f"{NAME}:{context.digest(await asyncio.to_thread(identity, base, cache))}"
    with suppress(NotFound):
        found = await api.get(f"/images/{name}/json")
        if LATEST not in found["RepoTags"]:
            await _tag_latest(api, name)
        return str(found["Id"])
    return await _make(api, base, progress, cache, newest=False)


async def build(api: Api, base: str, progress: Progress, *, cache: Path | None = None) -> str:
    """Build the image again, on the newest `base` there is; its id. Raises what `ensure` does."""
    return await _make(api, base, progress, cache or state().cache, newest=True)


async def name(base: str, cache: Path) -> str:
    """What the image that these files make on `base` is called."""
    return f"{NAME}:{context.digest(await asyncio.to_thread(identity, base, cache))}"


async def export(api: Api, id: str, path: Path, progress: Progress) -> str:
    """Write it to `path`, as a docker-archive; what it is called in there, which no other image ever is.

    Raises NotFound, Exhausted IMAGE_NO_SPACE.
    """
    called = own_name(id)
    progress(f"Writing {called}")
    await api.post(f"/images/{id}/tag", repo=NAME, tag=called.rpartition(":")[2])
    with full_disk(path.parent):
        await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
        with await asyncio.to_thread(path.open, "wb") as file:
            async for piece in api.content(f"/images/{called}/get"):
                file.write(piece)
    return called


def own_name(id: str) -> str:
    """A name that is made of the image's id, so that it means that image for good."""
    return f"{NAME}:{id.removeprefix('sha256:')[:12]}"


async def list_images(api: Api) -> Sequence[Image]:
    """The agents' images of this engine, the newest first."""
    found = await api.get("/images/json", filters={"reference": [NAME]})
    images = (_image(entry) for entry in found)
    return sorted(images, key=lambda image: image.created, reverse=True)


async def _make(api: Api, base: str, progress: Progress, cache: Path, *, newest: bool) -> str:
    with full_disk(cache):
        await asyncio.to_thread(cache.mkdir, parents=True, exist_ok=True)
        key = await asyncio.to_thread(identity, base, cache)
        on = await provide(api, base, key, progress, newest=newest)
        name = f"{NAME}:{context.digest(key)}"
        pins = programs.pins((await api.get("/version"))["Arch"])
        pack = npm.here() or await _builder(api, on, progress, cache)
        archives = {}
        for program in pins:
            progress(f"Fetching {program.name} {program.version}")
            archives[program] = await programs.fetch(program, cache, pack)
        labels = {_LABEL + program.name: program.version for program in pins}
        await run(api, archives, on, progress, cache, t=name, labels=labels, nocache=newest)
        await _tag_latest(api, name)
        return str((await api.get(f"/images/{name}/json"))["Id"])


async def _builder(api: Api, on: str, progress: Progress, cache: Path) -> programs.Pack:
    """npm of the image's own tools, where this machine has none."""
    name = f"{NAME}-tools:latest"
    await run(api, {}, on, progress, cache, t=name, target="tools")
    return npm.inside(api, name)


async def _tag_latest(api: Api, name: str) -> None:
    await api.post(f"/images/{name}/tag", repo=NAME, tag="latest")


def _image(entry: Mapping[str, Any]) -> Image:
    labels = entry.get("Labels") or {}
    versions = {key.removeprefix(_LABEL): value for key, value in labels.items() if key.startswith(_LABEL)}
    return Image(entry["Id"], tuple(entry["RepoTags"] or ()), entry["Created"], entry["Size"], versions)
