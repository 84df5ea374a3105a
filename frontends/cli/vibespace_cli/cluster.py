"""`vibespace init` with a cluster: looked at, and made ready."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from vibespace_cli import human, machine
from vibespace_cli.output import Output

if TYPE_CHECKING:
    from vibespace.setup.cluster import Asked, Found
    from vibespace.setup.engine import Choice
    from vibespace.setup.init import Engine
    from vibespace.setup.root import Root
    from vibespace_cli.session import Session


def wanted(session: Session, asked: Asked | None, engine: str | None) -> bool:
    """Whether it is one: asked for now, or chosen before. Raises FailedPrecondition ENGINE_CHOSEN.

    `engine` is what was said with --engine. Which one of other people's clusters was chosen, `prepare` looks at.
    """
    from vibespace.setup.engine import another

    chosen = machine.recorded(session)
    if chosen is None:
        return asked is not None
    if asked and (chosen.brand, chosen.private) != (machine.KUBERNETES, bool(asked.node)):
        raise another(chosen)
    if chosen.brand == machine.KUBERNETES and engine == "containers":
        raise another(chosen)
    return chosen.brand == machine.KUBERNETES


def found(
    session: Session, asked: Asked | None, image: str | None, base: str | None, k3s: str | None
) -> tuple[Engine, str, str]:
    """The cluster, the image that its nodes have, and what that stands on."""
    from vibespace.setup import cluster
    from vibespace.setup.engine import Choice
    from vibespace.setup.init import Engine, ensure_template

    ensure_template(session.state)
    on = machine.base(session, base)
    notes: Sequence[str] = ()
    before: str = machine.host(session).image
    if image and image == before.partition("@")[0]:
        image = before  # what is at that tag by now, its nodes would not ask
    there: cluster.Found | None = None
    if asked is None:
        engine = machine.engine(session)
    elif asked.node:
        there, image = _bare_metal(session, k3s, on)
    else:
        there = _prepared(session, asked)
    if there:
        choice = Choice(machine.KUBERNETES, there.cluster.address, private=bool(there.cluster.node))
        engine, notes = Engine(choice, there.identity), there.notes
    with cluster.keeping(session.state, there):
        asyncio.run(cluster.check(session.state.kubeconfig))
        session.output.step(f"Engine: Kubernetes {engine.identity.version} at {engine.choice.socket}")
        name = image or before or asyncio.run(cluster.usual_image(session.state, on.text))
        log_id = machine.log_id(session)
        machine.with_progress(session, partial(cluster.check_image, session.state, log_id, name))
        session.output.step(f"Image: {human.digest(name)}")
        tried = machine.with_progress(session, partial(cluster.try_network, session.state, log_id, name))
    if base and not (asked and asked.node):
        notes = (*notes, "--base is of images that are built here; the cluster has its own.")
    for note in (tried.note, *notes):  # not before a refusal, which is one sentence
        session.output.note(note)
    return replace(engine, enforces_network_policies=tried.enforces), name, on.text


def _prepared(session: Session, asked: Asked) -> Found:
    """The cluster made ready."""
    from vibespace.setup import cluster

    chosen, before = machine.recorded(session), cluster.kept(session.state)
    there: Found = machine.with_progress(
        session, lambda progress: cluster.prepare(asked, chosen, before, _environ(), progress)
    )
    return there


def _bare_metal(session: Session, given: str | None, base: machine.Base) -> tuple[Found, str]:
    """This machine is a cluster, made ready, and the agents' image, which it has."""
    from vibespace.setup import k3s, root
    from vibespace.setup.cluster import Asked
    from vibespace.setup.init import ensure_image

    state = session.state
    k3s.refuse(state)
    machine.with_progress(session, lambda progress: k3s.provide(state, given or "", progress))
    as_root = root.runner(session.output.announce)
    k3s.start(state, as_root)
    with k3s.in_memory() as admin:  # what the daemon's user may read is no place for it
        node: str = machine.with_progress(session, lambda progress: k3s.ready(state, as_root, admin, progress))
        choice = machine.builder(session).choice
        made: str = machine.build(session, base, partial(ensure_image, choice, base.text))
        image = give_image(session, choice, made, as_root)
        return _prepared(session, Asked(kubeconfig=str(admin), node=node)), image


def give_image(session: Session, builder: Choice, made: str, as_root: Root) -> str:
    """Have the node of this machine have the image of that id; what it is called there."""
    from vibespace.setup import k3s
    from vibespace.setup.init import export_image

    tar = session.state.cache / "image.tar"
    try:
        name: str = machine.with_progress(session, partial(export_image, builder, made, tar))
        k3s.import_image(session.state, tar, as_root)
    finally:
        tar.unlink(missing_ok=True)
    return name


def print_rbac(output: Output, namespace: str) -> None:
    """A list that kubectl applies, as JSON, which is YAML."""
    from vibespace.setup.cluster import rbac

    output.line(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(rbac(namespace))}, indent=2))


def _environ() -> Mapping[str, str]:
    import os

    return os.environ
