"""What a Deployment and its pods say about one agent, in the house's words. Pure.

A container that has ended counts as ended, although the kubelet starts it again by itself: only so does anybody hear
that it did, and why. Whoever wants it to run makes a new pod.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from vibespace import amounts
from vibespace.engine import bodies, manifests
from vibespace.engine.base import Condition, Status

Object = Mapping[str, Any]

_NO_IMAGE = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError")
_DIGEST = re.compile("@sha256:([0-9a-f]{12})[0-9a-f]{52}")
UNSAID = "its node has ended it, and does not say why"
"""Of a pod that is over: kubelets lose the reason when they see a container's end before they have written it down."""
_SILENT = "its sshd does not answer, or its node is away"

SILENT_SECONDS = 30.0
"""How long one may be there and not be ready, or not be started, before that is told."""


def agent_uid(found: Object) -> str:
    return str((found["metadata"].get("labels") or {}).get(bodies.AGENT_UID, ""))


PATIENCE = 5.0
"""Seconds that a pod may find no node before that is told: its volume may only just be coming, or a node."""


def status(deployment: Object | None, pods: Sequence[Object], now: float) -> Status | None:
    """None where there is nothing: no pod, and nobody who would make one. `now` is seconds since 1970."""
    wanted = bool(deployment and deployment["spec"].get("replicas", 1)) and not _going(deployment)
    pod = current(pods)
    if deployment and wanted and (who := edited(deployment)):
        return _status(deployment, Condition.STOPPED, f"it was changed by hand, by {who}")
    if pod is None:
        if not wanted:
            return None
        assert deployment is not None
        return _status(deployment, Condition.STARTING, _refused(deployment))
    if _going(pod):
        if deployment and wanted:
            return _status(deployment, Condition.STARTING, "")
        why = "it is being ended" if deployment else "somebody has deleted its deployment"
        return _status(pod, Condition.STOPPED, why)
    container = main(pod)
    state = container.get("state") or {}
    if is_over(pod):
        return _status(pod, Condition.STOPPED, _evicted(pod) or UNSAID)
    if restarted(pod):
        last = (container.get("lastState") or {}).get("terminated") or {}
        return _status(pod, Condition.STOPPED, _terminated(pod, last))
    if "running" in state:
        if ready(pod):
            made = deployment is None or not wanted or settled(deployment)
            return _status(pod, Condition.RUNNING if made else Condition.STARTING, "", run(pod))
        condition = _condition(pod, "Ready")
        silent = bool(condition) and now - _since(condition) >= SILENT_SECONDS
        return _status(pod, Condition.STARTING, _SILENT if silent else "", run(pod))
    if "terminated" in state:
        return _status(pod, Condition.STOPPED, _evicted(pod) or _terminated(pod, state["terminated"]))
    return _status(pod, Condition.STARTING, obstacle(pod, now))


def replaced(found: Sequence[Object]) -> str:
    """Why the one that ran is not there any more, where the cluster makes another by itself."""
    return next((why for pod in found if _going(pod) and (why := _evicted(pod))), "somebody has deleted its pod")


def current(pods: Sequence[Object]) -> Object | None:
    """Of several, the one that counts: not on its way out, and the newest; before these one that is over, for beside it
    another is made at once, and nobody would hear of it.
    """
    ordered = sorted(pods, key=lambda pod: (is_over(pod), not _going(pod), str(pod["metadata"]["creationTimestamp"])))
    return ordered[-1] if ordered else None


def counting(found: Iterable[Object]) -> Mapping[str, Object]:
    """`current` of each agent, by uid."""
    by_agent: dict[str, list[Object]] = {}
    for pod in found:
        by_agent.setdefault(agent_uid(pod), []).append(pod)
    return {uid: counts for uid, theirs in by_agent.items() if (counts := current(theirs))}


def is_over(pod: Object) -> bool:
    """Whether it has ended for good, as by an eviction, and nobody takes it away."""
    return pod["status"].get("phase") in ("Failed", "Succeeded") and not _going(pod)


def is_over_unsaid(pod: Object) -> bool:
    """Whether it is, and says nothing of who ended it."""
    return is_over(pod) and not _evicted(pod)


def settled(deployment: Object) -> bool:
    """Whether its pod is of what it asks for now: one of before may be there until it is replaced."""
    told, generation = deployment.get("status") or {}, deployment["metadata"].get("generation")
    return generation is None or (told.get("observedGeneration") == generation and told.get("updatedReplicas", 0) > 0)


def meddled(network: Object | None, service: Object | None) -> str:
    """What somebody has done to what keeps an agent apart, and names it; empty where it is as it was made."""
    for what, found in (("network policy", network), ("service", service)):
        if found is None or _going(found):
            return f"somebody has deleted its {what}"
        if who := edited(found):
            return f"its {what} was changed by hand, by {who}"
    return ""


def edited(found: Object) -> str:
    """Who, in the cluster's books, has set something of what it asks for beside us; empty where nobody has."""
    for entry in found["metadata"].get("managedFields") or ():
        ours = str(entry.get("manager", "")).startswith(manifests.MANAGER)
        if not ours and is_of_spec(entry) and "f:spec" in (entry.get("fieldsV1") or {}):
            return str(entry.get("manager") or "somebody")
    return ""


def is_of_spec(entry: Mapping[str, Any]) -> bool:
    """Whether that entry of the cluster's books is of what is asked for, as that of `scale` is, and not of what is."""
    return entry.get("subresource") in (None, "", "scale")


def run(pod: Object) -> str:
    """What tells one run of the agent's container from every other; empty where it does not run."""
    running = (main(pod).get("state") or {}).get("running")
    return f"{pod['metadata']['uid']}@{running.get('startedAt', '')}" if running and not restarted(pod) else ""


def restarted(pod: Object) -> bool:
    """Whether its container has ended, and was or will be started again by the kubelet."""
    return bool(main(pod).get("restartCount"))


def ready(pod: Object) -> bool:
    """Whether its sshd was seen to listen."""
    return _is_true(pod, "Ready")


def address(pod: Object) -> str:
    return str(pod["status"].get("podIP") or "")


def addresses(pod: Object) -> Sequence[str]:
    return [str(each["ip"]) for each in pod["status"].get("podIPs") or ()]


def main(pod: Object) -> Mapping[str, Any]:
    """What is known of its one container."""
    return next(iter(pod["status"].get("containerStatuses") or ()), {})


def no_image(pod: Object) -> str:
    """Why there is no image for it; empty where that is not what it waits for."""
    waiting = (main(pod).get("state") or {}).get("waiting") or {}
    return short(str(waiting.get("message") or waiting["reason"])) if waiting.get("reason") in _NO_IMAGE else ""


def short(text: str) -> str:
    """With as much of images' digests as tells them apart: nodes say them thrice before they say what is wrong."""
    return _DIGEST.sub(r"@\1", text)


def obstacle(pod: Object, now: float) -> str:
    """What keeps it from starting, where that will not pass by itself in a moment; else empty."""
    if why := no_image(pod):
        return clause(f"its image cannot be pulled: {why}")
    waiting = (main(pod).get("state") or {}).get("waiting") or {}
    if waiting.get("reason") in ("CreateContainerError", "CreateContainerConfigError", "RunContainerError"):
        message = str(waiting.get("message") or waiting["reason"])
        more = (
            "; its volume may be full" if "create subPath directory" in message else ""
        )  # the node keeps why to itself
        return clause(f"its container cannot be made: {message}")[: 390 - len(more)] + more
    scheduled = _condition(pod, "PodScheduled")
    if scheduled.get("reason") in ("Unschedulable", "SchedulerError") and now - _since(scheduled) >= PATIENCE:
        return clause(f"no node can take it: {scheduled.get('message', '')}")
    return ""


def is_stuck(pod: Object, now: float) -> bool:
    """Whether a node has had it for long, and has not started its container, without a word why."""
    scheduled = _condition(pod, "PodScheduled")
    waits = pod["status"].get("phase") == "Pending" and not _going(pod) and not obstacle(pod, now)
    return waits and scheduled.get("status") == "True" and now - _since(scheduled) >= SILENT_SECONDS


def _status(found: Object, condition: Condition, reason: str, started: str = "") -> Status:
    template = found["spec"].get("template") or found
    containers: Sequence[Mapping[str, Any]] = template["spec"]["containers"]
    return Status(
        agent_uid=agent_uid(found),
        condition=condition,
        reason=reason,
        spec_hash=str((template["metadata"].get("annotations") or {}).get(manifests.SPEC, "")),
        image=str(containers[0].get("image", "")),
        started=started,
    )


def _going(found: Object | None) -> bool:
    return bool(found and found["metadata"].get("deletionTimestamp"))


def _refused(deployment: Object) -> str:
    """Why there is no pod, as the one who would make it says."""
    failure = _condition(deployment, "ReplicaFailure")
    if failure.get("status") != "True":
        return ""
    message = str(failure.get("message", ""))
    more = "; '--sudo' needs a namespace that enforces no more than 'baseline'" if "PodSecurity" in message else ""
    return clause(f"the cluster refuses it: {message}")[: 390 - len(more)] + more


def _evicted(pod: Object) -> str:
    """Why the cluster has ended it; empty where it has not."""
    if reason := pod["status"].get("reason"):
        return ended_for(reason, pod["status"].get("message") or "")
    disrupted = _condition(pod, "DisruptionTarget")
    if disrupted.get("status") == "True":
        return ended_for(str(disrupted.get("reason")), disrupted.get("message", ""))
    return ""


def ended_for(reason: str, message: str) -> str:
    """That the cluster has ended a pod, and why in its words."""
    return clause(f"it was ended by the cluster ({reason})" + (f": {message}" if message else ""))


def _terminated(pod: Object, end: Mapping[str, Any]) -> str:
    if end.get("reason") == "OOMKilled":
        limits = pod["spec"]["containers"][0].get("resources", {}).get("limits", {})
        limit = limits.get("memory", "")
        told = f" (its limit is {amounts.size(int(limit)) if limit.isdecimal() else limit})" if limit else ""
        return f"it ran out of memory{told}"
    if "exitCode" in end:
        return f"it ended with exit code {end['exitCode']}"
    return "it has ended"


def _conditions(found: Object) -> Iterator[Mapping[str, Any]]:
    yield from (found.get("status") or {}).get("conditions") or ()


def _condition(found: Object, kind: str) -> Mapping[str, Any]:
    return next((each for each in _conditions(found) if each.get("type") == kind), {})


def _since(condition: Mapping[str, Any]) -> float:
    """When it became so, in seconds since 1970; long ago where nodes that are none do not say."""
    told = condition.get("lastTransitionTime")
    return datetime.fromisoformat(str(told)).timestamp() if told else 0.0


def _is_true(pod: Object, kind: str) -> bool:
    return _condition(pod, kind).get("status") == "True"


def clause(text: str) -> str:
    """As part of a sentence of ours."""
    return " ".join(text.split()).rstrip(". ")[:400]
