"""Worktrees on the fake engine: who gets one, what becomes of it, and that nobody waits for another's."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

from tests.app.house import add, create, start
from tests.daemon.running import quiet
from tests.reconcile.site import Outside, Site, in_state, site
from tests.reconcile.virtual import in_virtual_time
from vibespace.app import agents
from vibespace.app.writer import Command
from vibespace.domain import states
from vibespace.errors import FailedPrecondition, Unavailable

CREATE = create(repo="https://example.org/project.git", worktree=True)


def leave(name: str, *, force: bool = False) -> Command:
    return partial(agents.delete_agent, vibespace="demo", name=name, force=force)


def recorded(made: Site, *topics: str) -> list[dict[str, Any]]:
    """What such events say."""
    return [found.data for found in made.house.log.read(0) if found.topic in topics]


@in_virtual_time
async def test_each_agent_gets_one(tmp_path: Path) -> None:
    """From inside itself, once, when the repository is there; what is not in it is recorded."""
    async with site(tmp_path) as made, made.reconciling():
        await made.house.ask(CREATE)
        await made.house.ask(add(name="helper"))
        await made.until(quiet)
        assert made.state() == (states.State.RUNNING, "")
        wanted = [("make", made.agent(name).uid, name) for name in ("claude-1", "helper")]
        assert sorted(made.outside.worktrees) == sorted(wanted)
        notes = [told["notes"] for told in recorded(made, "agent.worktree_observed")]
        assert sorted(notes) == [[], ["something is missing"]]
        await made.house.ask(add())
        await made.until(quiet)
        await asyncio.sleep(600)
        assert made.outside.worktrees[2:] == [("make", made.agent("claude-2").uid, "claude-2")]


@in_virtual_time
async def test_one_that_fails_is_tried_again_when_asked(tmp_path: Path) -> None:
    """It is why the vibespace failed, with its reason; `start` tries it again, and the others' are left alone."""
    async with site(tmp_path) as made, made.reconciling():
        made.outside.unmade["claude-2"] = FailedPrecondition("WORKTREE_FAILED", "it is checked out", hint="Start it.")
        await made.house.ask(CREATE)
        await made.house.ask(add())
        await made.until(in_state(states.State.FAILED, made))
        assert made.state()[1] == "claude-2: it is checked out. Start it."
        await asyncio.sleep(600)
        assert len(made.outside.worktrees) == 2
        made.outside.unmade.clear()
        await made.house.ask(start())
        await made.until(in_state(states.State.RUNNING, made))
        assert [name for _, _, name in made.outside.worktrees[2:]] == ["claude-2"]


@in_virtual_time
async def test_a_connection_that_breaks_is_no_failure(tmp_path: Path) -> None:
    """It is tried again until it answers; the others have theirs meanwhile."""
    async with site(tmp_path) as made, made.reconciling():
        made.outside.unmade["claude-2"] = Unavailable("AGENT_UNREACHABLE", "The connection broke.")
        await made.house.ask(CREATE)
        await made.house.ask(add())
        await asyncio.sleep(60)
        assert len(made.outside.worktrees) > 5
        assert made.agent("claude-1").worktree == "ready"
        assert made.state() == (states.State.STARTING, "claude-2 is starting")
        made.outside.unmade.clear()
        await made.until(quiet)
        assert [told["state"] for told in recorded(made, "agent.worktree_observed")] == ["ready", "ready"]


@in_virtual_time
async def test_one_that_hangs_keeps_no_agent_from_its_end(tmp_path: Path, monkeypatch: Any) -> None:
    """Its agent can be stopped at any time; and in the end it is given up, so that others get theirs."""

    async def hang(outside: Outside, agent_uid: str, name: str) -> list[str]:
        if name == "claude-1":
            await asyncio.Event().wait()
        return []

    monkeypatch.setattr(Outside, "make", hang)
    async with site(tmp_path) as made, made.reconciling():
        await made.house.ask(CREATE)
        await made.until(lambda _: made.agent().observed == "running" and made.feed.state.vibespace("demo").commit)
        await made.house.ask(add())
        await made.until(lambda _: made.agent("claude-2").observed == "running")
        await made.house.ask(partial(agents.stop_agent, vibespace="demo", name="claude-2"))
        await made.until(lambda _: made.agent("claude-2").observed == "stopped")
        await made.house.ask(partial(agents.start_agent, vibespace="demo", name="claude-2"))
        await made.until(lambda _: made.agent("claude-2").worktree == "ready")
        assert made.agent().worktree_reason == "Git was not done after 900 seconds."


@in_virtual_time
async def test_one_goes_with_its_agent(tmp_path: Path) -> None:
    """From inside another, after its container; an agent of the same name gets its own only then."""
    async with site(tmp_path) as made, made.reconciling():
        await made.house.ask(CREATE)
        await made.house.ask(add())
        await made.until(quiet)
        primary = made.agent().uid
        await made.house.ask(leave("claude-2"))
        await made.house.ask(add(name="helper"))
        await made.until(lambda feed: quiet(feed) and len(made.things("container")) == 2)
        assert ("remove", primary, "claude-2", "") in made.outside.worktrees
        del made.outside.worktrees[:]
        await made.house.ask(leave("helper", force=True))
        await made.until(lambda _: "helper" not in made.feed.state.members["demo"])
        await made.house.ask(add(name="helper"))
        await made.until(quiet)
        assert [(verb, name, *more) for verb, _, name, *more in made.outside.worktrees] == [
            ("remove", "helper", "force"),
            ("make", "helper"),
        ]
        assert recorded(made, "vibespace.worktree_removed")[-1] == {"agent": "helper", "reason": ""}


@in_virtual_time
async def test_one_is_removed_when_somebody_runs_again(tmp_path: Path) -> None:
    """With nobody who could do it the agent goes all the same; what it left goes when one comes up, after a restart."""
    async with site(tmp_path) as made:
        async with made.reconciling():
            await made.house.ask(CREATE)
            await made.house.ask(add())
            await made.until(quiet)
            for name in ("claude-1", "claude-2"):
                await made.house.ask(partial(agents.stop_agent, vibespace="demo", name=name))
            await made.until(quiet)
            await made.house.ask(leave("claude-2", force=True))
            await made.until(lambda _: list(made.feed.state.members["demo"]) == ["claude-1"])
            assert made.feed.state.vibespace("demo").left == {"claude-2": True}
        await made.house.reopen()
        async with made.reconciling():
            await made.house.ask(partial(agents.start_agent, vibespace="demo", name="claude-1"))
            await made.until(quiet)
        assert made.feed.state.vibespace("demo").left == {}
        assert ("remove", made.agent().uid, "claude-2", "force") in made.outside.worktrees


@in_virtual_time
async def test_one_that_cannot_be_removed_stays_and_why(tmp_path: Path) -> None:
    """That is recorded, and is not tried for ever."""
    async with site(tmp_path) as made, made.reconciling():
        await made.house.ask(CREATE)
        await made.house.ask(add())
        await made.until(quiet)
        made.outside.unmade["claude-2"] = FailedPrecondition("WORKTREE_FAILED", "Permission denied")
        await made.house.ask(leave("claude-2"))
        await made.until(lambda feed: quiet(feed) and not made.feed.state.members["demo"].get("claude-2"))
        await asyncio.sleep(600)
        assert recorded(made, "vibespace.worktree_removed") == [{"agent": "claude-2", "reason": "Permission denied"}]
        assert sum(verb == "remove" for verb, *_ in made.outside.worktrees) == 1
