"""`vibespace image`: the agents' image, built again on another or newer base, and the ones that are there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from vibespace import amounts
from vibespace_cli import human, machine, render
from vibespace_cli.everywhere import Command
from vibespace_cli.session import Session

if TYPE_CHECKING:
    from vibespace.setup.image import Image
    from vibespace.setup.init import Engine


def command(words: tuple[str, ...]) -> click.Command:
    """The command."""
    return {"build": Build, "list": Images, "upgrade": Upgrade}[words[-1]](words[-1])


class Build(Command):
    """Build the agents' image again; running agents take it at their next start."""

    def __init__(self, name: str) -> None:
        text = "Also put it into a registry under that name; on a cluster agents take it from there."
        push = click.Option(["--push"], metavar="REF", help=text)
        super().__init__(name, params=[machine.base_option(), push], help=type(self).__doc__)

    def invoke(self, ctx: click.Context) -> None:
        from vibespace.setup import image
        from vibespace.setup.init import api
        from vibespace.setup.push import push, split

        session: Session = ctx.find_root().obj
        base, reference = machine.base(session, ctx.params["base"]), ctx.params["push"]
        if reference:
            split(reference)  # one that is none is told of before anything is made
        found = machine.builder(session)

        async def build(progress: Callable[[str], None]) -> str:
            async with api(found.choice) as speaking:
                made = await image.build(speaking, base.text, progress)
                if reference:
                    await push(speaking, made, reference, os.environ, progress)
                return made

        made = machine.build(session, base, build)
        if machine.builds_where_it_runs(session):
            machine.record(session, found, made, base.text)
        elif reference and machine.recorded(session) is not None:
            machine.record(session, machine.engine(session), reference, base.text)
        if session.output.as_json:
            session.output.data({"image": made})
        else:
            session.output.line(
                made if session.output.plain or session.output.quiet else f"Image: {human.digest(made)}"
            )


class Upgrade(Command):
    """Take newer agent programs, where this version has any; running agents take them at their next start.

    The image is built only where the engine lacks the one that belongs to this version and base.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, params=[machine.base_option()], help=type(self).__doc__)

    def invoke(self, ctx: click.Context) -> None:
        session: Session = ctx.find_root().obj
        base = machine.base(session, ctx.params["base"])
        found = machine.builder(session)
        before = machine.host(session).image
        made, images = machine.build(session, base, lambda progress: _upgrade(found, base.text, progress))
        if machine.builds_where_it_runs(session):
            machine.record(session, found, made, base.text)
        programs = {image.id: dict(image.programs) for image in images}
        changed = _changes(programs.get(before, {}), programs.get(made, {}))
        if session.output.as_json:
            session.output.data({"image": made, "previous_image": before, "changed": changed})
        elif session.output.plain or session.output.quiet:
            session.output.line(made)
        else:
            told = ", ".join(f"{c['program']} {c['from'] or 'new'} -> {c['to']}" for c in changed)
            session.output.line(told or "The programs are the newest that this version has.")
            if made != before:
                session.output.note("Running agents take the new image at their next start.")


async def _upgrade(found: Engine, base: str, progress: Callable[[str], None]) -> tuple[str, list[Image]]:
    from vibespace.setup import image
    from vibespace.setup.init import api

    async with api(found.choice) as speaking:
        made = await image.ensure(speaking, base, progress)
        return made, list(await image.list_images(speaking))


def _changes(before: dict[str, str], after: dict[str, str]) -> list[dict[str, str]]:
    """Programs whose version is another now."""
    return [
        {"program": name, "from": before.get(name, ""), "to": version}
        for name, version in sorted(after.items())
        if before.get(name) != version
    ]


class Images(Command):
    """List the agents' images that the engine has, the newest first."""

    def __init__(self, name: str) -> None:
        super().__init__(name, help=type(self).__doc__)

    def invoke(self, ctx: click.Context) -> None:
        from vibespace.setup import image
        from vibespace.setup.init import api

        session: Session = ctx.find_root().obj
        output, choice = session.output, machine.builder(session).choice

        async def look() -> list[Image]:
            async with api(choice) as speaking:
                return list(await image.list_images(speaking))

        found = asyncio.run(look())
        if output.as_json:
            output.data({"images": [_data(i) for i in found]})
        elif output.quiet:
            for each in found:
                output.line(each.id)
        elif found:
            size = "BYTES" if output.plain else "SIZE"
            rows = [_row(i, plain=output.plain) for i in found]
            render.write_table(output, ["ID", "TAGS", "CREATED", size, "PROGRAMS"], rows, prose=True)
        else:
            output.note("No images. Make one: vibespace init")


def _data(image: Image) -> dict[str, Any]:
    return {
        "id": image.id,
        "tags": list(image.tags),
        "created": datetime.fromtimestamp(image.created, UTC).isoformat().replace("+00:00", "Z"),
        "size_bytes": image.size_bytes,
        "programs": dict(image.programs),
    }


def _row(image: Image, *, plain: bool) -> list[str]:
    told = _data(image)
    programs = ", ".join(f"{name} {version}" for name, version in sorted(image.programs.items()))
    tags = " ".join(image.tags)
    if plain:
        return [image.id, tags, str(told["created"]), str(image.size_bytes), programs]
    return [human.digest(image.id), tags, human.moment(image.created), amounts.size(image.size_bytes), programs]
