"""The states that people see, as a table over what was asked for and what was observed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.domain.things import asked, new_agent, new_host, new_vibespace
from vibespace.domain import states
from vibespace.domain.agents import FAILED, READY, RUNNING, STARTING, STOPPED, Agent
from vibespace.domain.states import State
from vibespace.domain.vibespaces import Vibespace


class Case:
    def __init__(self, **spec: Any) -> None:
        self.host, self.vibespace, self.agent = new_host(), new_vibespace(**spec), new_agent(primary=True)

    def seen(self, state: str, reason: str = "") -> None:
        self.agent.observe(state, reason, "", self.agent.generation, self.vibespace.generation)


Before = Callable[[Any], Any]

AGENT: dict[str, tuple[Before, State]] = {
    "new": (lambda c: None, State.STARTING),
    "up": (lambda c: c.seen(RUNNING), State.RUNNING),
    "failed": (lambda c: c.seen(FAILED), State.FAILED),
    "failed, then asked again": (lambda c: (c.seen(FAILED), c.agent.start()), State.STARTING),
    "seen at rest, should run": (lambda c: c.seen(STOPPED), State.STARTING),
    "up, then changed": (lambda c: (c.seen(RUNNING), c.vibespace.change_spec({"cpu": "1"})), State.STARTING),
    "stopped before it was ever seen": (lambda c: c.agent.stop(), State.STOPPING),
    "stopped before it was ever seen, seen at rest": (lambda c: (c.agent.stop(), c.seen(STOPPED)), State.STOPPED),
    "stopped amid a start": (
        lambda c: (c.agent.stop(), c.seen(STOPPED), c.agent.start(), c.agent.stop()),
        State.STOPPING,
    ),
    "vibespace stopped amid a start": (
        lambda c: (c.vibespace.stop(), c.seen(STOPPED), c.vibespace.start(), c.vibespace.stop()),
        State.STOPPING,
    ),
    "woken": (lambda c: (c.host.rest(), c.seen(STOPPED), c.host.wake(), c.seen(STARTING)), State.STARTING),
    "host at rest amid a waking": (
        lambda c: (c.host.rest(), c.seen(STOPPED), c.host.wake(), c.seen(STARTING), c.host.rest()),
        State.STOPPING,
    ),
    "up, then stopped": (lambda c: (c.seen(RUNNING), c.agent.stop()), State.STOPPING),
    "failed, then stopped": (lambda c: (c.seen(FAILED), c.agent.stop()), State.STOPPING),
    "at rest": (lambda c: (c.agent.stop(), c.seen(STOPPED)), State.STOPPED),
    "vibespace stopped": (lambda c: (c.seen(RUNNING), c.vibespace.stop()), State.STOPPING),
    "host at rest": (lambda c: (c.seen(RUNNING), c.host.rest()), State.STOPPING),
    "host at rest, seen": (lambda c: (c.host.rest(), c.seen(STOPPED)), State.STOPPED),
    "vibespace going": (lambda c: (c.seen(RUNNING), c.vibespace.request_deletion(False)), State.DELETING),
}


@pytest.mark.parametrize(("before", "expected"), AGENT.values(), ids=AGENT.keys())
def test_the_state_of_an_agent(before: Before, expected: State) -> None:
    """Intent and observation together have one state."""
    case = Case()
    with asked():
        before(case)
    assert states.agent_state(case.agent, case.vibespace, case.host) == expected


URL, PATH = "https://example.org/p.git", "/home/me/p"

VIBESPACE: dict[str, tuple[str, Before, State, str]] = {
    "new": ("", lambda c: None, State.STARTING, "claude-1 is starting"),
    "up": ("", lambda c: c.seen(RUNNING), State.RUNNING, ""),
    "failed": ("", lambda c: c.seen(FAILED, "no image"), State.FAILED, "claude-1: no image"),
    "stopping": ("", lambda c: (c.seen(RUNNING), c.vibespace.stop()), State.STOPPING, ""),
    "stopped": ("", lambda c: (c.vibespace.stop(), c.seen(STOPPED)), State.STOPPED, ""),
    "host at rest": ("", lambda c: (c.host.rest(), c.seen(STOPPED)), State.STOPPED, ""),
    "its agent stopped": ("", lambda c: (c.agent.stop(), c.seen(STOPPED)), State.RUNNING, ""),
    "going": ("", lambda c: c.vibespace.request_deletion(False), State.DELETING, ""),
    "cloning": (URL, lambda c: c.seen(RUNNING), State.STARTING, "cloning its repository"),
    "waiting": (PATH, lambda c: c.seen(RUNNING), State.STARTING, "waiting for its repository to be sent"),
    "cloned": (URL, lambda c: (c.seen(RUNNING), c.vibespace.repository_ready("c")), State.RUNNING, ""),
    "not cloned": (URL, lambda c: (c.seen(RUNNING), c.vibespace.repository_failed("oh")), State.FAILED, "oh"),
    "cloning again": (
        URL,
        lambda c: (c.vibespace.repository_failed("oh"), c.vibespace.start(), c.seen(RUNNING)),
        State.STARTING,
        "cloning its repository",
    ),
}


@pytest.mark.parametrize(("repo", "before", "expected", "reason"), VIBESPACE.values(), ids=VIBESPACE.keys())
def test_the_state_of_a_vibespace(repo: str, before: Before, expected: State, reason: str) -> None:
    """Its agents' states and its repository together have one state, and a reason while it is not up."""
    case = Case(**({"repo": repo} if repo else {}))
    with asked():
        before(case)
    assert states.vibespace_state(case.vibespace, [case.agent], case.host) == (expected, reason)


READY_TO_WORK: Before = lambda c: (c.seen(RUNNING), c.vibespace.repository_ready("c"))  # noqa: E731 (as in the tables)

WORKTREE: dict[str, tuple[Before, State, tuple[State, str]]] = {
    "no repository yet": (
        lambda c: c.seen(RUNNING),
        State.RUNNING,
        (State.STARTING, "cloning its repository"),
    ),
    "no repository": (
        lambda c: (c.seen(RUNNING), c.vibespace.repository_failed("oh")),
        State.RUNNING,
        (State.FAILED, "oh"),
    ),
    "not made yet": (READY_TO_WORK, State.STARTING, (State.STARTING, "claude-1 is starting")),
    "made": (
        lambda c: (READY_TO_WORK(c), c.agent.observe_worktree(READY)),
        State.RUNNING,
        (State.RUNNING, ""),
    ),
    "not made": (
        lambda c: (READY_TO_WORK(c), c.agent.observe_worktree(FAILED, "it is there")),
        State.RUNNING,
        (State.FAILED, "claude-1: it is there"),
    ),
    "to be made again": (
        lambda c: (READY_TO_WORK(c), c.agent.observe_worktree(FAILED, "it is there"), c.agent.start(), c.seen(RUNNING)),
        State.STARTING,
        (State.STARTING, "claude-1 is starting"),
    ),
    "not made, and stopped": (
        lambda c: (
            READY_TO_WORK(c),
            c.agent.observe_worktree(FAILED, "it is there"),
            c.agent.stop(),
            c.seen(STOPPED),
        ),
        State.STOPPED,
        (State.RUNNING, ""),
    ),
}


@pytest.mark.parametrize(("before", "agent", "vibespace"), WORKTREE.values(), ids=WORKTREE.keys())
def test_states_where_there_are_worktrees(before: Before, agent: State, vibespace: tuple[State, str]) -> None:
    """Who has a repository to work on waits for its worktree; without one it runs, and the vibespace has failed."""
    case = Case(repo=URL, worktree=True)
    with asked():
        before(case)
    assert states.agent_state(case.agent, case.vibespace, case.host) == agent
    assert states.vibespace_state(case.vibespace, [case.agent], case.host) == vibespace
    waits = states.agent_reason(case.agent, case.vibespace, case.host)
    assert waits == ("making its worktree" if agent == State.STARTING else "")


@pytest.mark.parametrize("intents", [(a, v, h) for a in (0, 1) for v in (0, 1) for h in (0, 1)])
def test_an_agent_runs_iff_all_three_want_it(intents: tuple[int, int, int]) -> None:
    """Its own, its vibespace's and the host's intent all are start."""
    case = Case()
    stop: list[Callable[[], None]] = [case.agent.stop, case.vibespace.stop, case.host.rest]
    with asked():
        for wanted, say in zip(intents, stop, strict=True):
            if not wanted:
                say()
    assert states.should_run(case.agent, case.vibespace, case.host) == all(intents)


def test_what_goes_does_not_run() -> None:
    """An agent or vibespace on its way out should not run, whatever else was asked."""
    for what in (Agent.request_deletion, lambda _: None):
        case = Case()
        case.agent.primary = False
        with asked():
            what(case.agent)
            if not case.agent.deleting:
                Vibespace.request_deletion(case.vibespace, keep_data=False)
        assert not states.should_run(case.agent, case.vibespace, case.host)
