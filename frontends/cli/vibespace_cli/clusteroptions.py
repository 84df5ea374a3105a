"""What `vibespace init` can be told of clusters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from vibespace.errors import InvalidArgument
from vibespace_cli import complete, machine

if TYPE_CHECKING:
    from vibespace.setup.cluster import Asked

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
        kubeconfig=given["kubeconfig"] or "",
        context=given["context"] or "",
        namespace=given["namespace"] or "",
        storage_class=given["storage_class"],
        pull_secret=given["pull_secret"],
    )


def _own(given: Mapping[str, Any], external: bool) -> Asked:
    from vibespace.setup.cluster import Asked

    if external or given["engine"] == "containers" or any(given[each] for each in _OF_CLUSTERS):
        raise InvalidArgument(
            "OPTIONS_CLASH",
            "--bare-metal makes a cluster, and what else was said is of others.",
            hint="Say one of the two.",
        )
    return Asked(node=_ANY)
