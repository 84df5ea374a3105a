"""How an image that was made here gets to who takes it: by the record alone, by a registry, or by hand to a node."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

import click

from vibespace.errors import FailedPrecondition
from vibespace_cli import cluster, machine

if TYPE_CHECKING:
    from vibespace.setup.init import Engine
    from vibespace_cli.session import Session


def push_option() -> click.Option:
    """--push of the commands that make an image."""
    text = "Also put it into a registry under that name, from which the nodes of a cluster take it."
    return click.Option(["--push"], metavar="REF", help=text)


def check(reference: str | None) -> None:
    """Raises InvalidArgument REFERENCE_INVALID for one that is none: before anything is made."""
    from vibespace.setup.push import split

    if reference:
        split(reference)


def needs_registry(session: Session) -> bool:
    """Whether agents run where nothing gets to from here but by a registry."""
    chosen = machine.recorded(session)
    return chosen is not None and chosen.brand == machine.KUBERNETES and not chosen.private


def refuse_without_registry(session: Session, reference: str | None) -> None:
    """Raises FailedPrecondition REGISTRY_NOT_NAMED where agents would never get what is made."""
    if not reference and needs_registry(session):
        raise FailedPrecondition(
            "REGISTRY_NOT_NAMED",
            "The nodes of the cluster take the agents' image from a registry, and none was named.",
            hint="'vibespace image upgrade --push REF' does that, such as registry.example/vibespace-agent:1.",
        )


def deliver(session: Session, builder: Engine, made: str, base: str, reference: str | None) -> tuple[str, str]:
    """Have agents take the image `made` at their next start, as far as they can get it: what they take then, or
    nothing; and what it is to be pulled by, where it was put into a registry.
    """
    from vibespace.setup import root
    from vibespace.setup.init import push_image

    chosen = machine.recorded(session)
    on_cluster = chosen is not None and chosen.brand == machine.KUBERNETES
    engine = machine.engine(session) if on_cluster else builder  # one that is away is told of before a long way
    pushed = ""
    if reference:
        pushed = machine.with_progress(session, partial(push_image, builder.choice, made, reference, os.environ))
    if chosen is None:
        return "", pushed
    image = pushed if on_cluster else made
    if on_cluster and chosen.private:
        image = cluster.give_image(session, builder.choice, made, root.runner(session.output.announce))
    if image:
        machine.record(session, engine, image, base)
    return image, pushed
