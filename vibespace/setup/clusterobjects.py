"""What there is of ours in a cluster: what an administrator makes for a daemon, and what a daemon has made."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

from vibespace.engine import cluster as kubeconfigs
from vibespace.engine import renewal, rights
from vibespace.engine.bodies import LOG, VIBESPACE
from vibespace.engine.cluster import Cluster
from vibespace.engine.homes import volume_names
from vibespace.engine.kubeapi import Api
from vibespace.engine.manifests import ERRAND
from vibespace.engine.paths import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, NAMESPACES, Paths
from vibespace.errors import Aborted, NotFound
from vibespace.setup.build import Progress
from vibespace.setup.objects import Objects
from vibespace.state import State

MANAGER = "vibespace-init"
"""Whose fields these are in the cluster's books."""

TOKEN_SECONDS = 30 * 24 * 3600
"""How long a login is asked for; clusters may give less. The daemon renews it in time."""

GONE_SECONDS = 120.0
_LOOK = 0.2
_AT_ONCE = 8


def path(found: Mapping[str, Any]) -> str:
    """Where an object is of the kinds that an administrator makes."""
    at = Paths(found["metadata"].get("namespace", ""))
    paths = {
        "Namespace": NAMESPACES,
        "ServiceAccount": at.accounts,
        "Role": at.roles,
        "RoleBinding": at.role_bindings,
        "ClusterRole": CLUSTER_ROLES,
        "ClusterRoleBinding": CLUSTER_ROLE_BINDINGS,
    }
    return f"{paths[found['kind']]}/{_name(found)}"


def wanted(cluster: Cluster) -> Sequence[dict[str, Any]]:
    """All that an administrator makes."""
    beyond = rights.beyond(cluster.namespace) if cluster.node else ()
    return (*rights.objects(cluster.namespace), *beyond)


async def make(admin: Api, cluster: Cluster) -> None:
    """Make them, or have them be what they should be; a namespace that somebody else has made stays as it is.

    Raises what Api does.
    """
    for found in wanted(cluster):
        if found["kind"] == "Namespace":
            with suppress(NotFound):
                await admin.get(path(found))
                continue
        await admin.apply(path(found), found, MANAGER, force=True)


async def login(api: Api, cluster: Cluster, authority: str, *, seconds: int = TOKEN_SECONDS) -> str:
    """A kubeconfig with a new token of the account. `authority` is base64."""
    cluster = replace(cluster, account=rights.ACCOUNT)
    return kubeconfigs.write(cluster, authority, {"token": await renewal.request(api, cluster, seconds)})


async def find(api: Api, cluster: Cluster, log_id: str) -> Objects:
    """All that is labelled with `log_id`; the homes in a claim are told as volumes, as they are anywhere else."""
    at = Paths(cluster.namespace)
    paths = (at.deployments, at.secrets, at.services, at.networks, at.claims)
    found = await asyncio.gather(*(api.list(each, labelSelector=f"{LOG}={log_id}") for each in paths))
    deployments, secrets, services, networks, items = (each["items"] for each in found)
    claims = [each for each in items if ERRAND not in each["metadata"]["labels"]]
    volumes = {name: claim for claim in claims for name in volume_names(claim)}
    names = {_name(each) for each in (*deployments, *secrets)}
    return Objects(
        {name: name for name in sorted(names)},
        tuple(sorted({_name(each) for each in (*services, *networks)})),
        tuple(sorted(volumes)),
        of={name: of for name, claim in volumes.items() if (of := claim["metadata"]["labels"].get(VIBESPACE))},
    )


async def look(state: State, log_id: str) -> Objects:
    """`find`, by the account's own way in. Raises what Api does."""
    async with _opened(state) as (api, cluster):
        return await find(api, cluster, log_id)


async def take(state: State, log_id: str, progress: Progress, *, keep_data: bool) -> None:
    """Take all of it away, but for the volumes where the data is kept; return when it is gone. Raises what Api does."""
    async with _opened(state) as (api, cluster):
        await _take(api, cluster, log_id, progress, keep_data=keep_data)


@asynccontextmanager
async def _opened(state: State) -> AsyncIterator[tuple[Api, Cluster]]:
    api = Api(state.kubeconfig)
    try:
        yield api, kubeconfigs.read(state.kubeconfig)
    finally:
        await api.close()


async def _take(api: Api, cluster: Cluster, log_id: str, progress: Progress, *, keep_data: bool) -> None:
    at, selector = Paths(cluster.namespace), f"{LOG}={log_id}"
    progress("Stopping pods")
    await _each(api, at.deployments, selector, {"propagationPolicy": "Background"})
    await _each(api, at.pods, selector, {"gracePeriodSeconds": 10})
    await _until_none(api, at.pods, selector)
    progress("Removing what they had")
    paths = (at.secrets, at.services, at.networks, *(() if keep_data else (at.claims,)))
    for each in paths:
        await _each(api, each, selector, None)
    for each in paths:
        await _until_none(api, each, selector)


async def _each(api: Api, where: str, selector: str, body: Mapping[str, Any] | None) -> None:
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(name: str) -> None:
        async with room:
            await api.delete(f"{where}/{name}", body)

    names = [_name(each) for each in (await api.list(where, labelSelector=selector))["items"]]
    for result in await asyncio.gather(*map(one, names), return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


async def _until_none(api: Api, where: str, selector: str) -> None:
    """Raises Aborted ENGINE_REFUSED where something, such as a node that is away, keeps them."""
    until = time.monotonic() + GONE_SECONDS
    while left := (await api.list(where, labelSelector=selector))["items"]:
        if time.monotonic() > until:
            text = f"The cluster has not let go of {_name(left[0])} within {GONE_SECONDS:.0f} s; its node may be away."
            raise Aborted("ENGINE_REFUSED", text, hint="'vibespace uninstall' goes on where it was.")
        await asyncio.sleep(_LOOK)


def _name(found: Mapping[str, Any]) -> str:
    return str(found["metadata"]["name"])
