"""`vibespace image`: the agents' image, built again on another or newer base, and the ones that are there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from vibespace import amounts
from vibespace_cli import delivery, human, machine, render
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
        params = [machine.base_option(), delivery.push_option()]
        super().__init__(name, params=params, help=type(self).__doc__)

    def invoke(self, ctx: click.Context) -> None:
        from vibespace.setup import image
        from vibespace.setup.init import api

        session: Session = ctx.find_root().obj
        base, reference = machine.base(session, ctx.params["base"]), ctx.params["push"]
        delivery.check(reference)
        found = machine.builder(session)

        async def build(progress: Callable[[str], None]) -> str:
            async with api(found.choice) as speaking:
                return await image.build(speaking, base.text, progress)

        made = machine.build(session, base, build)
        taken, pushed = delivery.deliver(session, found, made, base.text, reference)
        told = taken or pushed or made
        if session.output.as_json:
            session.output.data({"image": told, "pushed": pushed})
        elif session.output.plain or session.output.quiet:
            session.output.line(told)
        else:
            session.output.line(f"Image: {human.digest(told)}")
            _note_push(session, told, pushed)
            if not taken and delivery.needs_registry(session):
                session.output.note("Agents on the cluster take it once it is in a registry: --push REF puts it there.")


class Upgrade(Command):
    """Take newer agent programs, where this version has any; running agents take them at their next start.

    The image is built only where the engine lacks the one that belongs to this version and base. On a cluster that is
    not this machine, --push says where its nodes take it from.
    """

    def __init__(self, name: str) -> None:
        params = [machine.base_option(), delivery.push_option()]
        super().__init__(name, params=params, help=type(self).__doc__)

    def invoke(self, ctx: click.Context) -> None:
        session: Session = ctx.find_root().obj
        base, reference = machine.base(session, ctx.params["base"]), ctx.params["push"]
        delivery.check(reference)
        delivery.refuse_without_registry(session, reference)
        found = machine.builder(session)
        before = machine.host(session).image
        made, images = machine.build(session, base, lambda progress: _upgrade(found, base.text, progress))
        changed = _changes(_programs(images, before), _programs(images, made))
        taken, pushed = delivery.deliver(session, found, made, base.text, reference)
        image = taken or pushed or made
        if session.output.as_json:
            session.output.data({"image": image, "pushed": pushed, "previous_image": before, "changed": changed})
        elif session.output.plain or session.output.quiet:
            session.output.line(image)
        else:
            told = ", ".join(f"{c['program']} {c['from'] or 'new'} -> {c['to']}" for c in changed)
            session.output.line(told or "The programs are the newest that this version has.")
            _note_push(session, "", pushed)
            if taken not in ("", before):
                session.output.note("Running agents take the new image at their next start.")


def _note_push(session: Session, told: str, pushed: str) -> None:
    """Where it is now, unless that was `told`."""
    if pushed != told:
        session.output.note(f"Pushed: {human.digest(pushed)}")


async def _upgrade(found: Engine, base: str, progress: Callable[[str], None]) -> tuple[str, list[Image]]:
    from vibespace.setup import image
    from vibespace.setup.init import api

    async with api(found.choice) as speaking:
        made = await image.ensure(speaking, base, progress)
        return made, list(await image.list_images(speaking))


def _programs(images: Sequence[Image], named: str) -> dict[str, str]:
    """What is in the one that is recorded by its id, or by a name that it has here, whatever it is elsewhere."""
    name = named.partition("@")[0]
    return next((dict(image.programs) for image in images if name in (image.id, *image.tags)), {})


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
