"""Waits, outside any mutation, until what was accepted is so: a Watch from the reply's cursor, seen on stderr.

The daemon does the work whether anybody waits or not; whoever stops waiting stops nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vibespace import catalog, launch
from vibespace.catalog import Method
from vibespace.errors import Cancelled, Error, FailedPrecondition, Unavailable
from vibespace.resume import fold, lost
from vibespace.v1.agents_pb2 import (
    AGENT_STATE_DELETING,
    AGENT_STATE_FAILED,
    AGENT_STATE_RUNNING,
    AGENT_STATE_STOPPED,
    AGENT_STATE_UNKNOWN,
    RUN_INTENT_STOP,
    WORKTREE_STATE_FAILED,
    Agent,
)
from vibespace.v1.events_pb2 import WatchRequest, WatchResponse
from vibespace.v1.system_pb2 import Host, RestResponse
from vibespace.v1.vibespaces_pb2 import (
    REPOSITORY_STATE_FAILED,
    VIBESPACE_STATE_DELETING,
    VIBESPACE_STATE_FAILED,
    VIBESPACE_STATE_RUNNING,
    VIBESPACE_STATE_STOPPED,
    VIBESPACE_STATE_UNKNOWN,
    Vibespace,
)
from vibespace_cli import names
from vibespace_cli.invocation import Invocation
from vibespace_cli.progress import Progress
from vibespace_cli.session import Session
from vibespace_cli.shape import to_data

Resource = Vibespace | Agent

_EVERYTHING = {
    (False, False): ("awake", "Everything is back."),
    (False, True): ("starting", "Everything is starting."),
    (True, False): ("resting", "Everything is at rest, and the daemon has ended."),
    (True, True): ("stopping", "Everything is stopping."),
}
"""By whether it rests, and whether nobody waits for it: what is said with --plain, and in a sentence."""
_RUNNING = {Vibespace: VIBESPACE_STATE_RUNNING, Agent: AGENT_STATE_RUNNING}
_STOPPED = {Vibespace: VIBESPACE_STATE_STOPPED, Agent: AGENT_STATE_STOPPED}
_UNSEEN = {
    Vibespace: (VIBESPACE_STATE_UNKNOWN, VIBESPACE_STATE_DELETING),
    Agent: (AGENT_STATE_UNKNOWN, AGENT_STATE_DELETING),
}
"""With a reason: the engine has been lost. Without: the daemon has just started, and looks."""
_FAILED = {Vibespace: VIBESPACE_STATE_FAILED, Agent: AGENT_STATE_FAILED}


def wait(invocation: Invocation, response: Any) -> Any:
    """`response` with its resource as it is when the work is done.

    Raises Unavailable or FailedPrecondition when the resource says that it failed, Cancelled on Ctrl-C.
    """
    resource = _resource(response)
    with Progress(invocation.session.output) as progress:
        try:
            if resource is None:
                _everything(invocation, response, progress)
            elif invocation.method.destroys:
                _gone(invocation.session, resource, response.cursor, progress)
            else:
                _arrived(invocation.session, resource, response.cursor, progress)
                _refuse_without_worktree(resource)
        except KeyboardInterrupt:
            raise _not_waited(invocation.method, resource) from None
    return response


def _not_waited(method: Method, resource: Resource | None) -> Error:
    """What goes on without us, and the command that shows it: the `info` beside the one that was typed."""
    words = [*method.words, *([names.short(resource.name)] if resource else [])]
    look = (*method.words[:-1], "info")
    hint = ""
    if resource and catalog.load().named(look):
        hint = f"'vibespace {' '.join((*look, words[-1]))}' shows how far it is."
    return Cancelled("NOT_WAITED", f"Interrupted, but '{' '.join(words)}' goes on.", hint=hint)


def tell(invocation: Invocation, response: Any) -> None:
    """One sentence about what was done."""
    output, resource = invocation.session.output, _resource(response)
    if resource is None:
        resting = response.host.resting or not response.host.initialized
        plain, sentence = _EVERYTHING[resting, bool(invocation.params.get("no_wait"))]
        if not output.quiet:
            output.sentence(plain if output.plain else sentence)
        return
    name = names.short(resource.name)
    state = to_data(resource)["status"]["state"] if resource.HasField("status") else "accepted"
    if invocation.method.destroys:
        state = "deleting" if invocation.params.get("no_wait") else "deleted"
    if output.quiet:
        output.line(name)
    elif output.plain:
        output.line(f"{name}\t{state}")
    else:
        output.sentence(f"{name} is {state}{_but(invocation, resource)}.")


def _but(invocation: Invocation, resource: Resource) -> str:
    """What else is so, that who asked may not expect."""
    if isinstance(resource, Agent) and _waits(resource) and not invocation.method.destroys:
        return f"; it runs when its vibespace does: 'vibespace start {resource.vibespace_id}'"
    if isinstance(resource, Vibespace) and invocation.params.get("keep_data"):
        return f"; its data is kept: 'vibespace create {resource.vibespace_id} --reuse-data -t TYPE' takes it over"
    return ""


def _waits(agent: Agent) -> bool:
    return agent.intent != RUN_INTENT_STOP and agent.status.state == AGENT_STATE_STOPPED


def changes(session: Session, request: WatchRequest) -> Iterator[WatchResponse]:
    """A Watch that survives the daemon: resumed after the last cursor, on a new daemon if need be.

    What the daemon sends in pieces, of which the last has a cursor, comes out whole.
    """
    return session.client.follow("EventService/Watch", request, WatchResponse)


def _arrived(session: Session, resource: Resource, cursor: Any, progress: Progress) -> None:
    """Wait until `resource` is where its intent wants it, keeping it up to date."""
    progress.show(doing(resource))
    if _done(resource):
        return
    refuse_unreachable(resource)
    parent = "/".join(resource.name.split("/")[:2])
    for response in changes(session, WatchRequest(after=cursor, parent=parent)):
        if is_gone(response, resource.name):
            raise FailedPrecondition("DELETED_MEANWHILE", f"{names.short(resource.name)} was deleted meanwhile.")
        for change in response.changes:
            now = change.vibespace if change.HasField("vibespace") else change.agent
            progress.show(doing(now) if now.name else "")
            if now.name != resource.name:
                continue
            resource.CopyFrom(now)  # type: ignore[arg-type]  # of one name, so of one type
            if _done(resource):
                return
            refuse_unreachable(resource)
            _refuse_failed(resource)
            if isinstance(resource, Vibespace):
                refuse_stopped(resource)
    raise _ended()


def _gone(session: Session, resource: Resource, cursor: Any, progress: Progress) -> None:
    progress.show(f"{names.short(resource.name)}: deleting")
    refuse_unreachable(resource)
    parent = "/".join(resource.name.split("/")[:2])
    for response in changes(session, WatchRequest(after=cursor, parent=parent)):
        if is_gone(response, resource.name):
            return
        for change in response.changes:
            now = change.vibespace if change.HasField("vibespace") else change.agent
            progress.show(doing(now) if now.name else "")
            refuse_unreachable(now)
    raise _ended()


def _everything(invocation: Invocation, response: Any, progress: Progress) -> None:
    """Wait until all that should runs, or all is at rest and the daemon has ended."""
    session = invocation.session
    if isinstance(response, RestResponse) and response.host.initialized:
        _refuse_awake(response.host)  # as it was when the answer was made
    if response.host.resting or not response.host.initialized:
        progress.show("everything: stopping")
        pid = launch.holder(session.state)  # it has just answered; the next one may serve when it has ended
        try:
            # Not changes(): that would wake the daemon that was just put to rest.
            for batch in session.client.stream(
                "EventService/Watch", WatchRequest(after=response.cursor), WatchResponse
            ):
                _show(progress, batch)
                _refuse_started(batch)
        except Error as e:
            # Before `init` there is nothing to watch, only a daemon to end.
            if response.host.initialized and not (lost(e) or isinstance(e, Cancelled) or e.reason == "AT_REST"):
                raise
        launch.wait_until_ended(session.state, pid=pid)
        return
    known: dict[str, Resource] = {}
    for batch in changes(session, WatchRequest()):
        _show(progress, batch)
        fold(known, batch)
        present = [each for each in known.values() if isinstance(each, Vibespace)]
        for vibespace in present:
            refuse_unreachable(vibespace)
            if vibespace.intent != RUN_INTENT_STOP:
                refuse_stopped(vibespace)
        if all(v.intent == RUN_INTENT_STOP or _done(v) or _failed(v) for v in present):
            for vibespace in present:
                _refuse_failed(vibespace)
            return
    raise _ended()


def _done(resource: Resource) -> bool:
    state = resource.status.state
    if resource.intent == RUN_INTENT_STOP:
        return state == _STOPPED[type(resource)]
    if state == _RUNNING[type(resource)]:
        return True
    # An agent of a vibespace at rest is where it can be: its own intent waits for the vibespace's.
    return isinstance(resource, Agent) and state == AGENT_STATE_STOPPED and _observed(resource)


def _observed(agent: Agent) -> bool:
    return agent.status.observed_generation >= agent.generation


def is_gone(response: WatchResponse, name: str) -> bool:
    """Whether the thing called `name` was deleted: that is told, or it is missing from all there is."""
    if any(change.deleted == name for change in response.changes):
        return True
    return response.snapshot and not any(name in (c.vibespace.name, c.agent.name) for c in response.changes)


def refuse_unreachable(resource: Resource) -> None:
    """Raises Unavailable when the engine does not answer: nobody knows for how long, and the work goes on by itself."""
    seen = not resource.status.HasField("unreachable_time")  # and then the reason is why it did not run before
    if resource.status.state not in _UNSEEN[type(resource)] or not resource.status.reason or seen:
        return
    message = f"{names.short(resource.name)} must wait: {resource.status.reason}"
    raise Unavailable("ENGINE_UNREACHABLE", message, hint="What was asked is done when it answers again.")


def refuse_stopped(resource: Resource) -> None:
    """Raises FailedPrecondition when what should run is at rest: someone has put it there, and will not hurry."""
    if resource.status.state != _STOPPED[type(resource)]:
        return
    name = names.short(resource.name)
    hint = "'vibespace start' brings back what ran"
    if isinstance(resource, Agent):
        hint += f", or 'vibespace start {resource.vibespace_id}' what is in {resource.vibespace_id}"
    raise FailedPrecondition("STOPPED_MEANWHILE", f"{name} was stopped meanwhile.", hint=f"{hint}.")


def _refuse_started(batch: WatchResponse) -> None:
    """Raises FailedPrecondition when someone has woken what was to rest, also where there is nothing that would run."""
    if batch.HasField("host"):
        _refuse_awake(batch.host)


def _refuse_awake(host: Host) -> None:
    if not host.resting:
        message = "Everything was started meanwhile, and goes on running."
        raise FailedPrecondition("STARTED_MEANWHILE", message, hint="'vibespace stop' puts it to rest again.")


def _failed(resource: Resource) -> bool:
    return resource.status.state == _FAILED[type(resource)]


def _refuse_failed(resource: Resource) -> None:
    if not _failed(resource):
        return
    name, reason = names.short(resource.name), resource.status.reason.rstrip(".")
    message = f"{name} does not run: {reason or 'nobody knows why'}."
    delete = f"'vibespace {'agent delete' if isinstance(resource, Agent) else 'delete'} {name}' takes it away."
    if isinstance(resource, Vibespace) and resource.status.repository.state == REPOSITORY_STATE_FAILED:
        hint = f"'vibespace start {name}' tries again; {delete}"
        raise FailedPrecondition("REPOSITORY_FAILED", message, hint=hint)
    if isinstance(resource, Vibespace) and resource.status.agents_running == resource.status.agents:
        raise FailedPrecondition("WORKTREE_FAILED", message, hint=f"'vibespace start {name}' tries again; {delete}")
    hint = f"It is tried again, and 'vibespace doctor' may know more; or {delete}"
    raise Unavailable("NOT_RUNNING", message, hint=hint)


def _refuse_without_worktree(resource: Resource) -> None:
    """Raises FailedPrecondition when an agent runs and has nothing to work on."""
    if isinstance(resource, Agent) and resource.status.worktree.state == WORKTREE_STATE_FAILED:
        name, reason = names.short(resource.name), resource.status.worktree.reason.rstrip(".")
        raise FailedPrecondition(
            "WORKTREE_FAILED",
            f"{name} runs, and has no worktree: {reason}.",
            hint=f"'vibespace agent start {name}' tries again; 'vibespace agent delete {name}' takes it away.",
        )


def _resource(response: Any) -> Resource | None:
    return next((getattr(response, n) for n in ("vibespace", "agent") if n in response.DESCRIPTOR.fields_by_name), None)


def doing(resource: Resource) -> str:
    """What is happening to `resource`, in a few words."""
    status = to_data(resource)["status"] or {}
    reason = status.get("reason") or ""
    return f"{names.short(resource.name)}: {status.get('state', 'accepted')}" + (f" ({reason})" if reason else "")


def _show(progress: Progress, batch: WatchResponse) -> None:
    for change in batch.changes:
        if change.HasField("agent"):
            progress.show(doing(change.agent))


def _ended() -> Error:
    return Unavailable("DAEMON_ENDED", "The daemon was stopped meanwhile.", hint="vibespace list starts it again.")
