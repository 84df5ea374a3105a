"""From a spec to the objects of Kubernetes: names, labels, pod security, storage, network. Pure."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from vibespace.engine import bodies, egress, files
from vibespace.engine.base import LOGINS, SSHD_PORT, USER_ID, AgentSpec, HostMount, Resources, spec_hash
from vibespace.engine.cluster import Cluster

Object = dict[str, Any]

DATA_UID = "vibespace.data-uid"
"""Label of all pods that use one claim: they must be where it is."""
ERRAND = "vibespace.errand"
"""Label of a pod that does one thing and ends; its value is a word for people."""
RUN = "vibespace.run"
"""Label of such a pod: which life of a program waits for it."""
IMAGE = "vibespace.image"
"""Annotation of the claim: an image that its errands can run in."""
SPEC = bodies.SPEC

MANAGER = "vibespace"
"""How names of ours in the cluster's books begin: who has set which field. Read by every later version."""
HOMES_MANAGER = f"{MANAGER}-homes"
"""Who has set what is noted on a volume one by one."""

CONTAINER = "agent"
STOP_SECONDS = 10
FILES, HOMES, STORE = "files", "homes", "logins"
"""What the volume of a vibespace has: its shared files, a folder a home, the store of logins."""

container_name = bodies.container_name
network_name = bodies.network_name
claim_name = bodies.shared_volume


def labels(log_id: str, owner: str, **more: str) -> dict[str, str]:
    """As everything of ours has them, with those that Kubernetes recommends."""
    recommended = {"app.kubernetes.io/name": "vibespace", "app.kubernetes.io/managed-by": "vibespace"}
    return {**recommended, **bodies.labels(log_id, owner, **more)}


def claim(log_id: str, spec: AgentSpec, cluster: Cluster) -> Object:
    """The one volume of a vibespace. Homes are noted on it one by one: see engine/homes.py."""
    storage: Object = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": str(spec.storage_bytes or cluster.storage_bytes)}},
    }
    if cluster.storage_class:
        storage["storageClassName"] = cluster.storage_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": claim_name(spec.data_uid),
            "labels": labels(log_id, spec.data_uid, **{bodies.VIBESPACE: spec.vibespace}),
            "annotations": {IMAGE: spec.image},
        },
        "spec": storage,
    }


def secret(log_id: str, spec: AgentSpec) -> Object:
    """What is put into an agent's container, as files."""
    content = {
        "host_key": spec.host_key,
        "authorized_keys": spec.authorized_key.encode().rstrip() + b"\n",
        "environment": files.exports(spec.environment) + files.links(spec.links),
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": container_name(spec.agent_uid), "labels": labels(log_id, spec.agent_uid)},
        "type": "Opaque",
        "data": {name: base64.b64encode(value).decode() for name, value in content.items()},
    }


def service(log_id: str, spec: AgentSpec) -> Object:
    """By which agents of a vibespace find each other by name. It has no address of its own, and sends nothing on."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": network_name(spec.vibespace_uid), "labels": _of_vibespace(log_id, spec)},
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {bodies.VIBESPACE_UID: spec.vibespace_uid},
            "ports": [{"name": "ssh", "port": SSHD_PORT, "targetPort": SSHD_PORT, "protocol": "TCP"}],
        },
    }


def network(log_id: str, spec: AgentSpec, cluster: Cluster) -> Object:
    """Who reaches whom: agents of a vibespace each other; the internet, unless it is closed; and what was allowed.

    Nobody from elsewhere gets in. The node itself does, on every implementation: that is how we reach an agent there.
    """
    own = {"podSelector": {"matchLabels": {bodies.VIBESPACE_UID: spec.vibespace_uid}}}
    out: list[Object] = [{"to": [own]}]
    if not spec.closed:
        out += [egress.names(), egress.internet(cluster.closed), *map(egress.allowed, spec.allow)]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": network_name(spec.vibespace_uid), "labels": _of_vibespace(log_id, spec)},
        "spec": {
            **own,
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [own]}],
            "egress": out,
        },
    }


def deployment(log_id: str, spec: AgentSpec, cluster: Cluster) -> Object:
    """One agent: none or one pod, never two."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": container_name(spec.agent_uid),
            "labels": _of_agent(log_id, spec),
            "annotations": {SPEC: spec_hash(spec)},
        },
        "spec": {
            "replicas": int(spec.running),
            "revisionHistoryLimit": 0,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {bodies.AGENT_UID: spec.agent_uid}},
            "template": {
                "metadata": {"labels": _of_agent(log_id, spec), "annotations": {SPEC: spec_hash(spec)}},
                "spec": _pod(spec, cluster),
            },
        },
    }


def errand(
    log_id: str,
    word: str,
    run: str,
    name: str,
    script: str,
    image: str,
    data_uid: str,
    cluster: Cluster,
    *,
    as_root: bool = False,
) -> Object:
    """A pod that runs `script`, with the whole volume of `data_uid` at /data where one is named, and ends. `run` is who
    waits for it. `as_root` needs pod security "baseline", as agents do who have left files of root's.
    """
    whose = {DATA_UID: data_uid} if data_uid else {}
    mounts = [{"name": "data", "mountPath": "/data"}] if data_uid else []
    volumes = [_claimed("data", claim_name(data_uid))] if data_uid else []
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {**labels(log_id, data_uid or word, **whose), ERRAND: word, RUN: run},
        },
        "spec": {
            **_everywhere(cluster),
            **_beside(data_uid),
            "restartPolicy": "Never",
            "securityContext": {"runAsUser": 0} if as_root else _pod_security(),
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": CONTAINER,
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["/bin/sh", "-c", script],
                    "resources": _LITTLE,
                    **({} if as_root else {"securityContext": _security(sudo=False)}),
                    "volumeMounts": mounts,
                }
            ],
            "volumes": volumes,
        },
    }


_LITTLE = {"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}}
"""What an errand gets: a namespace with a quota makes no pod that does not say."""


def shown(log_id: str, spec: AgentSpec, number: int, cluster: Cluster) -> Sequence[Object]:
    """A directory of the node, and the claim by which a pod that may name no path of it gets to see it.

    Not a `local` volume, whose files the kubelet hands over to our group, one and all.
    """
    mount, name = spec.mounts[number], mount_name(spec, number)
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [cluster.node]}
    own = labels(log_id, spec.agent_uid)
    size = {"storage": "1Mi"}
    mode = ["ReadOnlyMany" if mount.read_only else "ReadWriteMany"]
    return (
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name, "labels": own},
            "spec": {
                "capacity": size,
                "accessModes": mode,
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": "",
                "hostPath": {"path": mount.source},
                "claimRef": {"namespace": cluster.namespace, "name": name},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "labels": {**own, ERRAND: "mount"}},
            "spec": {
                "accessModes": mode,
                "resources": {"requests": size},
                "storageClassName": "",
                "volumeName": name,
            },
        },
    )


def mount_name(spec: AgentSpec, number: int) -> str:
    """Another one for another directory: what a claim leads to cannot be changed."""
    return f"vs-{spec.agent_uid}-{spec_hash(spec)[:8]}-{number}"


def resources(asked: Resources) -> Object:
    """Requests and limits, of what was asked for. Kubernetes knows no limit of processes for one container."""
    requests, limits = {}, {}
    if asked.cpu_millis:
        requests["cpu"] = f"{asked.cpu_millis}m"
    if asked.memory_bytes:
        requests["memory"] = str(asked.memory_bytes)
    if asked.cpu_limit_millis:
        limits["cpu"] = f"{asked.cpu_limit_millis}m"
    if asked.memory_limit_bytes:
        limits["memory"] = str(asked.memory_limit_bytes)
    # A limit alone would be requested in full, by which a node is full of agents that do nothing.
    for name, least in (("cpu", "10m"), ("memory", "64Mi")):
        requests.setdefault(name, least)
    if "memory" in limits and not asked.memory_bytes:
        requests["memory"] = str(min(asked.memory_limit_bytes, 64 << 20))
    if "cpu" in limits and not asked.cpu_millis:
        requests["cpu"] = f"{min(asked.cpu_limit_millis, 10)}m"
    return {"requests": requests, **({"limits": limits} if limits else {})}


def _pod(spec: AgentSpec, cluster: Cluster) -> Object:
    domain = f"{network_name(spec.vibespace_uid)}.{cluster.namespace}.svc.cluster.local"
    return {
        **_everywhere(cluster),
        **_beside(spec.data_uid),
        "hostname": spec.agent,
        "subdomain": network_name(spec.vibespace_uid),
        "dnsConfig": {"searches": [domain]},
        "securityContext": {
            **_pod_security(),
            "sysctls": [  # ping and ports below 1024, which the dropped capabilities would forbid
                {"name": "net.ipv4.ping_group_range", "value": f"{USER_ID} {USER_ID}"},
                {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"},
            ],
        },
        "terminationGracePeriodSeconds": STOP_SECONDS,
        "containers": [
            {
                "name": CONTAINER,
                "image": spec.image,
                "imagePullPolicy": "IfNotPresent",
                **({"command": ["/bin/sh", "-c", _STORE, "sh", f"{LOGINS}/{spec.logins}"]} if spec.logins else {}),
                "ports": [{"name": "ssh", "containerPort": SSHD_PORT, "protocol": "TCP"}],
                "startupProbe": {
                    "exec": {"command": ["/bin/sh", "-c", _LISTENS]},
                    "periodSeconds": 1,
                    "timeoutSeconds": 10,
                    "failureThreshold": 30,
                    "successThreshold": 1,
                },
                "resources": resources(spec.resources),
                "securityContext": _security(sudo=spec.sudo),
                "volumeMounts": [
                    {"name": "data", "mountPath": "/vibespace", "subPath": FILES},
                    {"name": "data", "mountPath": "/home/agent", "subPath": f"{HOMES}/{spec.agent}"},
                    *([{"name": "data", "mountPath": LOGINS, "subPath": STORE}] if spec.logins else []),
                    {"name": "given", "mountPath": files.SSH, "readOnly": True},
                    {"name": "environment", "mountPath": files.ENVIRONMENT, "subPath": "environment", "readOnly": True},
                    *(_mount(number, mount) for number, mount in enumerate(spec.mounts)),
                ],
            }
        ],
        "volumes": [
            _claimed("data", claim_name(spec.data_uid)),
            _given("given", spec, "host_key", "authorized_keys"),
            _given("environment", spec, "environment"),
            *(_claimed(f"mount-{number}", mount_name(spec, number)) for number in range(len(spec.mounts))),
        ],
    }


_STORE = '(umask 077 && mkdir -p "$1" && chmod g-s "$1" && chmod 700 "$1"); exec /etc/vibespace/entry'
"""The agent's own directory in the store of logins: the store is its group's, and so would be what is in it."""

_LISTENS = f"until grep -q ':{SSHD_PORT:04X} 0*:0000 0A ' /proc/net/tcp /proc/net/tcp6; do sleep 0.05; done"
"""Return when sshd does. Who connected to see it would have it complain, once for each look, of who left at once."""


def _everywhere(cluster: Cluster) -> Object:
    """What every pod of ours has."""
    found: Object = {"automountServiceAccountToken": False, "enableServiceLinks": False}
    if cluster.pull_secret:
        found["imagePullSecrets"] = [{"name": cluster.pull_secret}]
    return found


def _beside(data_uid: str) -> Object:
    """Where other pods of the same volume are: two nodes may not have it at once, and no scheduler thinks of that."""
    if not data_uid:
        return {}
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {DATA_UID: data_uid}}}
    return {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}


def _pod_security() -> Object:
    return {
        "runAsNonRoot": True,
        "runAsUser": USER_ID,
        "runAsGroup": USER_ID,
        "fsGroup": USER_ID,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _security(*, sudo: bool) -> Object:
    """Pod security "restricted", or, for who may become root inside, no more than "baseline" allows."""
    dropped = list(bodies.NOT_EVEN_ROOTS) if sudo else ["ALL"]
    return {"allowPrivilegeEscalation": sudo, "capabilities": {"drop": dropped}}


def _claimed(name: str, claim: str) -> Object:
    return {"name": name, "persistentVolumeClaim": {"claimName": claim}}


def _given(name: str, spec: AgentSpec, *keys: str) -> Object:
    """Root's files, which the agent's group may read."""
    items = [{"key": key, "path": key} for key in keys]
    return {
        "name": name,
        "secret": {"secretName": container_name(spec.agent_uid), "defaultMode": 0o440, "items": items},
    }


def _mount(number: int, mount: HostMount) -> Object:
    return {"name": f"mount-{number}", "mountPath": mount.target, "readOnly": mount.read_only}


def _of_vibespace(log_id: str, spec: AgentSpec) -> dict[str, str]:
    return labels(log_id, spec.vibespace_uid, **{bodies.VIBESPACE: spec.vibespace})


def _of_agent(log_id: str, spec: AgentSpec) -> dict[str, str]:
    names = {bodies.AGENT: spec.agent, bodies.VIBESPACE: spec.vibespace}
    uids = {bodies.AGENT_UID: spec.agent_uid, bodies.VIBESPACE_UID: spec.vibespace_uid, DATA_UID: spec.data_uid}
    return labels(log_id, spec.agent_uid, **names, **uids)
