"""What `init` needs to be so on this machine: an engine that answers, and the agents' image in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from vibespace.config import TEMPLATE, Settings
from vibespace.engine.api import Api
from vibespace.engine.base import KUBERNETES, Identity
from vibespace.engine.identify import identify
from vibespace.setup import engine, image
from vibespace.setup.base import has
from vibespace.setup.build import Progress
from vibespace.setup.engine import Choice
from vibespace.setup.push import push
from vibespace.state import State


@dataclass(frozen=True)
class Engine:
    """An engine that answered."""

    choice: Choice
    identity: Identity
    enforces_network_policies: bool | None = None
    """Of a cluster, tried there; None where it was not."""


async def find_engine(state: State, settings: Settings, environ: Mapping[str, str], chosen: Choice | None) -> Engine:
    """The engine `chosen` at an earlier `init`, or the one to choose now. Raises what engine.find and reopen do."""
    if chosen and chosen.brand == KUBERNETES:
        from vibespace.setup import cluster  # noqa: PLC0415 (only who has one)

        return Engine(chosen, await cluster.identity(state.kubeconfig))
    if chosen is None:
        choice = await asyncio.to_thread(engine.find, settings, state, environ)
    else:
        choice = chosen
        await asyncio.to_thread(engine.reopen, choice, state)
    async with api(choice) as speaking:
        return Engine(choice, await identify(speaking))


async def ensure_image(choice: Choice, base: str, progress: Progress) -> str:
    """Id of the agents' image; built when the engine lacks it. Raises what image.ensure does."""
    async with api(choice) as speaking:
        return await image.ensure(speaking, base, progress)


async def export_image(choice: Choice, id: str, path: Path, progress: Progress) -> str:
    """Write the image of that id to `path`, a tar that other engines take; what it is called in there."""
    async with api(choice) as speaking:
        return await image.export(speaking, id, path, progress)


async def push_image(choice: Choice, id: str, reference: str, environ: Mapping[str, str], progress: Progress) -> str:
    """Put the image of that id into a registry; what it is to be pulled by. Raises what push does."""
    async with api(choice) as speaking:
        return await push(speaking, id, reference, environ, progress)


async def has_image(choice: Choice, id: str) -> bool:
    """Whether the engine has the image of that id."""
    async with api(choice) as speaking:
        return bool(id) and await has(speaking, id)


def ensure_template(state: State) -> None:
    """See that there is a settings file to edit; one that is there is left alone."""
    try:
        with state.config.open("x") as file:
            file.write(TEMPLATE)
    except FileExistsError:
        return


@asynccontextmanager
async def api(choice: Choice) -> AsyncIterator[Api]:
    """The engine's API, closed at the end."""
    speaking = Api(choice.socket)
    try:
        yield speaking
    finally:
        await speaking.close()
