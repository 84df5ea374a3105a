"""What to do about agents and vibespaces, as tables: pure functions of what is asked and what is seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from vibespace.domain.agents import FAILED, READY, RUNNING, STARTING, STOPPED, Agent
from vibespace.domain.aggregate import Origin, acting
from vibespace.domain.host import Host
from vibespace.domain.vibespaces import Vibespace
from vibespace.engine.base import Condition, Resources, Status, Target, spec_hash
from vibespace.reconcile import agents, vibespaces

ORIGIN = Origin(datetime(2026, 1, 2, tzinfo=UTC), "local")


class Case:
    """A host, a vibespace and its primary, brought into some state by a table's row."""

    def __init__(self, **spec: Any) -> None:
        with acting(ORIGIN):
            self.host = Host.create(UUID(int=1))
            self.vibespace = Vibespace.create(UUID(int=2), name="demo", data_uid="d", spec=spec)
            self.agent = Agent.create(
                UUID(int=3),
                vibespace_uid=self.vibespace.uid,
                vibespace="demo",
                name="claude-1",
                type="claude-code",
                primary=True,
                settings={},
            )
        self.spec = agents.specify(self.agent, self.vibespace, "an-image", b"key", "ssh-ed25519 AAAA", {})

    def seen(self, state: str, reason: str = "", image: str = "") -> None:
        self.agent.observe(state, reason, image, self.agent.generation, self.vibespace.generation)

    def status(self, condition: Condition, reason: str = "", *, of_this_spec: bool = True) -> Status:
        hash_ = spec_hash(self.spec) if of_this_spec else "another"
        return Status(self.agent.uid, condition, reason, hash_, "sha256:1")


APPLY, END, NOTHING = "apply", "end", "nothing"


def what(action: agents.Action) -> object:
    """An action, short."""
    match action:
        case None:
            return NOTHING
        case agents.Apply(spec):
            return APPLY if spec.running else END
    return action


UP = agents.Observe(RUNNING, image="sha256:1")
DOWN = agents.Observe(STOPPED)


@pytest.mark.parametrize(
    ("before", "condition", "expected"),
    [
        pytest.param(lambda c: None, None, APPLY, id="new, no container"),
        pytest.param(lambda c: None, Condition.ABSENT, APPLY, id="new, absent"),
        pytest.param(lambda c: None, Condition.STOPPED, APPLY, id="new, ended"),
        pytest.param(lambda c: None, Condition.STARTING, NOTHING, id="starting"),
        pytest.param(lambda c: None, Condition.RUNNING, UP, id="runs"),
        pytest.param(lambda c: c.seen(RUNNING, image="sha256:1"), Condition.RUNNING, NOTHING, id="runs, known"),
        pytest.param(lambda c: c.seen(RUNNING, image="sha256:0"), Condition.RUNNING, UP, id="runs, other image"),
        pytest.param(
            lambda c: c.seen(RUNNING, image="sha256:1"),
            None,
            agents.Observe(FAILED, "its container is gone"),
            id="ran, gone",
        ),
        pytest.param(lambda c: c.seen(FAILED, "its container is gone"), None, APPLY, id="failed, gone"),
        pytest.param(lambda c: c.seen(FAILED, "no image"), Condition.RUNNING, UP, id="failed, runs"),
        pytest.param(lambda c: c.agent.stop(), None, DOWN, id="to stop, gone"),
        pytest.param(lambda c: c.agent.stop(), Condition.RUNNING, END, id="to stop, runs"),
        pytest.param(lambda c: c.agent.stop(), Condition.STOPPED, END, id="to stop, ended"),
        pytest.param(lambda c: (c.agent.stop(), c.seen(STOPPED)), None, NOTHING, id="stopped"),
        pytest.param(lambda c: c.vibespace.stop(), Condition.RUNNING, END, id="vibespace to stop, runs"),
        pytest.param(lambda c: c.vibespace.stop(), None, DOWN, id="vibespace to stop, gone"),
        pytest.param(lambda c: c.host.rest(), Condition.RUNNING, END, id="host at rest, runs"),
        pytest.param(lambda c: c.host.rest(), None, DOWN, id="host at rest, gone"),
        pytest.param(
            lambda c: (c.host.rest(), c.seen(STOPPED), c.host.wake()), None, agents.Observe(STARTING), id="woken"
        ),
        pytest.param(
            lambda c: (c.host.rest(), c.seen(STOPPED), c.host.wake(), c.seen(STARTING)), None, APPLY, id="woken, known"
        ),
        pytest.param(
            lambda c: (c.seen(RUNNING), c.agent.stop(), c.agent.start()), None, APPLY, id="stopped and started again"
        ),
    ],
)
def test_what_an_agent_needs(before: Callable[[Case], object], condition: Condition | None, expected: object) -> None:
    """Each combination of what is asked and what the engine shows has one next action."""
    case = Case()
    with acting(ORIGIN):
        before(case)
    status = case.status(condition) if condition else None
    assert what(agents.plan(case.agent, case.vibespace, case.host, case.spec, status)) == expected


def test_what_was_begun_is_ended_though_it_has_not_shown() -> None:
    """To stop, and the engine was told to start it: nothing that it has shown by now says that nothing comes up."""
    case = Case()
    with acting(ORIGIN):
        case.agent.stop()
    assert what(agents.plan(case.agent, case.vibespace, case.host, case.spec, None, begun=True)) == END


def test_settings_are_no_reason_to_touch_a_container() -> None:
    """Nothing is to do for an agent that runs and is set otherwise: its engine is told the same of it."""
    case = Case()
    with acting(ORIGIN):
        case.seen(RUNNING, image="sha256:1")
        case.agent.change_settings({"model": "opus", "allowed_tools": ["Read"], "skip_permissions": True})
    spec = agents.specify(case.agent, case.vibespace, "an-image", b"key", "ssh-ed25519 AAAA", {})
    assert spec_hash(spec) == spec_hash(case.spec)
    status = case.status(Condition.RUNNING)
    assert what(agents.plan(case.agent, case.vibespace, case.host, spec, status)) == NOTHING


@pytest.mark.parametrize(
    ("type", "environment", "links"),
    [
        ("claude-code", {"CLAUDE_SECURESTORAGE_CONFIG_DIR": "/vibespace-logins/claude-code"}, {}),
        ("codex", {}, {".codex/auth.json": "/vibespace-logins/codex/auth.json"}),
    ],
)
def test_a_login_is_shared_as_each_program_can(type: str, environment: Any, links: Any) -> None:
    """By the variable that it has for that, or by a link; nobody else is shown anything, and what users say wins."""
    case = Case()
    assert (case.spec.logins, case.spec.environment, case.spec.links) == ("", {}, {})
    case.agent.type, case.agent.settings = type, {"share_credentials": True}
    spec = agents.specify(case.agent, case.vibespace, "an-image", b"key", "ssh-ed25519 AAAA", {})
    assert (spec.logins, spec.environment, spec.links) == (type, environment, links)
    case.agent.settings = {"share_credentials": True, "env": [*environment]}
    given = dict.fromkeys(environment, "elsewhere")
    spec = agents.specify(case.agent, case.vibespace, "an-image", b"key", "ssh-ed25519 AAAA", given)
    assert spec.environment == given


def test_an_sshd_that_never_answers_is_a_failure() -> None:
    """A container that is stuck on its way up is FAILED with the engine's reason, once; when it answers, it runs."""
    case = Case()
    stuck = replace(case.status(Condition.STARTING), reason="its sshd has not answered")
    failed = agents.Observe(FAILED, "its sshd has not answered")
    assert agents.plan(case.agent, case.vibespace, case.host, case.spec, stuck) == failed
    with acting(ORIGIN):
        case.seen(FAILED, "its sshd has not answered")
    assert agents.plan(case.agent, case.vibespace, case.host, case.spec, stuck) is None
    assert agents.plan(case.agent, case.vibespace, case.host, case.spec, case.status(Condition.RUNNING)) == UP


def test_a_container_of_another_spec_is_replaced() -> None:
    """Running, but made from another spec: apply, although it was observed to run."""
    case = Case()
    with acting(ORIGIN):
        case.seen(RUNNING, image="sha256:1")
    status = case.status(Condition.RUNNING, of_this_spec=False)
    assert what(agents.plan(case.agent, case.vibespace, case.host, case.spec, status)) == APPLY


def test_a_newer_image_waits_for_the_next_start() -> None:
    """Who runs goes on with the image it has; who is started takes the new one."""
    case = Case()
    with acting(ORIGIN):
        case.seen(RUNNING, image="sha256:1")
    status = case.status(Condition.RUNNING)
    newer = agents.specify(case.agent, case.vibespace, "another-image", b"key", "ssh-ed25519 AAAA", {})
    assert agents.plan(case.agent, case.vibespace, case.host, newer, status) is None
    with acting(ORIGIN):
        case.agent.stop()
        case.agent.start()
    assert agents.plan(case.agent, case.vibespace, case.host, newer, None) == agents.Apply(newer)


def test_a_container_that_ended_says_why() -> None:
    """What ran and has ended is recorded as failed, with the engine's reason."""
    case = Case()
    with acting(ORIGIN):
        case.seen(RUNNING)
    status = case.status(Condition.STOPPED, "it ended with exit code 3")
    action = agents.plan(case.agent, case.vibespace, case.host, case.spec, status)
    assert action == agents.Observe(FAILED, "it ended with exit code 3")


def test_what_was_meddled_with_is_told_and_put_back() -> None:
    """It runs on: nobody who works there is cut off."""
    case = Case()
    with acting(ORIGIN):
        case.seen(RUNNING)
        status = case.status(Condition.RUNNING, "somebody has deleted its service", of_this_spec=False)
        told = agents.plan(case.agent, case.vibespace, case.host, case.spec, status)
        assert told == agents.Observe(RUNNING, "somebody has deleted its service", "sha256:1")
        case.seen(RUNNING, told.reason, told.image)
    assert agents.plan(case.agent, case.vibespace, case.host, case.spec, status) == agents.Apply(case.spec)


@pytest.mark.parametrize("keep", [False, True])
def test_an_agent_goes_with_its_vibespace_which_has_its_home(keep: bool) -> None:
    """Deletion comes before everything else; what becomes of the homes is decided once, for all volumes."""
    case = Case()
    with acting(ORIGIN):
        case.vibespace.request_deletion(keep_data=keep)
    action = agents.plan(case.agent, case.vibespace, case.host, case.spec, case.status(Condition.RUNNING))
    assert action == agents.Delete(Target(case.vibespace.uid, "d", case.agent.uid, "claude-1"), keep_data=True)


def test_limits_become_numbers() -> None:
    """What the spec says of processor and memory reaches the engine in its own units; what it does not say is 0."""
    assert Case(cpu="500m", memory_limit="1Gi").spec.resources == Resources(500, 0, 0, 2**30)


CLONE = vibespaces.Clone(
    str(UUID(int=3)), "https://example.org/a/project.git", "/vibespace/project", "main", bare=False
)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        pytest.param(lambda c: None, None, id="not running"),
        pytest.param(lambda c: c.seen(RUNNING), CLONE, id="running"),
        pytest.param(lambda c: c.seen(FAILED), None, id="failed"),
        pytest.param(lambda c: (c.seen(RUNNING), c.vibespace.stop()), None, id="stopped"),
        pytest.param(lambda c: (c.seen(RUNNING), c.host.rest()), None, id="host at rest"),
        pytest.param(lambda c: (c.seen(RUNNING), c.vibespace.repository_ready("a" * 40)), None, id="ready"),
        pytest.param(
            lambda c: (c.seen(RUNNING), c.vibespace.repository_failed("no such host")), None, id="repository failed"
        ),
        pytest.param(
            lambda c: (c.vibespace.repository_failed("no such host"), c.vibespace.start(), c.seen(RUNNING)),
            CLONE,
            id="started again",
        ),
        pytest.param(lambda c: c.vibespace.request_deletion(keep_data=False), None, id="deleting"),
    ],
)
def test_when_a_repository_is_cloned(before: Callable[[Case], object], expected: object) -> None:
    """As soon as the primary runs, once; after a failure when asked to start again."""
    case = Case(repo="https://example.org/a/project.git", branch="main")
    with acting(ORIGIN):
        before(case)
    assert vibespaces.plan(case.vibespace, [case.agent], case.host) == expected


def test_a_repository_that_is_sent_is_not_cloned() -> None:
    """A path is the client's: the daemon waits for the upload."""
    case = Case(repo="/home/me/project")
    with acting(ORIGIN):
        case.seen(RUNNING)
    assert vibespaces.plan(case.vibespace, [case.agent], case.host) is None


def test_worktrees_share_a_repository() -> None:
    """It is cloned bare, to where all of them find it."""
    case = Case(repo="https://example.org/a/project.git", worktree=True)
    with acting(ORIGIN):
        case.seen(RUNNING)
    wanted = vibespaces.Clone(case.agent.uid, case.vibespace.spec["repo"], "/vibespace/.bare-repo", "", bare=True)
    assert vibespaces.plan(case.vibespace, [case.agent], case.host) == wanted


REMOVE = vibespaces.RemoveWorktree(str(UUID(int=3)), "claude-2", force=False)
MAKE = "make"


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        pytest.param(lambda c: c.seen(RUNNING), MAKE, id="running"),
        pytest.param(lambda c: None, None, id="not running"),
        pytest.param(lambda c: c.seen(FAILED), None, id="failed"),
        pytest.param(lambda c: (c.seen(RUNNING), c.agent.stop()), None, id="to stop"),
        pytest.param(lambda c: (c.seen(RUNNING), c.agent.observe_worktree(READY)), None, id="made"),
        pytest.param(lambda c: (c.seen(RUNNING), c.agent.observe_worktree(FAILED, "x")), None, id="not made"),
        pytest.param(
            lambda c: (c.agent.observe_worktree(FAILED, "x"), c.agent.start(), c.seen(RUNNING)), MAKE, id="asked again"
        ),
        pytest.param(lambda c: (c.seen(RUNNING), c.vibespace.leave_worktree("claude-2", False)), REMOVE, id="one left"),
        pytest.param(lambda c: c.vibespace.leave_worktree("claude-2", False), None, id="one left, nobody runs"),
        pytest.param(
            lambda c: (
                c.seen(RUNNING),
                c.vibespace.leave_worktree("claude-2", False),
                c.vibespace.worktree_removed("claude-2", ""),
            ),
            MAKE,
            id="removed",
        ),
        pytest.param(
            lambda c: (c.vibespace.leave_worktree("claude-2", False), c.vibespace.request_deletion(keep_data=False)),
            None,
            id="one left, deleting",
        ),
    ],
)
def test_when_worktrees_are_made_and_removed(before: Callable[[Case], object], expected: object) -> None:
    """Once the repository is there, for each agent that runs; what a deleted one has left goes first."""
    case = Case(repo="https://example.org/a/project.git", worktree=True)
    with acting(ORIGIN):
        case.vibespace.repository_ready("a" * 40)
        before(case)
    wanted = vibespaces.MakeWorktrees((case.agent,)) if expected == MAKE else expected
    assert vibespaces.plan(case.vibespace, [case.agent], case.host) == wanted


@pytest.mark.parametrize("keep", [False, True])
def test_a_vibespace_goes_after_its_agents(keep: bool) -> None:
    """While agents are left nothing is done; then network and volumes go, or only the network."""
    case = Case()
    with acting(ORIGIN):
        case.vibespace.request_deletion(keep_data=keep)
    assert vibespaces.plan(case.vibespace, [case.agent], case.host) is None
    gone = vibespaces.plan(case.vibespace, [], case.host)
    assert gone == vibespaces.Delete(Target(case.vibespace.uid, "d"), keep)
