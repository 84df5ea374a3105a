"""`vibespace init --external`: a cluster that is there, looked at, made ready, and recorded as the engine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vibespace.errors import FailedPrecondition, InvalidArgument
from vibespace_cli import complete, machine
from vibespace_cli.output import Output

if TYPE_CHECKING:
    from vibespace.setup.cluster import Asked
    from vibespace.setup.init import Engine
    from vibespace_cli.session import Session

_ANY = "*"
"""The one node that there will be."""

_OF_CLUSTERS = ("kubeconfig", "context", "namespace", "storage_class", "pull_secret", "image")


def options() -> Sequence[click.Option]:
    """Those of `init` that speak of clusters."""
    return (
        click.Option(
            ["--bare-metal"], is_flag=True, help="Make this Linux machine a Kubernetes cluster: k3s, by root."
        ),
        click.Option(
            ["--k3s"],
            metavar="PATH",
            help="With --bare-metal: the program, where none can be downloaded.",
            shell_complete=complete.files,
        ),
        click.Option(["--external"], is_flag=True, help="Use a Kubernetes cluster that is there."),
        click.Option(
            ["--kubeconfig"],
            metavar="PATH",
            help="How to reach it, with rights to make a namespace there [default: KUBECONFIG, else ~/.kube/config]",
            shell_complete=complete.files,
        ),
        click.Option(["--context"], metavar="NAME", help="Which one of that file [default: its current one]"),
        click.Option(["--namespace"], metavar="NAME", help="Where everything is made there [default: vibespace]"),
        click.Option(["--storage-class"], metavar="NAME", help="Of the volumes [default: the cluster's default]"),
        click.Option(["--pull-secret"], metavar="NAME", help="The Secret there by which nodes pull the agents' image."),
        click.Option(["--image"], metavar="REF", help="The agents' image, as its nodes get it; it is remembered."),
        click.Option(["--print-rbac"], is_flag=True, help="Print what an administrator has to make, and do nothing."),
    )


def asked(given: Mapping[str, Any]) -> Asked | None:
    """What was asked of a cluster; None where none was asked for. Raises InvalidArgument OPTIONS_CLASH."""
    external = given["external"] or given["print_rbac"]
    if given["k3s"] and not given["bare_metal"]:
        raise InvalidArgument("OPTIONS_CLASH", "--k3s is of a cluster of our own.", hint="Say --bare-metal as well.")
    if given["bare_metal"]:
        return _own(given, external)
    if external and given["engine"] == "containers":
        raise InvalidArgument("OPTIONS_CLASH", "--external is a cluster, and --engine containers is none.")
    if given["engine"] == machine.KUBERNETES and not external:
        hint = "'vibespace init --external --kubeconfig PATH' uses one that is there."
        raise InvalidArgument("OPTIONS_CLASH", "--engine kubernetes does not say which cluster.", hint=hint)
    if not external and (named := [name for name in _OF_CLUSTERS if given[name]]):
        option = f"--{named[0].replace('_', '-')}"
        raise InvalidArgument("OPTIONS_CLASH", f"{option} is of clusters.", hint="Say --external as well.")
    if not external:
        return None
    from vibespace.setup.cluster import Asked  # only here: who has no cluster does not wait for it

    return Asked(
        *(given[name] or "" for name in ("kubeconfig", "context", "namespace", "storage_class", "pull_secret"))
    )


def _own(given: Mapping[str, Any], external: bool) -> Asked:
    from vibespace.setup.cluster import Asked

    if external or given["engine"] == "containers" or any(given[each] for each in _OF_CLUSTERS):
        raise InvalidArgument("OPTIONS_CLASH", "--bare-metal makes a cluster, and what else was said is of others.")
    return Asked(node=_ANY)


def wanted(session: Session, asked: Asked | None) -> bool:
    """Whether it is one: asked for now, or chosen before. Raises FailedPrecondition ENGINE_CHOSEN."""
    chosen = machine.recorded(session)
    if asked and chosen and chosen.brand != machine.KUBERNETES:
        raise FailedPrecondition(
            "ENGINE_CHOSEN",
            f"This state directory uses {chosen.brand} at {chosen.socket}.",
            hint="Set VIBESPACE_HOME to another directory to use another engine.",
        )
    return bool(asked or (chosen and chosen.brand == machine.KUBERNETES))


def found(
    session: Session, asked: Asked | None, image: str | None, base: str | None, k3s: str | None
) -> tuple[Engine, str, str]:
    """The cluster, the image that its nodes have, and what that stands on."""
    from vibespace.setup import cluster
    from vibespace.setup.engine import Choice
    from vibespace.setup.init import Engine, ensure_template

    ensure_template(session.state)
    chosen = machine.recorded(session)
    if asked is None:
        assert chosen is not None
        engine = machine.engine(session)
    else:
        private = bool(asked.node)
        if private:
            asked = bare_metal(session, k3s, machine.base(session, base))
        there = machine.with_progress(session, lambda progress: cluster.prepare(asked, _environ(), progress))
        if private:
            Path(asked.kubeconfig).unlink()
        if chosen and chosen.socket != there.cluster.address:
            raise FailedPrecondition(
                "ENGINE_CHOSEN",
                f"This state directory uses {chosen.brand} at {chosen.socket}.",
                hint="Set VIBESPACE_HOME to another directory to use another engine.",
            )
        cluster.keep(session.state, there)
        engine = Engine(Choice(machine.KUBERNETES, there.cluster.address, private=private), there.identity)
        for note in there.notes:
            session.output.note(note)
    asyncio.run(cluster.check(session.state.kubeconfig))
    session.output.step(f"Engine: Kubernetes {engine.identity.version} at {engine.choice.socket}")
    on = machine.base(session, base)
    name = image or machine.host(session).image or asyncio.run(cluster.usual_image(session.state, on.text))
    machine.with_progress(session, lambda progress: cluster.check_image(session.state, name, progress))
    session.output.step(f"Image: {name}")
    return engine, name, on.text


def bare_metal(session: Session, given: str | None, base: machine.Base) -> Asked:
    """This machine is a cluster, which has the agents' image; how an administrator logs in there, once."""
    from vibespace.setup import k3s, root
    from vibespace.setup.cluster import Asked
    from vibespace.setup.init import ensure_image, export_image

    state = session.state
    k3s.refuse(state)
    machine.with_progress(session, lambda progress: k3s.provide(state, given or "", progress))
    as_root = root.runner(session.output.note)
    k3s.start(state, as_root)
    admin = state.home / "k3s.admin"
    node: str = machine.with_progress(session, lambda progress: k3s.ready(state, as_root, admin, progress))
    builder = machine.builder(session)
    machine.build(session, base, lambda progress: ensure_image(builder.choice, base.text, progress))
    tar = state.cache / "image.tar"
    try:
        machine.with_progress(session, lambda progress: export_image(builder.choice, base.text, tar, progress))
        k3s.import_image(state, tar, as_root)
    finally:
        tar.unlink(missing_ok=True)
    return Asked(kubeconfig=str(admin), node=node)


def print_rbac(output: Output, namespace: str) -> None:
    """A list that kubectl applies, as JSON, which is YAML."""
    from vibespace.setup.cluster import rbac

    output.line(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(rbac(namespace))}, indent=2))


def _environ() -> Mapping[str, str]:
    import os

    return os.environ
