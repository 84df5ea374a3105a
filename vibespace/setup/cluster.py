"""Makes a cluster that is there ready for a daemon: what it lacks is said by name, and how to mend it.

Administrators' rights are used here and nowhere else, from the kubeconfig of whoever types `init`; what is kept is a
login of an account that may do what the engine does, in one namespace.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vibespace import durable
from vibespace.engine import cluster as kubeconfigs
from vibespace.engine import enforcement, podlook, rights
from vibespace.engine.base import Identity
from vibespace.engine.cluster import Cluster, identify
from vibespace.engine.errands import INIT, Errands
from vibespace.engine.kubeapi import Api
from vibespace.engine.paths import ACCESS_REVIEWS, NAMESPACES, NODES, STORAGE_CLASSES, Paths
from vibespace.errors import Error, FailedPrecondition, InvalidArgument, NotFound, PermissionDenied, Unavailable
from vibespace.setup import clusterobjects, image
from vibespace.setup.build import Progress
from vibespace.setup.engine import Choice, another
from vibespace.state import State

OLDEST = (1, 25)
"""The first in which pod security is not an experiment."""

NAMESPACE = "vibespace"

LOOKS, LOOK_SECONDS = 8, 0.5
"""How often, and how far apart, a right is looked for."""

_RBAC = "'vibespace init --external --print-rbac' prints what its administrator has to make."
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_ENFORCED = "pod-security.kubernetes.io/enforce"
_NAMESPACE = re.compile("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile("[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
"""What most objects can be called: https://kubernetes.io/docs/concepts/overview/working-with-objects/names"""


@dataclass(frozen=True)
class Asked:
    """What was typed."""

    kubeconfig: str = ""
    """Empty: KUBECONFIG, or ~/.kube/config."""
    context: str = ""
    namespace: str = ""
    storage_class: str | None = None
    """None: as before. Empty: the cluster's default."""
    pull_secret: str | None = None
    """None: as before. Empty: none."""
    node: str = ""
    """The one node, where it is this machine."""


@dataclass(frozen=True)
class Found:
    """A cluster that can be used, and the way into it; nothing is written yet."""

    cluster: Cluster
    identity: Identity
    kubeconfig: str
    notes: Sequence[str]
    """What its user should know."""


async def prepare(
    asked: Asked, chosen: Choice | None, before: Cluster | None, environ: Mapping[str, str], progress: Progress
) -> Found:
    """Look at all that is needed, and make namespace, account and Role there. `chosen` is the engine of before, and
    `before` what was kept of it: what is not asked for now stays as it was.

    Raises InvalidArgument KUBECONFIG_INVALID, NAMESPACE_INVALID, PULL_SECRET_INVALID, FailedPrecondition
    ENGINE_CHOSEN where it is another cluster or namespace than that of before, CLUSTER_TOO_OLD, LOGIN_FAILED,
    STORAGE_CLASS_MISSING, PermissionDenied CLUSTER_FORBIDDEN naming what is missing, Unavailable ENGINE_UNREACHABLE.
    """
    path = _path(asked, environ)
    check_namespace(asked.namespace)
    if asked.pull_secret and not _SUBDOMAIN.fullmatch(asked.pull_secret):
        text = f"{asked.pull_secret!a} cannot be the name of a Secret: a-z, 0-9, '-' and '.'."
        raise InvalidArgument("PULL_SECRET_INVALID", text, field="pull_secret", hint="Name one of that namespace.")
    admin = Api(path, asked.context)
    try:
        authority = await admin.authority()
        server = admin.server
        progress(f"Asking {server}")
        before = before or Cluster(server, NAMESPACE)
        cluster = Cluster(
            server,
            asked.namespace or before.namespace,
            storage_class=before.storage_class if asked.storage_class is None else asked.storage_class,
            pull_secret=before.pull_secret if asked.pull_secret is None else asked.pull_secret,
            node=asked.node,
        )
        if chosen and chosen.socket != cluster.address:
            raise another(chosen)
        with admin.understood():
            identity = await identify(admin, cluster)
            _check_version(identity.version)
            cluster = replace(cluster, closed=await _closed(admin, server, before))
            await _check_storage(admin, cluster)
        progress(f"Making namespace {cluster.namespace}, and what is needed there")
        kubeconfig = await _install(admin, cluster, authority)
        notes = await _notes(admin, cluster)
    except Unavailable as e:
        if e.metadata.get("status") != "401":
            raise
        raise FailedPrecondition(
            "LOGIN_FAILED",
            f"The cluster does not know who logs in by {path}: that has expired, was revoked, or is of another one.",
            hint="'kubectl get namespaces' with that file is to work first.",
        ) from e
    finally:
        await admin.close()
    return Found(replace(cluster, account=rights.ACCOUNT), identity, kubeconfig, notes)


async def check(kubeconfig: Path) -> None:
    """The account there may do all that the engine does. Raises PermissionDenied CLUSTER_FORBIDDEN naming what not."""
    cluster, api = kubeconfigs.read(kubeconfig), Api(kubeconfig)
    try:
        for _ in range(LOOKS):  # what has just been given is not known everywhere at once
            if not (missing := await _missing(api, cluster)):
                return
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        await api.close()
    if missing:
        raise PermissionDenied(
            "CLUSTER_FORBIDDEN",
            f"The account '{rights.ACCOUNT}' may not, in namespace {cluster.namespace}: {'; '.join(missing)}.",
            hint=f"Its Role lacks that. {_RBAC}",
        )


def kept(state: State) -> Cluster | None:
    """What `keep` has written before; None where that is not there, or cannot be read any more."""
    try:
        return kubeconfigs.read(state.kubeconfig)
    except FailedPrecondition:
        return None


@contextmanager
def keeping(state: State, found: Found | None) -> Iterator[None]:
    """Write the kubeconfig, for the daemon; where the block refuses it, what was there before is there again.

    None: it stays as it is. Raises Exhausted and Unavailable.
    """
    if found is None:
        yield
        return
    try:
        before = state.kubeconfig.read_bytes() if state.kubeconfig.exists() else None
        durable.replace(state.kubeconfig, found.kubeconfig.encode())
    except OSError as e:
        raise durable.refusal(e, state.home) from e
    try:
        yield
    except BaseException:
        with suppress(OSError):
            if before is None:
                state.kubeconfig.unlink()
            else:
                durable.replace(state.kubeconfig, before)
        raise


def rbac(namespace: str) -> Sequence[dict[str, Any]]:
    """What an administrator makes, where whoever types `init` is none. Raises InvalidArgument NAMESPACE_INVALID."""
    check_namespace(namespace)
    return clusterobjects.wanted(Cluster("", namespace or NAMESPACE))


async def identity(kubeconfig: Path) -> Identity:
    """The cluster that was chosen, asked. Raises what Api does."""
    cluster, api = kubeconfigs.read(kubeconfig), Api(kubeconfig)
    try:
        return await identify(api, cluster)
    except Unavailable as e:
        if cluster.node:  # without systemd nobody starts it after a boot
            e.hint = "'vibespace init --bare-metal' starts the cluster of this machine."
        raise
    finally:
        await api.close()


async def _install(admin: Api, cluster: Cluster, authority: str) -> str:
    """The account's kubeconfig. Who may not make all that, may find it made."""
    try:
        await clusterobjects.make(admin, cluster)
    except PermissionDenied as e:
        refusal: Error = e
        try:
            return await clusterobjects.login(admin, cluster, authority)
        except (PermissionDenied, NotFound):
            raise PermissionDenied(
                "CLUSTER_FORBIDDEN", f"You may not make what is needed there: {refusal.message}", hint=_RBAC
            ) from refusal
    return await clusterobjects.login(admin, cluster, authority)


async def _missing(api: Api, cluster: Cluster) -> list[str]:
    asked = [*rights.reviews(cluster.namespace)]
    answers = await asyncio.gather(*(api.create(ACCESS_REVIEWS, body) for _, _, body in asked))
    denied: dict[str, list[str]] = {}
    for (right, verb, _), answer in zip(asked, answers, strict=True):
        if not answer["status"].get("allowed"):
            denied.setdefault(right.what, []).append(verb)
    return [f"{', '.join(verbs)} {what}" for what, verbs in denied.items()]


async def _check_storage(admin: Api, cluster: Cluster) -> None:
    """Raises FailedPrecondition STORAGE_CLASS_MISSING. Who may not look at classes is believed."""
    try:
        classes = (await admin.list(STORAGE_CLASSES))["items"]
    except PermissionDenied:
        return
    names = [each["metadata"]["name"] for each in classes]
    default = [each for each in classes if (each["metadata"].get("annotations") or {}).get(_DEFAULT_CLASS) == "true"]
    told = f"It has {', '.join(names)}." if names else "It has none at all: its administrator installs one."
    if cluster.storage_class and cluster.storage_class not in names:
        text = f"The cluster has no storage class '{cluster.storage_class}'."
        raise FailedPrecondition("STORAGE_CLASS_MISSING", text, hint=told, field="storage_class")
    if not cluster.storage_class and not default:
        text = "The cluster has no default storage class, so vibespaces would have no disk."
        raise FailedPrecondition("STORAGE_CLASS_MISSING", text, hint=f"Name one with --storage-class. {told}")


async def _notes(admin: Api, cluster: Cluster) -> Sequence[str]:
    try:
        found = await admin.get(f"{NAMESPACES}/{cluster.namespace}")
    except (PermissionDenied, NotFound):
        return ()
    return (_security((found["metadata"].get("labels") or {}).get(_ENFORCED, ""), cluster.namespace),)


def _security(level: str, namespace: str) -> str:
    """What is enforced on pods there: https://kubernetes.io/docs/concepts/security/pod-security-standards"""
    baseline = f"kubectl label namespace {namespace} {_ENFORCED}=baseline --overwrite"
    match level:
        case "":
            return f"Nothing is enforced there on pods, unless the cluster does for all; {baseline} would."
        case "privileged":
            return f"Pods there may be 'privileged': nothing is enforced; {baseline} would."
        case "baseline":
            return "Pods there must be 'baseline', which 'create --sudo' needs and all other agents are stricter than."
        case _:
            return f"Pods there must be '{level}': 'create --sudo' needs 'baseline' ({baseline})."


async def _closed(admin: Api, server: str, before: Cluster) -> Sequence[str]:
    """Addresses of the API server and the nodes, as far as they can be found out; or as they were `before`."""
    host = urlsplit(server).hostname or ""
    found = await asyncio.to_thread(_resolve, host)
    try:
        nodes = (await admin.list(NODES))["items"]
    except PermissionDenied:
        nodes, found = [], found | {each.partition("/")[0] for each in before.closed}
    for node in nodes:
        kinds = ("InternalIP", "ExternalIP")
        told = (each["address"] for each in node["status"].get("addresses", ()) if each["type"] in kinds)
        found |= {each for each in told if _is_address(each)}
    return sorted(f"{each}/{ip_address(each).max_prefixlen}" for each in found)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _resolve(host: str) -> set[str]:
    try:
        return {str(told[4][0]).partition("%")[0] for told in socket.getaddrinfo(host, None)}
    except OSError:
        return set()


def _check_version(text: str) -> None:
    numbers = text.lstrip("v").split(".")[:2]
    if tuple(int(each) for each in numbers if each.isdecimal()) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise FailedPrecondition(
            "CLUSTER_TOO_OLD", f"The cluster is Kubernetes {text}, and {oldest} is the oldest that will do."
        )


def _path(asked: Asked, environ: Mapping[str, str]) -> Path:
    """Raises InvalidArgument KUBECONFIG_INVALID where there is no file."""
    several = [each for each in environ.get("KUBECONFIG", "").split(os.pathsep) if each]
    there = [each for each in several if Path(each).expanduser().exists()]
    told = asked.kubeconfig or next(iter(there or several), "~/.kube/config")
    path = Path(told).expanduser().absolute()
    why = "" if path.is_file() else "it is no file" if path.exists() else "it is not there"
    if why:
        hint = "Name the file that kubectl uses with --kubeconfig."
        raise InvalidArgument("KUBECONFIG_INVALID", f"{path} cannot be used: {why}.", field="kubeconfig", hint=hint)
    return path


def check_namespace(namespace: str) -> None:
    """Raises InvalidArgument NAMESPACE_INVALID; empty is the usual one."""
    if namespace and not _NAMESPACE.fullmatch(namespace):
        text = f"{namespace!a} cannot be the name of a namespace: a-z, 0-9 and '-', at most 63."
        raise InvalidArgument("NAMESPACE_INVALID", text, field="namespace", hint=f"'{NAMESPACE}' is the usual one.")


async def usual_image(state: State, base: str) -> str:
    """What this version's image on `base` is called, wherever it is."""
    return await image.name(base, state.cache)


async def check_image(state: State, log_id: str, name: str, progress: Progress) -> None:
    """See that the nodes have it, and agents can run in it. Raises FailedPrecondition IMAGE_NOT_FOUND, IMAGE_UNFIT.

    What that leaves in the cluster when it is killed goes with the next time, or `uninstall`: it is labelled with
    `log_id`.
    """
    progress(f"Looking into {name} there")
    cluster, api = kubeconfigs.read(state.kubeconfig), Api(state.kubeconfig)
    try:
        errands = Errands(api, log_id, cluster)
        await errands.clear(INIT)
        lacks = await podlook.look(errands, name, INIT)
    except FailedPrecondition as e:
        if cluster.pull_secret and not await _has_secret(api, cluster):
            e.hint = (
                f"There is no Secret '{cluster.pull_secret}' in namespace {cluster.namespace}, which it was to ask by."
            )
        raise
    finally:
        await api.close()
    if lacks:
        raise FailedPrecondition(
            "IMAGE_UNFIT",
            f"Image {name} cannot be an agent's computer: it lacks {'; '.join(lacks)}.",
            hint="'vibespace image build --push REF' puts the agents' own where the nodes can pull it from.",
        )


async def _has_secret(api: Api, cluster: Cluster) -> bool:
    """Whether that is there by which nodes are to pull: they say nothing of one that is not."""
    try:
        await api.get(f"{Paths(cluster.namespace).secrets}/{cluster.pull_secret}")
    except NotFound:
        return False
    return True


@dataclass(frozen=True)
class Tried:
    """Whether the cluster's network enforces NetworkPolicies."""

    enforces: bool | None
    """None where that could not be tried."""
    note: str
    """The same as a sentence."""


async def try_network(state: State, log_id: str, name: str, progress: Progress) -> Tried:
    """Try it, in pods of the image of that name, which the nodes have. What is left behind goes as with the image."""
    progress("Trying what its network enforces")
    cluster, api = kubeconfigs.read(state.kubeconfig), Api(state.kubeconfig)
    try:
        found = await enforcement.tried(api, Errands(api, log_id, cluster), log_id, cluster, name)
    except Error as e:
        text = "Whether its network enforces NetworkPolicies, which keep vibespaces apart, could not be tried"
        return Tried(None, f"{text}: {e.message}")
    finally:
        await api.close()
    if found:
        return Tried(found, "Its network enforces NetworkPolicies, by which vibespaces are kept apart.")
    text = "Its network does not enforce NetworkPolicies: agents reach other vibespaces, and whatever its nodes reach."
    return Tried(found, text)
