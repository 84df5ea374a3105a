"""`vibespace init`: the state directory, the daemon, the engine, the image; a second one finds all there."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import click

from vibespace import launch
from vibespace.errors import Error
from vibespace_cli import cluster, clusteroptions, human, machine
from vibespace_cli.everywhere import Command
from vibespace_cli.session import Session
from vibespace_cli.shape import to_data

if TYPE_CHECKING:
    from vibespace.setup.engine import Choice
    from vibespace.setup.init import Engine

_OUT_OF_REACH = ("BASE_NOT_FOUND", "BASE_UNREACHABLE")


def command(words: tuple[str, ...]) -> click.Command:
    """The command."""
    return Init(words[-1])


class Init(Command):
    """Make this machine ready: engine found, image there, daemon up.

    Says every step. Doing it again changes nothing, unless something is missing.
    """

    def __init__(self, name: str) -> None:
        text = "What runs the agents: containers, by Podman or Docker, or a Kubernetes cluster."
        kind = click.Option(["--engine"], type=click.Choice(["containers", "kubernetes"]), help=text)
        super().__init__(name, params=[kind, machine.base_option(), *clusteroptions.options()], help=type(self).__doc__)

    def invoke(self, ctx: click.Context) -> None:
        session: Session = ctx.find_root().obj
        output, state = session.output, session.state
        asked = clusteroptions.asked(ctx.params)
        if ctx.params["print_rbac"]:
            cluster.print_rbac(output, ctx.params["namespace"] or "")
            return
        session.uninstalled_too = True
        back = launch.uninstalled(state)
        launch.ensure_home(state.home)
        machine.settings(session)  # A file that cannot be read is told of before anything is made.
        output.step(f"State directory: {state.home}")
        if machine.fake():
            found, image, base = None, machine.FAKE, ""
        elif cluster.wanted(session, asked, ctx.params["engine"]):
            found, image, base = cluster.found(
                session, asked, ctx.params["image"], ctx.params["base"], ctx.params["k3s"]
            )
        else:
            found, image, base = _found(session, ctx.params["base"])
        response = machine.record(session, found, image, base)
        response.host.CopyFrom(machine.seen(session, response.host))
        output.step(f"Daemon: serves {state.socket}")
        if output.as_json:
            output.data(to_data(response))
        elif not output.quiet:
            output.sentence(_next(resting=response.host.resting, back=back))


def _next(*, resting: bool, back: bool) -> str:
    if resting:
        return "Ready, and at rest: 'vibespace start' brings back what ran."
    if back:
        return "Ready, and what ran before the uninstall comes back. Next: vibespace list"
    return "Ready. Next: vibespace create NAME -t claude-code"


def _found(session: Session, given: str | None) -> tuple[Engine, str, str]:
    """The engine, the image in it, and what that stands on."""
    from vibespace.setup.engine import passed_over
    from vibespace.setup.init import ensure_template

    ensure_template(session.state)
    found = machine.engine(session)
    output, choice = session.output, found.choice
    kind = ", ".join(("our own",) * choice.private + ("rootless",) * found.identity.rootless)
    output.step(f"Engine: {choice.brand} {found.identity.version} at {choice.socket}{f' ({kind})' if kind else ''}")
    if told := passed_over(machine.settings(session), choice):
        output.note(told)
    if limits := found.identity.unenforced_limits:
        output.note(f"It cannot enforce limits of {', '.join(limits)}: 'vibespace doctor' says why.")
    base = machine.base(session, given)
    image = _image(session, choice, base)
    output.step(f"Image: {human.digest(image)}")
    return found, image, base.text


def _image(session: Session, choice: Choice, base: machine.Base) -> str:
    """The image on `base`. Where that is out of reach, and nobody has asked for it now, the image of before does."""
    from vibespace.setup.init import ensure_image, has_image

    try:
        image: str = machine.build(session, base, partial(ensure_image, choice, base.text))
    except Error as e:
        before: str = machine.host(session).image
        if base.named or e.reason not in _OUT_OF_REACH or not asyncio.run(has_image(choice, before)):
            raise
        session.output.note(f"{e.message} The image that is there goes on being used.")
        return before
    return image
