"""What is said of an agent, by what its Deployment and its pods are like."""

from __future__ import annotations

from typing import Any

import pytest

from vibespace.engine import bodies, egress, manifests, pods
from vibespace.engine.base import Condition
from vibespace.engine.statuses import Statuses

NOW = 1_800_000_000.0
LONG_AGO, JUST_NOW = "2020-01-01T00:00:00Z", "2027-01-15T07:59:58Z"
RUNNING = {"state": {"running": {"startedAt": LONG_AGO}}, "restartCount": 0}
SPEC = {"containers": [{"image": "i", "resources": {"limits": {"memory": "134217728"}}}]}
LABELS = {bodies.AGENT_UID: "a"}
META = {"labels": LABELS, "annotations": {manifests.SPEC: "hash"}}


def deployment(replicas: int = 1, *conditions: dict[str, str]) -> dict[str, Any]:
    template = {"metadata": META, "spec": SPEC}
    return {"metadata": {"labels": LABELS}, "spec": {"replicas": replicas, "template": template}} | {
        "status": {"conditions": list(conditions)}
    }


def edited(manager: str, fields: dict[str, Any]) -> dict[str, Any]:
    found = deployment()
    found["metadata"] = {**found["metadata"], "managedFields": [{"manager": manager, "fieldsV1": fields}]}
    return found


def scaled(manager: str) -> dict[str, Any]:
    found = edited(manager, {"f:spec": {"f:replicas": {}}})
    found["metadata"]["managedFields"][0]["subresource"] = "scale"
    found["spec"]["replicas"] = 2
    return found


def asked_anew(updated: int = 0) -> dict[str, Any]:
    found = deployment()
    status = {"observedGeneration": 2, "updatedReplicas": updated}
    return {**found, "metadata": {**found["metadata"], "generation": 2}, "status": status}


def pod(container: dict[str, Any] | None = None, *conditions: dict[str, str], **more: Any) -> dict[str, Any]:
    meta = {**META, "uid": "p", "name": "n", "creationTimestamp": LONG_AGO, **more.pop("metadata", {})}
    status = {"conditions": list(conditions), "containerStatuses": [container] if container else [], **more}
    return {"metadata": meta, "spec": SPEC, "status": status}


UNREADY = {"type": "Ready", "status": "False"}
READY = {"type": "Ready", "status": "True"}
NO_NODE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available."}
ENDED = {"exitCode": 3, "reason": "Error"}
OOM = {"exitCode": 137, "reason": "OOMKilled"}
PINNED = "r.example/i:1@sha256:" + "0123456789abcdef" * 4
GOING = {"deletionTimestamp": LONG_AGO}
QUOTA = {"type": "ReplicaFailure", "status": "True", "message": 'pods "x" is forbidden: exceeded quota: q'}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"state": {"waiting": {"reason": reason, "message": message}}}


CASES: list[tuple[str, Any, list[Any], tuple[Condition, str] | None]] = [
    ("nothing", None, [], None),
    ("at rest", deployment(0), [], None),
    ("asked for", deployment(), [], (Condition.STARTING, "")),
    (
        "refused",
        deployment(1, QUOTA),
        [],
        (Condition.STARTING, 'the cluster refuses it: pods "x" is forbidden: exceeded quota: q'),
    ),
    ("runs", deployment(), [pod(RUNNING, READY)], (Condition.RUNNING, "")),
    ("not ready", deployment(), [pod(RUNNING)], (Condition.STARTING, "")),
    ("of what was asked before", asked_anew(), [pod(RUNNING, READY)], (Condition.STARTING, "")),
    ("of what is asked now", asked_anew(updated=1), [pod(RUNNING, READY)], (Condition.RUNNING, "")),
    (
        "not ready yet",
        deployment(),
        [pod(RUNNING, {**UNREADY, "lastTransitionTime": JUST_NOW})],
        (Condition.STARTING, ""),
    ),
    (
        "not ready for long",
        deployment(),
        [pod(RUNNING, {**UNREADY, "lastTransitionTime": LONG_AGO})],
        (Condition.STARTING, "its sshd does not answer, or its node is away"),
    ),
    (
        "changed by hand",
        edited("kubectl-edit", {"f:spec": {}}),
        [pod(RUNNING, READY)],
        (Condition.STOPPED, "it was changed by hand, by kubectl-edit"),
    ),
    (
        "scaled by hand",
        scaled("kubectl"),
        [pod(RUNNING, READY), pod(RUNNING, READY)],
        (Condition.STOPPED, "it was changed by hand, by kubectl"),
    ),
    ("annotated by hand", edited("kubectl", {"f:metadata": {}}), [pod(RUNNING, READY)], (Condition.RUNNING, "")),
    ("applied by us", edited("vibespace-1", {"f:spec": {}}), [pod(RUNNING, READY)], (Condition.RUNNING, "")),
    ("an orphan runs", None, [pod(RUNNING, READY)], (Condition.RUNNING, "")),
    ("being made", deployment(), [pod(waiting("ContainerCreating"))], (Condition.STARTING, "")),
    (
        "no image",
        deployment(),
        [pod(waiting("ErrImagePull", "not found"))],
        (Condition.STARTING, "its image cannot be pulled: not found"),
    ),
    (
        "no image of that digest",
        deployment(),
        [pod(waiting("ErrImagePull", f'failed to pull "{PINNED}": failed to resolve "{PINNED}": refused'))],
        (
            Condition.STARTING,
            'its image cannot be pulled: failed to pull "r.example/i:1@0123456789ab": '
            'failed to resolve "r.example/i:1@0123456789ab": refused',
        ),
    ),
    (
        "no place for its home",
        deployment(),
        [pod(waiting("CreateContainerConfigError", 'failed to create subPath directory for volumeMount "data"'))],
        (
            Condition.STARTING,
            "its container cannot be made: "
            'failed to create subPath directory for volumeMount "data"; its volume may be full',
        ),
    ),
    (
        "no node",
        deployment(),
        [pod(None, {**NO_NODE, "lastTransitionTime": LONG_AGO})],
        (Condition.STARTING, "no node can take it: 0/3 nodes are available"),
    ),
    ("no node yet", deployment(), [pod(None, {**NO_NODE, "lastTransitionTime": JUST_NOW})], (Condition.STARTING, "")),
    (
        "ended",
        deployment(),
        [pod({"state": {"terminated": ENDED}})],
        (Condition.STOPPED, "it ended with exit code 3"),
    ),
    (
        "ended by the cluster, which has not yet said that it is over",
        deployment(),
        [pod({"state": {"terminated": ENDED}}, phase="Running", reason="Evicted", message="too much")],
        (Condition.STOPPED, "it was ended by the cluster (Evicted): too much"),
    ),
    (
        "started again by the kubelet",
        deployment(),
        [pod({**RUNNING, "restartCount": 1, "lastState": {"terminated": OOM}}, READY)],
        (Condition.STOPPED, "it ran out of memory (its limit is 134 MB)"),
    ),
    (
        "evicted",
        deployment(),
        [pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory.")],
        (Condition.STOPPED, "it was ended by the cluster (Evicted): The node was low on resource: memory"),
    ),
    (
        "over, and nobody says why",
        deployment(),
        [pod({"state": {"terminated": {"exitCode": 0}}}, phase="Succeeded"), pod(RUNNING, READY)],
        (Condition.STOPPED, "its node has ended it, and does not say why"),
    ),
    (
        "evicted, and another runs already",
        deployment(),
        [pod(phase="Failed", reason="Evicted"), pod(RUNNING, READY, metadata={"creationTimestamp": JUST_NOW})],
        (Condition.STOPPED, "it was ended by the cluster (Evicted)"),
    ),
    (
        "evicted, and to be at rest",
        deployment(0),
        [pod(phase="Failed", reason="Evicted")],
        (Condition.STOPPED, "it was ended by the cluster (Evicted)"),
    ),
    (
        "over on its way out",
        deployment(0),
        [pod(phase="Succeeded", metadata=GOING)],
        (Condition.STOPPED, "it is being ended"),
    ),
    ("going, with another to come", deployment(), [pod(RUNNING, READY, metadata=GOING)], (Condition.STARTING, "")),
    (
        "going for good",
        deployment(0),
        [pod(RUNNING, READY, metadata=GOING)],
        (Condition.STOPPED, "it is being ended"),
    ),
    (
        "going, since who had it made is gone",
        None,
        [pod(RUNNING, READY, metadata=GOING)],
        (Condition.STOPPED, "somebody has deleted its deployment"),
    ),
    (
        "one goes, one runs",
        deployment(),
        [pod(RUNNING, READY, metadata=GOING), pod(RUNNING, READY)],
        (Condition.RUNNING, ""),
    ),
]


@pytest.mark.parametrize(("made", "found", "told"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_status(made: Any, found: list[Any], told: tuple[Condition, str] | None) -> None:
    """Each state of a cluster's objects is one of the house's, with a reason where it will not pass by itself."""
    status = pods.status(made, found, NOW)
    assert (status and (status.condition, status.reason)) == told


def test_what_is_known_of_it() -> None:
    """Hash and image are those of the pod, or of what would be made; a run is told from the next."""
    status = pods.status(deployment(), [pod(RUNNING, READY)], NOW)
    assert status is not None
    assert (status.agent_uid, status.spec_hash, status.image) == ("a", "hash", "i")
    assert status.started == f"p@{LONG_AGO}"
    assert pods.run(pod({**RUNNING, "restartCount": 1})) == ""


def test_what_has_lost_its_label_is_nobodys() -> None:
    """Neither a Deployment nor a pod of which nobody can say whose it is."""
    stripped = {**deployment(), "metadata": {"labels": {}}}, {**pod(RUNNING), "metadata": {"labels": {}}}
    assert Statuses()([stripped[0]], [stripped[1]], {}, {}) == ()


def test_only_what_has_changed_is_worked_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is at rest or runs is known until something of theirs is another version; who starts is looked at anew."""
    looked: list[str] = []
    whole = pods.status

    def counted(made: Any, found: Any, now: float) -> Any:
        looked.append(pods.agent_uid(made))
        return whole(made, found, now)

    monkeypatch.setattr(pods, "status", counted)
    runs = [_of(deployment(), "a", "1"), _of(pod(RUNNING, READY), "a", "2")]
    starts = [_of(deployment(), "b", "3"), _of(pod(RUNNING), "b", "4")]
    statuses = Statuses()
    beside = {"vs-v": {"metadata": {"uid": "n"}}}
    first = statuses([runs[0], starts[0]], [runs[1], starts[1]], beside, beside)
    assert [(found.agent_uid, found.condition) for found in first] == [
        ("a", Condition.RUNNING),
        ("b", Condition.STARTING),
    ]
    assert statuses([runs[0], starts[0]], [runs[1], starts[1]], beside, beside) == first
    assert looked == ["a", "b", "b"]
    again = statuses([runs[0]], [_of(pod(RUNNING, READY), "a", "5")], beside, beside)
    assert [found.agent_uid for found in again] == ["a"]
    assert looked == ["a", "b", "b", "a"]


DISRUPTED = {"type": "DisruptionTarget", "status": "True", "reason": "Tainted", "message": "it must go."}
NEXT = {"creationTimestamp": JUST_NOW, "name": "next"}


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ([pod(RUNNING, READY, metadata=GOING)], "somebody has deleted its pod"),
        ([pod(None, metadata=NEXT)], "somebody has deleted its pod"),
        (
            [pod(RUNNING, DISRUPTED, metadata=GOING), pod(metadata=NEXT)],
            "it was ended by the cluster (Tainted): it must go",
        ),
        ([], "somebody has deleted its pod"),
    ],
    ids=["goes", "gone", "goes for another", "none"],
)
def test_who_ran_and_is_replaced_has_ended(found: list[dict[str, Any]], told: str) -> None:
    """Though the cluster makes the next by itself: until that runs, or what keeps it from it is said."""
    statuses, beside = Statuses(), {"vs-v": {"metadata": {"uid": "n"}}}
    wanted, version = _of(deployment(), "a", "1"), iter("23456789")

    def seen(*there: dict[str, Any], reason: str = "") -> tuple[Condition, str]:
        pods = [_of(each, "a", next(version)) for each in there]
        [status] = statuses([wanted], pods, beside, beside, reasons={"a": reason})
        return status.condition, status.reason

    assert seen(pod(metadata=NEXT)) == (Condition.STARTING, "")  # the first of all
    assert seen(pod(RUNNING, READY)) == (Condition.RUNNING, "")
    assert seen(*found) == (Condition.STOPPED, told)
    assert seen(pod(metadata=NEXT)) == (Condition.STOPPED, told)
    assert seen(pod(metadata=NEXT), reason="it has no disk") == (Condition.STARTING, "it has no disk")
    no_node = {**NO_NODE, "lastTransitionTime": LONG_AGO}
    assert seen(pod(None, no_node, metadata=NEXT)) == (
        Condition.STARTING,
        "no node can take it: 0/3 nodes are available",
    )
    assert seen(pod(RUNNING, metadata=NEXT)) == (Condition.STARTING, "")


def test_who_is_replaced_by_us_has_not_ended() -> None:
    """Neither who is to be otherwise, nor who was to be at rest in between, seen or not, nor who had ended before."""
    beside = {"vs-v": {"metadata": {"uid": "n"}}}
    meta = {**META, "annotations": {manifests.SPEC: "other"}}
    other = {**deployment(), "spec": {"replicas": 1, "template": {"metadata": meta, "spec": SPEC}}}
    runs, comes = pod(RUNNING, READY), pod(metadata=NEXT)
    later = {**deployment(), "metadata": {**deployment()["metadata"], "generation": 3}}
    for between, made, then in (
        ((other, pod(RUNNING, READY, metadata=GOING)), other, pod(metadata={**meta, **NEXT})),
        ((deployment(0), pod(RUNNING, READY, metadata=GOING)), deployment(), comes),
        ((deployment(), runs), later, comes),
        ((deployment(), pod({**RUNNING, "restartCount": 1})), deployment(), comes),
    ):
        statuses = Statuses()
        for number, (wanted, there) in enumerate([(deployment(), runs), between, (made, then)]):
            objects = _of(wanted, "a", f"1{number}"), _of(there, "a", f"2{number}")
            [status] = statuses([objects[0]], [objects[1]], beside, beside)
        assert (status.condition, status.reason) == (Condition.STARTING, "")


def test_what_keeps_an_agent_apart_is_missed() -> None:
    """Also where its pod is as it was: it runs, is not of what was asked for, and it is said what was done."""
    there = [_of(deployment(), "a", "1")], [_of(pod(RUNNING, READY), "a", "2")]
    whole: dict[str, Any] = {"vs-v": {"metadata": {"uid": "n", "resourceVersion": "1"}}}
    by_hand = {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:spec": {}}}
    edited = {"vs-v": {"metadata": {"uid": "n", "resourceVersion": "2", "managedFields": [by_hand]}}}
    statuses, told = Statuses(), []
    for networks, services in ((whole, whole), ({}, whole), (whole, {}), (edited, whole), (whole, whole)):
        [found] = statuses(*there, networks, services)
        assert (found.condition, bool(found.spec_hash)) == (Condition.RUNNING, not found.reason)
        told.append(found.reason)
    assert told == [
        "",
        "somebody has deleted its network policy",
        "somebody has deleted its service",
        "its network policy was changed by hand, by kubectl-edit",
        "",
    ]


def test_other_addresses_are_to_be_closed() -> None:
    """Once the cluster's machines are elsewhere, who runs is not of what is asked for until they are closed to him,
    which is not said of anybody; who reaches no internet, and what was allowed, is none of this.
    """
    there = [_of(deployment(), "a", "1")], [_of(pod(RUNNING, READY), "a", "2")]
    name = {"metadata": {"uid": "n", "resourceVersion": "1"}}
    before, after = ("192.0.2.7/32",), ("192.0.2.8/32",)
    allowed = [egress.names(), egress.allowed("0.0.0.0/0:443")]
    policies = {
        "before": [*allowed, egress.internet(before)],
        "closed": [{"to": [{"podSelector": {}}]}],
        "allowed": allowed,
    }
    told = {}
    for word, rules in policies.items():
        statuses, beside = Statuses(), {"vs-v": {**name, "spec": {"egress": rules}}}
        first, second, third = (statuses(*there, beside, beside, closed) for closed in (before, after, before))
        assert {found.reason for [found] in (first, second, third)} == {""}
        told[word] = [bool(found.spec_hash) for [found] in (first, second, third)]
    assert told == {"before": [True, False, True], "closed": [True] * 3, "allowed": [True] * 3}


def _of(found: dict[str, Any], agent: str, version: str) -> dict[str, Any]:
    labels = {"labels": {bodies.AGENT_UID: agent, bodies.VIBESPACE_UID: "v"}}
    return {**found, "metadata": {**found["metadata"], **labels, "uid": agent, "resourceVersion": version}}
