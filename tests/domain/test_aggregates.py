"""What hosts, vibespaces and agents decide: exactly the events expected, and none when it is already so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from tests.domain.things import ENGINE, asked, decided, new_agent, new_credential, new_host, new_vibespace, settled
from vibespace.domain.agents import FAILED, READY, RUNNING, STOPPED, Agent
from vibespace.domain.aggregate import Aggregate
from vibespace.domain.credentials import Credential
from vibespace.domain.host import Host
from vibespace.domain.vibespaces import Vibespace
from vibespace.errors import Error

Row = tuple[Callable[[], Aggregate], Callable[[Any], None], list[tuple[str, dict[str, Any]]]]
URL = "https://example.org/p.git"


def after(make: Callable[[], Any], *steps: Callable[[Any], None]) -> Callable[[], Any]:
    """Something that these things have happened to."""

    def made() -> Any:
        aggregate = make()
        with asked():
            for step in steps:
                step(aggregate)
        return settled(aggregate)

    return made


def seen(state: str, reason: str = "", image: str = "", generation: int = 1, of: int = 1) -> Callable[[Agent], None]:
    return lambda agent: agent.observe(state, reason, image, generation, of)


def observed(state: str, reason: str = "", image: str = "", generation: int = 1, of: int = 1) -> tuple[str, Any]:
    fields = {"state": state, "reason": reason, "image": image, "generation": generation}
    return "agent.observed", fields | {"vibespace_generation": of}


def cloning() -> Vibespace:
    return new_vibespace(repo=URL)


broken: Callable[[], Vibespace] = after(cloning, lambda v: v.repository_failed("no host"))
leaving: Callable[[], Vibespace] = after(new_vibespace, lambda v: v.request_deletion(keep_data=False))
chosen: Callable[[], Host] = after(new_host, lambda h: h.initialize(ENGINE, "i"))

DECISIONS: dict[str, Row] = {
    "host: init": (
        new_host,
        lambda h: h.initialize(ENGINE, "i"),
        [("host.initialized", {"engine": ENGINE, "image": "i", "base": ""})],
    ),
    "host: init again": (chosen, lambda h: h.initialize(dict(ENGINE), "i"), []),
    "host: a newer engine": (
        chosen,
        lambda h: h.initialize(ENGINE | {"version": "5"}, "i"),
        [("host.initialized", {"engine": ENGINE | {"version": "5"}, "image": "i", "base": ""})],
    ),
    "host: another base": (
        chosen,
        lambda h: h.initialize(ENGINE, "i", "/a.tar"),
        [("host.initialized", {"engine": ENGINE, "image": "i", "base": "/a.tar"})],
    ),
    "host: rest": (new_host, Host.rest, [("host.rested", {})]),
    "host: rest twice": (after(new_host, Host.rest), Host.rest, []),
    "host: wake": (after(new_host, Host.rest), Host.wake, [("host.woken", {})]),
    "host: wake while awake": (new_host, Host.wake, []),
    "host: engine seen": (new_host, Host.engine_seen, [("host.engine_reachable", {})]),
    "host: engine seen again": (after(new_host, Host.engine_seen), Host.engine_seen, []),
    "host: engine lost": (
        after(new_host, Host.engine_seen),
        lambda h: h.engine_lost("down"),
        [("host.engine_unreachable", {"reason": "down"})],
    ),
    "host: still lost": (after(new_host, lambda h: h.engine_lost("down")), lambda h: h.engine_lost("down"), []),
    "vibespace: stop": (new_vibespace, Vibespace.stop, [("vibespace.stop_requested", {})]),
    "vibespace: stop twice": (after(new_vibespace, Vibespace.stop), Vibespace.stop, []),
    "vibespace: start": (after(new_vibespace, Vibespace.stop), Vibespace.start, [("vibespace.start_requested", {})]),
    "vibespace: start while started": (new_vibespace, Vibespace.start, []),
    "vibespace: start again": (new_vibespace, lambda v: v.start(again=True), [("vibespace.start_requested", {})]),
    "vibespace: start with a failed repository": (broken, Vibespace.start, [("vibespace.start_requested", {})]),
    "vibespace: other limits": (
        new_vibespace,
        lambda v: v.change_spec({"cpu": "2"}),
        [("vibespace.spec_changed", {"spec": {"cpu": "2"}})],
    ),
    "vibespace: the same limits": (new_vibespace, lambda v: v.change_spec({}), []),
    "vibespace: delete": (
        new_vibespace,
        lambda v: v.request_deletion(keep_data=True),
        [("vibespace.deletion_requested", {"keep_data": True})],
    ),
    "vibespace: delete twice": (leaving, lambda v: v.request_deletion(keep_data=True), []),
    "vibespace: gone": (leaving, Vibespace.complete_deletion, [("vibespace.deleted", {})]),
    "vibespace: gone, data kept": (
        after(new_vibespace, lambda v: v.request_deletion(keep_data=True)),
        Vibespace.complete_deletion,
        [("vibespace.data_kept", {"name": "demo", "data_uid": "data"}), ("vibespace.deleted", {})],
    ),
    "vibespace: cloned": (
        cloning,
        lambda v: v.repository_ready("c0ffee"),
        [("vibespace.repository_ready", {"commit": "c0ffee"})],
    ),
    "vibespace: cloned twice": (
        after(cloning, lambda v: v.repository_ready("c0ffee")),
        lambda v: v.repository_ready("c0ffee"),
        [],
    ),
    "vibespace: nothing to clone": (new_vibespace, lambda v: v.repository_ready("c0ffee"), []),
    "vibespace: clone failed": (
        cloning,
        lambda v: v.repository_failed("no host"),
        [("vibespace.repository_failed", {"reason": "no host"})],
    ),
    "vibespace: clone failed the same": (broken, lambda v: v.repository_failed("no host"), []),
    "vibespace: clone failed otherwise": (
        broken,
        lambda v: v.repository_failed("no route"),
        [("vibespace.repository_failed", {"reason": "no route"})],
    ),
    "vibespace: no failure after success": (
        after(cloning, lambda v: v.repository_ready("c0ffee")),
        lambda v: v.repository_failed("late"),
        [],
    ),
    "vibespace: a worktree is left": (
        cloning,
        lambda v: v.leave_worktree("claude-2", force=True),
        [("vibespace.worktree_left", {"agent": "claude-2", "force": True})],
    ),
    "vibespace: and removed": (
        after(cloning, lambda v: v.leave_worktree("claude-2", force=False)),
        lambda v: v.worktree_removed("claude-2", "it has work"),
        [("vibespace.worktree_removed", {"agent": "claude-2", "reason": "it has work"})],
    ),
    "vibespace: removed twice": (cloning, lambda v: v.worktree_removed("claude-2", ""), []),
    "agent: stop": (new_agent, Agent.stop, [("agent.stop_requested", {})]),
    "agent: stop twice": (after(new_agent, Agent.stop), Agent.stop, []),
    "agent: start": (after(new_agent, Agent.stop), Agent.start, [("agent.start_requested", {})]),
    "agent: start while started": (new_agent, Agent.start, []),
    "agent: start after failure": (after(new_agent, seen(FAILED)), Agent.start, [("agent.start_requested", {})]),
    "agent: other settings": (
        after(new_agent, lambda a: a.change_settings({"model": "opus", "max_turns": 3})),
        lambda a: a.change_settings({"model": "haiku", "max_turns": 3, "skip_permissions": False}, ["effort"]),
        [("agent.settings_changed", {"settings": {"model": "haiku", "skip_permissions": False}, "unset": []})],
    ),
    "agent: a setting left to the program": (
        after(new_agent, lambda a: a.change_settings({"model": "opus"})),
        lambda a: a.change_settings({}, ["model", "effort"]),
        [("agent.settings_changed", {"settings": {}, "unset": ["model"]})],
    ),
    "agent: an empty setting that was none": (
        new_agent,
        lambda a: a.change_settings({"model": "", "max_turns": 0, "approval_timeout": "0", "allowed_tools": []}),
        [],
    ),
    "agent: a setting emptied": (
        after(new_agent, lambda a: a.change_settings({"model": "opus", "max_turns": 3})),
        lambda a: a.change_settings({"model": "", "max_turns": 4}),
        [("agent.settings_changed", {"settings": {"max_turns": 4}, "unset": ["model"]})],
    ),
    "agent: the same settings": (
        after(new_agent, lambda a: a.change_settings({"model": "opus"})),
        lambda a: a.change_settings({"model": "opus"}, ["effort"]),
        [],
    ),
    "agent: start after its worktree failed": (
        after(new_agent, lambda a: a.observe_worktree(FAILED, "no")),
        Agent.start,
        [("agent.start_requested", {})],
    ),
    "agent: worktree": (
        new_agent,
        lambda a: a.observe_worktree(READY, notes=["n"]),
        [("agent.worktree_observed", {"state": READY, "reason": "", "notes": ["n"]})],
    ),
    "agent: worktree the same": (
        after(new_agent, lambda a: a.observe_worktree(READY, notes=["n"])),
        lambda a: a.observe_worktree(READY, notes=["n"]),
        [],
    ),
    "agent: worktree failed": (
        new_agent,
        lambda a: a.observe_worktree(FAILED, "no"),
        [("agent.worktree_observed", {"state": FAILED, "reason": "no", "notes": []})],
    ),
    "agent: delete": (new_agent, Agent.request_deletion, [("agent.deletion_requested", {"force": False})]),
    "agent: delete whatever there is": (
        new_agent,
        lambda a: a.request_deletion(force=True),
        [("agent.deletion_requested", {"force": True})],
    ),
    "agent: delete twice": (after(new_agent, Agent.request_deletion), Agent.request_deletion, []),
    "agent: gone": (after(new_agent, Agent.request_deletion), Agent.complete_deletion, [("agent.deleted", {})]),
    "agent: seen": (new_agent, seen(RUNNING, image="i"), [observed(RUNNING, image="i")]),
    "agent: seen the same": (after(new_agent, seen(RUNNING)), seen(RUNNING), []),
    "agent: seen of a newer vibespace": (
        after(new_agent, seen(RUNNING)),
        seen(RUNNING, of=2),
        [observed(RUNNING, of=2)],
    ),
    "credential: another value": (
        new_credential,
        lambda c: c.replace({"username": "me"}, "v2"),
        [("credential.replaced", {"settings": {"username": "me"}, "sealed": "v2"})],
    ),
    "credential: of an agent": (
        lambda: new_credential("vibespaces/demo/agents/claude-1", "agent"),
        Credential.delete,
        [("credential.deleted", {})],
    ),
    "agent: another reason": (after(new_agent, seen(FAILED, "a")), seen(FAILED, "b"), [observed(FAILED, "b")]),
}


@pytest.mark.parametrize(("make", "decide", "expected"), DECISIONS.values(), ids=DECISIONS.keys())
def test_decisions(
    make: Callable[[], Aggregate], decide: Callable[[Any], None], expected: list[tuple[str, dict[str, Any]]]
) -> None:
    """A decision leads to exactly these events, with who, when and why on each; already so is quiet."""
    aggregate = make()
    with asked():
        decide(aggregate)
    assert decided(aggregate) == expected


REFUSALS: dict[str, tuple[Callable[[], Aggregate], Callable[[Any], None], str]] = {
    "another engine": (chosen, lambda h: h.initialize(ENGINE | {"brand": "docker"}, "i"), "ENGINE_CHOSEN"),
    "start what goes": (leaving, Vibespace.start, "DELETING"),
    "stop what goes": (leaving, Vibespace.stop, "DELETING"),
    "change what goes": (leaving, lambda v: v.change_spec({"cpu": "1"}), "DELETING"),
    "start an agent that goes": (after(new_agent, Agent.request_deletion), Agent.start, "DELETING"),
    "stop an agent that goes": (after(new_agent, Agent.request_deletion), Agent.stop, "DELETING"),
    "set an agent that goes": (
        after(new_agent, Agent.request_deletion),
        lambda a: a.change_settings({"model": "opus"}),
        "DELETING",
    ),
    "delete the primary": (lambda: new_agent(primary=True), Agent.request_deletion, "AGENT_IS_PRIMARY"),
}


@pytest.mark.parametrize(("make", "decide", "reason"), REFUSALS.values(), ids=REFUSALS.keys())
def test_refusals(make: Callable[[], Aggregate], decide: Callable[[Any], None], reason: str) -> None:
    """What is not allowed raises with its reason and decides nothing."""
    aggregate = make()
    with asked(), pytest.raises(Error) as e:
        decide(aggregate)
    assert e.value.reason == reason
    assert decided(aggregate) == []


def test_intent_is_counted_and_observation_is_not() -> None:
    """Each change of intent is a new generation; what is observed never is."""
    vibespace, agent = cloning(), new_agent()
    with asked():
        vibespace.stop()
        vibespace.start()
        vibespace.change_spec({"cpu": "1"})
        vibespace.repository_failed("x")
        vibespace.start()
        vibespace.repository_ready("c")
        agent.stop()
        agent.observe(STOPPED, "", "", 2, 1)
        agent.start()
        agent.change_settings({"model": "opus"})
    assert (vibespace.generation, agent.generation) == (5, 4)


def test_settings_are_what_was_set_last() -> None:
    """Those that were not named stay, the environment too; what was unset is gone."""
    agent = new_agent()
    with asked():
        agent.settings = {"env": ["TOKEN"], "model": "opus", "effort": "low"}
        agent.change_settings({"max_turns": 3, "model": "haiku"}, ["effort"])
    assert agent.settings == {"env": ["TOKEN"], "model": "haiku", "max_turns": 3}


def test_an_older_event_that_holds_an_empty_setting_sets_none() -> None:
    """As if it was never given: what is shown of such an agent is what is shown of one that was made today."""
    agent = new_agent()
    with asked():
        agent._change_settings(settings={"model": "", "max_turns": 0, "skip_permissions": False}, unset=[])
    assert agent.settings == {"skip_permissions": False}


def test_what_was_seen_of_a_container_is_seen_of_other_settings_too() -> None:
    """They are the program's: what runs goes on running, and what was out of date stays so."""
    agent = new_agent()
    with asked():
        agent.observe(RUNNING, "", "", 1, 1)
        agent.change_settings({"model": "opus"})
        assert (agent.generation, agent.observed_generation) == (2, 2)
        agent.stop()
        agent.change_settings({"model": "haiku"})
    assert (agent.generation, agent.observed_generation) == (4, 2)


def test_a_draft_leaves_the_original_alone() -> None:
    """What is tried on a draft changes neither the original's state nor its events."""
    vibespace = new_vibespace(cpu="1")
    before = dict(vars(vibespace))
    draft = vibespace.draft()
    with asked():
        draft.stop()
        draft.change_spec({"cpu": "2"})
        draft.request_deletion(keep_data=True)
    assert vars(vibespace) == before
    assert decided(vibespace) == []
    assert len(decided(draft)) == 3


def test_ids_are_never_drawn_inside() -> None:
    """The domain is a function of its events: an aggregate without an id from outside is an error."""
    with pytest.raises(NotImplementedError):
        Vibespace.create_id()
    assert new_vibespace().id == UUID(int=2)
    assert new_vibespace().created_on == new_agent().created_on
