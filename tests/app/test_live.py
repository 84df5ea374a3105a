"""The live state: the fold of the log, and what it remembers of the past."""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.app.house import (
    House,
    add,
    agent_deleted,
    create,
    delete,
    delete_credential,
    deleted,
    plain,
    set_credential,
    start,
    stop,
)
from tests.app.talking import program_ended, talk
from vibespace.app import agents, host, vibespaces
from vibespace.app.log import Log
from vibespace.app.writer import Command, Outcome, Request, Transaction
from vibespace.domain.agents import Agent
from vibespace.domain.aggregate import Aggregate
from vibespace.domain.messages import ACKNOWLEDGED, QUEUED
from vibespace.errors import Error, FailedPrecondition, Internal, NotFound

NAMES = st.sampled_from(["a", "b", "c"])
AGENTS = st.sampled_from(["claude-1", "claude-2", "codex-1"])


def observed(vibespace: str, name: str, state: str) -> Command:
    return partial(
        agents.observe_agent, vibespace=vibespace, name=name, state=state, generation=1, vibespace_generation=1
    )


def worktree_observed(vibespace: str, name: str, state: str) -> Command:
    return lambda transaction: agents.observe_worktree(
        transaction,
        vibespace=vibespace,
        name=name,
        uid=transaction.state.agent(vibespace, name).id,
        state=state,
        reason="",
        notes=["a note"],
    )


def worktree_removed(name: str, agent: str) -> Command:
    return lambda transaction: vibespaces.worktree_removed(
        transaction, uid=transaction.state.vibespace(name).id, agent=agent, reason=""
    )


@asynccontextmanager
async def somewhere() -> AsyncIterator[House]:
    with tempfile.TemporaryDirectory() as directory:
        house = House(Path(directory) / "events.db")
        await house.open()
        yield house
        await house.close()


def all_deleted(name: str) -> Command:
    """The end of a vibespace and of all its agents before it, as the loop's plans see to it."""

    def command(transaction: Transaction) -> Aggregate:
        for agent in list(transaction.state.agents(transaction.state.vibespace(name).name)):
            agent_deleted(agent.vibespace, agent.name)(transaction)
        return deleted(name)(transaction)

    return command


def set_model(vibespace: str, name: str, model: str | None) -> Command:
    settings = {} if model is None else {"model": model}
    return partial(agents.change_agent, vibespace=vibespace, name=name, settings=settings, fields=["model"])


COMMANDS = st.one_of(
    talk(NAMES, AGENTS),
    st.builds(create, NAMES),
    st.builds(lambda name: create(name, reuse=True), NAMES),
    st.builds(lambda name: create(name, repo="https://example.org/p.git", worktree=True), NAMES),
    st.builds(add, NAMES),
    st.builds(start, NAMES),
    st.builds(stop, NAMES),
    st.builds(lambda name, keep: delete(name, keep_data=keep), NAMES, st.booleans()),
    st.builds(all_deleted, NAMES),
    st.builds(set_model, NAMES, AGENTS, st.sampled_from(["", "opus", None])),
    st.builds(agent_deleted, NAMES, AGENTS),
    st.builds(observed, NAMES, AGENTS, st.sampled_from(["running", "failed"])),
    st.builds(worktree_observed, NAMES, AGENTS, st.sampled_from(["ready", "failed"])),
    st.builds(worktree_removed, NAMES, AGENTS),
    st.builds(lambda name, sealed: set_credential(f"vibespaces/{name}", sealed=sealed), NAMES, st.sampled_from("uv")),
    st.builds(lambda name, agent: set_credential(f"vibespaces/{name}/agents/{agent}"), NAMES, AGENTS),
    st.builds(lambda name: delete_credential(f"vibespaces/{name}"), NAMES),
    st.sampled_from([host.rest, host.wake, set_credential(), delete_credential()]),
)
REQUESTS = st.sampled_from(["", "x", "y", "z"]).map(lambda name: Request("local", name, "d" if name else ""))
BATCHES = st.lists(
    st.tuples(
        st.lists(st.tuples(COMMANDS, REQUESTS), min_size=1, max_size=6), st.sampled_from([0, 1, 3600, 20 * 3600])
    ),
    max_size=10,
)
"""Commands that share a commit, and the seconds that pass before them."""
TALK = st.tuples(talk(st.just("a"), st.just("claude-1")), st.just(Request("local")))
TALKING = st.lists(st.tuples(st.lists(TALK, min_size=1, max_size=8), st.just(1)), max_size=10)
"""The same, of one agent."""


@given(batches=BATCHES)
@settings(max_examples=60, deadline=None)
async def test_readers_hold_what_the_log_folds_to(batches: list[tuple[list[tuple[Command, Request]], int]]) -> None:
    """After any commands in any batches, over any time, with repeats: the readers' state is the fold of the log, order
    included, and the writer's differs at most in what it has already forgotten.
    """
    async with somewhere() as house:
        await same_as_fold(house, batches)


@given(batches=TALKING)
@settings(max_examples=200, deadline=None)
async def test_readers_hold_what_was_said(batches: list[tuple[list[tuple[Command, Request]], int]]) -> None:
    """The same of one agent with much to tell, in lines that may lack anything: of none is made a defect. And when its
    program ends, nobody is left to wait for an end that never comes.
    """
    async with somewhere() as house:
        await house.ask(create("a"))
        await same_as_fold(house, batches)
        with suppress(Error):
            await house.ask(program_ended("a", "claude-1"))
        said = list(house.feed.state.messages.get(house.feed.state.agent("a", "claude-1").uid, {}).values())
        worked_on = [message for message in said if message.state == ACKNOWLEDGED]
        goes_on = [message for message in said if message.state == QUEUED]
        assert all(any(first.was_joined_by(message) for first in goes_on) for message in worked_on)


async def same_as_fold(house: House, batches: list[tuple[list[tuple[Command, Request]], int]]) -> None:
    for commands, seconds in batches:
        house.clock.forward(seconds=seconds)
        for outcome in await house.together(*commands):
            assert isinstance(outcome, Outcome | Error)
            assert not isinstance(outcome, Internal)
    folded = plain(house.log.fold())
    assert plain(house.feed.state) == folded
    written = plain(house.written)
    for remembered in ("requests", "gone", "forgotten"):
        written.pop(remembered)
        folded.pop(remembered)
    assert written == folded


async def test_a_copy_is_another_state(house: House) -> None:
    """copy() says the same, and what then happens to one does not happen to the other."""
    await house.ask(create())
    copy = house.feed.state.copy()
    assert plain(copy) == plain(house.feed.state)
    before = plain(copy)
    await house.ask(add())
    await house.ask(stop())
    await house.ask(delete())
    await house.ask(agent_deleted())
    assert plain(copy) == before


async def test_numbers_are_never_used_again(house: House) -> None:
    """A new agent gets the number after the highest that any agent there ever had, whoever gave it, even after a
    restart; another vibespace and another kind count for themselves.
    """

    async def next_of(vibespace: str = "demo", type: str = "") -> str:
        outcome = await house.ask(add(vibespace, type=type))
        found = house.feed.state.aggregates[outcome.uid]
        assert isinstance(found, Agent)
        return found.name

    await house.ask(create())
    assert await next_of() == "claude-2"
    await house.ask(agent_deleted("demo", "claude-2"))
    assert await next_of() == "claude-3"
    await house.ask(add("demo", "claude-7"))
    await house.reopen()
    assert await next_of() == "claude-8"
    assert await next_of(type="codex") == "codex-1"
    await house.ask(create("other"))
    assert await next_of("other") == "claude-2"


async def test_a_name_is_free_only_when_the_deletion_is_complete(house: House) -> None:
    """Until the last event of its life a vibespace holds its name; then a new one starts its numbers at 1."""
    await house.ask(create())
    await house.ask(delete())
    with pytest.raises(Error, match="already"):
        await house.ask(create())
    with pytest.raises(FailedPrecondition, match="being deleted"):
        await house.ask(add())
    await house.ask(agent_deleted())
    await house.ask(deleted())
    await house.ask(create())
    assert list(house.feed.state.members["demo"]) == ["claude-1"]


async def test_kept_data_waits_under_its_name(house: House) -> None:
    """Data that was kept is taken over with its data_uid, once, and remembered over a restart until then."""
    await house.ask(create())
    data_uid = house.feed.state.vibespace("demo").data_uid
    await house.ask(delete(keep_data=True))
    await house.ask(agent_deleted())
    await house.ask(deleted())
    await house.reopen()
    assert house.feed.state.kept == {"demo": data_uid}
    with pytest.raises(FailedPrecondition) as e:
        await house.ask(create())
    assert e.value.reason == "DATA_KEPT"
    await house.ask(create(reuse=True))
    assert house.feed.state.vibespace("demo").data_uid == data_uid
    assert house.feed.state.kept == {}
    with pytest.raises(FailedPrecondition) as e:
        await house.ask(create("other", reuse=True))
    assert e.value.reason == "NO_KEPT_DATA"


async def test_what_is_gone_is_remembered_for_a_day(house: House) -> None:
    """A deletion is told to who was away for less than 24 hours; then only its place is known."""
    await house.ask(create())
    await house.ask(delete())
    await house.ask(agent_deleted())
    last = (await house.ask(deleted())).position
    house.clock.forward(hours=23, minutes=59)
    await house.ask(create("second"))
    assert [gone.aggregate.subject for gone in house.feed.state.gone.values()] == [
        "vibespaces/demo/agents/claude-1",
        "vibespaces/demo",
    ]
    house.clock.forward(minutes=2)
    await house.ask(create("third"))
    assert (list(house.feed.state.gone), house.feed.state.forgotten) == ([], last)
    await house.reopen()
    assert (list(house.feed.state.gone), house.feed.state.forgotten) == ([], last)


async def test_changes_of_an_agent_are_changes_of_its_vibespace(house: House) -> None:
    """A vibespace's place in the log is that of the newest change of it or of any of its agents."""
    await house.ask(create("one"))
    await house.ask(create("two"))
    position = (await house.ask(observed("one", "claude-1", "running"))).position
    state = house.feed.state
    assert state.positions[state.vibespace("one").id] == position
    changed = [found.subject for found in state.changed_since(position - 1)]
    assert sorted(changed) == ["vibespaces/one", "vibespaces/one/agents/claude-1"]


async def test_what_is_not_there_is_said_by_name(house: House) -> None:
    """A vibespace or agent that does not exist is NotFound with the name, shortened when it is long."""
    await house.ask(create())
    with pytest.raises(NotFound) as e:
        house.feed.state.agent("demo", "nobody")
    assert (e.value.reason, e.value.metadata) == ("AGENT_NOT_FOUND", {"vibespace": "demo", "agent": "nobody"})
    with pytest.raises(NotFound) as e:
        house.feed.state.vibespace("x" * 10_000)
    assert e.value.reason == "VIBESPACE_NOT_FOUND"
    assert len(e.value.message) < 200


async def test_events_are_stored_as_json_under_a_topic(house: House) -> None:
    """A stored event names no Python path, and each of its fields comes back as it went."""
    await house.ask(create("demo", cpu="500m", repo="https://example.org/p.git"), request_id="the-request")
    [created] = house.log.read(1, 1)
    body = json.loads(created.state)
    assert created.topic == "vibespace.created"
    assert body["originator_topic"] == "vibespace"
    assert "python" not in created.state.decode().lower()
    assert "vibespace." not in created.state.decode().replace("vibespace.created", "")
    assert created.data == {
        "name": "demo",
        "data_uid": str(UUID(int=2)),
        "spec": {"cpu": "500m", "repo": "https://example.org/p.git"},
    }
    assert created.time == house.clock.now.isoformat()
    assert (body["actor"], body["request_id"], body["digest"]) == ("local", "the-request", "d")
    event = house.log._mapper.to_domain_event(created.stored)
    assert house.log.encode(event) == created.stored
    assert isinstance(house.log, Log)
