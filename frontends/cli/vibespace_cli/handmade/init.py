"""`vibespace init`: the state directory, the daemon, the engine, the image; a second one finds all there."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from vibespace import launch
from vibespace_cli import machine
from vibespace_cli.everywhere import Command
from vibespace_cli.session import Session
from vibespace_cli.shape import to_data

if TYPE_CHECKING:
    from vibespace.setup.init import Engine


def command(words: tuple[str, ...]) -> click.Command:
    """The command."""
    return Init(words[-1])


class Init(Command):
    """Make this machine ready: engine found, image there, daemon up.

    Says every step. Doing it again changes nothing, unless something is missing.
    """

    def __init__(self, name: str) -> None:
        text = "What runs the agents: containers, by Podman or Docker."
        kind = click.Option(["--engine"], type=click.Choice(["containers"]), default="containers", help=text)
        super().__init__(name, params=[kind, machine.base_option()], help=type(self).__doc__)

    def invoke(self, ctx: click.Context) -> None:
        session: Session = ctx.find_root().obj
        output, state = session.output, session.state
        launch.ensure_home(state.home)
        machine.settings(session)  # A file that cannot be read is told of before anything is made.
        output.step(f"State directory: {state.home}")
        found, image = (None, machine.FAKE) if machine.fake() else _engine_and_image(session, ctx.params["base"])
        response = machine.record(session, found, image)
        response.host.CopyFrom(machine.seen(session, response.host))
        output.step(f"Daemon: serves {state.socket}")
        if output.as_json:
            output.data(to_data(response))
        elif not output.quiet:
            at_rest = "Ready, and at rest: 'vibespace start' brings back what ran."
            output.line(at_rest if response.host.resting else "Ready. Next: vibespace create NAME -t claude-code")


def _engine_and_image(session: Session, base: str | None) -> tuple[Engine, str]:
    from vibespace.setup.init import ensure_image, ensure_template

    ensure_template(session.state)
    found = machine.engine(session)
    output, choice = session.output, found.choice
    kind = ", ".join(("our own",) * choice.private + ("rootless",) * found.identity.rootless)
    output.step(f"Engine: {choice.brand} {found.identity.version} at {choice.socket}{f' ({kind})' if kind else ''}")
    if limits := found.identity.unenforced_limits:
        output.note(f"It cannot enforce limits of {', '.join(limits)}: 'vibespace doctor' says why.")
    work = partial(ensure_image, choice, base or machine.settings(session).image_base)
    image: str = machine.with_progress(session, work)
    output.step(f"Image: {image}")
    return found, image
