"""What to do about one agent, given what is asked and what the engine shows. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from vibespace.app import logins
from vibespace.domain import agents as observed
from vibespace.domain import quantities
from vibespace.domain.agents import Agent
from vibespace.domain.host import Host
from vibespace.domain.states import is_current, should_run
from vibespace.domain.vibespaces import Spec, Vibespace
from vibespace.engine.base import AgentSpec, Condition, HostMount, Resources, Status, Target, spec_hash
from vibespace.errors import FailedPrecondition


@dataclass(frozen=True)
class Apply:
    """Tell the engine how it should be."""

    spec: AgentSpec


@dataclass(frozen=True)
class Observe:
    """Record what is seen."""

    state: str
    reason: str = ""
    image: str = ""


@dataclass(frozen=True)
class Delete:
    """Take it away, then record that it is gone."""

    target: Target
    keep_data: bool


Action = Apply | Observe | Delete | None
"""None: all is as it should be."""


def plan(
    agent: Agent, vibespace: Vibespace, host: Host, spec: AgentSpec, status: Status | None, *, begun: bool = False
) -> Action:
    """The next thing to do; after it has been done, ask again. `status` is None when there is no container.

    `begun`: the engine was told to start one and not to end it since, whatever it has shown by now.
    """
    condition = status.condition if status else Condition.ABSENT
    if agent.deleting or vibespace.deleting:
        target = Target(vibespace.uid, vibespace.data_uid, agent.uid, agent.name)
        return Delete(target, keep_data=vibespace.deleting)  # which takes all homes at once, or leaves them
    if not should_run(agent, vibespace, host):
        if begun or condition != Condition.ABSENT:
            return Apply(replace(spec, running=False))
        return _unless_known(agent, vibespace, Observe(observed.STOPPED))
    if not status or condition in (Condition.ABSENT, Condition.STOPPED):
        if agent.observed == observed.RUNNING and is_current(agent, vibespace):
            return Observe(observed.FAILED, (status.reason if status else "") or "its container is gone")
        if agent.observed == observed.STOPPED and is_current(agent, vibespace):
            return Observe(observed.STARTING)
        return Apply(spec)
    if status.spec_hash != spec_hash(spec):
        told = Observe(observed.RUNNING, status.reason, status.image)  # runs on while it is put back
        return (_unless_known(agent, vibespace, told) if _is_meddled_with(status) else None) or Apply(spec)
    if condition == Condition.STARTING:
        return _unless_known(agent, vibespace, Observe(observed.FAILED, status.reason)) if status.reason else None
    return _unless_known(agent, vibespace, Observe(observed.RUNNING, image=status.image))


def _is_meddled_with(status: Status) -> bool:
    """It runs, and something that belongs to it is not as it was made."""
    return status.condition == Condition.RUNNING and bool(status.reason)


def _unless_known(agent: Agent, vibespace: Vibespace, seen: Observe) -> Observe | None:
    known = is_current(agent, vibespace) and (agent.observed, agent.reason, agent.image) == (
        seen.state,
        seen.reason,
        seen.image,
    )
    return None if known else seen


def specify(
    agent: Agent,
    vibespace: Vibespace,
    image: str,
    host_key: bytes,
    authorized_key: str,
    values: Mapping[str, str],
) -> AgentSpec:
    """What the engine is told of an agent; `values` are those that the vault holds for it."""
    return AgentSpec(
        agent_uid=agent.uid,
        agent=agent.name,
        vibespace_uid=vibespace.uid,
        vibespace=vibespace.name,
        data_uid=vibespace.data_uid,
        image=vibespace.image or image,
        resources=_resources(vibespace.spec),
        host_key=host_key,
        authorized_key=authorized_key,
        mounts=tuple(HostMount(*mount) for mount in vibespace.mounts),
        closed=vibespace.closed,
        sudo=bool(vibespace.spec.get("sudo")),
        environment={**logins.variables(agent), **{name: values[name] for name in agent.env if name in values}},
        logins=agent.type if agent.shares_login else "",
        links=logins.links(agent),
        allow=tuple(vibespace.spec.get("allow", ())),
        storage_bytes=quantities.memory_bytes(vibespace.spec["storage"], "storage")
        if "storage" in vibespace.spec
        else 0,
    )


def check_values(agent: Agent, spec: AgentSpec) -> None:
    """Raises FailedPrecondition SECRET_UNREADABLE rather than have a command run without what it was to be given."""
    for name in agent.env:
        if name not in spec.environment:
            raise FailedPrecondition(
                "SECRET_UNREADABLE",
                f"the value of {name} cannot be read: the vault or its master key is not what it was",
                hint="Create the agent again, with the value.",
            )


def _resources(spec: Spec) -> Resources:
    def cpu(setting: str) -> int:
        return quantities.cpu_millis(spec[setting], setting) if setting in spec else 0

    def memory(setting: str) -> int:
        return quantities.memory_bytes(spec[setting], setting) if setting in spec else 0

    return Resources(cpu("cpu"), cpu("cpu_limit"), memory("memory"), memory("memory_limit"))
