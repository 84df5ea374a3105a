"""Agents' settings over the wire: given, changed, shown, and refused before anything is recorded."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.running import CLAUDE, DEMO, PRIMARY, Running, create, quiet, refused, serving, whole
from tests.domain.things import asked, new_agent
from vibespace.app.settings import CHANGEABLE
from vibespace.daemon import __main__ as composition
from vibespace.daemon.settings import standing
from vibespace.engine.fake_world import World
from vibespace.harness.base import Settings
from vibespace.v1 import agents_pb2 as a
from vibespace.v1 import events_pb2 as ev
from vibespace.v1 import vibespaces_pb2 as v

GIVEN: dict[str, Any] = {
    "model": "opus",
    "max_turns": 3,
    "system_prompt": "Be brief.",
    "allowed_tools": ["Read", "Bash(git a,b:*)"],
    "disallowed_tools": ["WebFetch"],
    "skip_permissions": True,
    "effort": "low",
    "approval_timeout": "10m",
}


def update(name: str, *fields: str, **settings: Any) -> a.UpdateAgentRequest:
    request = a.UpdateAgentRequest(agent=a.Agent(name=name, settings=a.AgentSettings(**settings)))
    request.update_mask.paths.extend(f"settings.{field}" for field in fields or settings)
    return request


async def shown(daemon: Running, name: str = PRIMARY) -> a.AgentSettings:
    return (await daemon.agents.GetAgent(a.GetAgentRequest(name=name))).agent.settings


async def told(daemon: Running, type: str) -> list[dict[str, Any]]:
    """What events of this type hold."""
    pages = await whole(daemon.events.StreamEvents(ev.StreamEventsRequest(type=type)))
    return [json.loads(event.data) for page in pages for event in page.events]


def test_one_list_of_settings() -> None:
    """What a program knows, what requests may set and what is shown are the same names."""
    made = {"type", "env", "share_credentials"}  # decided when it is made
    fields = [field.name for field in a.AgentSettings.DESCRIPTOR.fields if field.name not in made]
    assert set(fields) == set(CHANGEABLE) == set(GIVEN)
    assert [setting.setting for setting in standing(new_agent(), Works(None))] == fields


async def test_given_at_create(daemon: Running, home: Path, world: World) -> None:
    """The primary's and another agent's are shown as they were given, also by the next daemon, and recorded as they are
    set: one that is empty, or 0, is none.
    """
    settings = a.AgentSettings(type=a.AGENT_TYPE_CLAUDE_CODE, **GIVEN)
    await daemon.vibespaces.CreateVibespace(create(agent=settings))
    added = a.AgentSettings(model="", skip_permissions=False, max_turns=0)
    await daemon.agents.CreateAgent(a.CreateAgentRequest(parent=DEMO, settings=added))
    await daemon.until(quiet)
    assert await shown(daemon) == settings
    first, second = await told(daemon, "agent.created")
    assert first["settings"] == GIVEN
    assert second["settings"] == {"skip_permissions": False}
    daemon.daemon._stop.set()
    await daemon.task
    async with serving(home, world) as another:
        assert await shown(another) == settings


async def test_changed(demo: Running, world: World) -> None:
    """Only what was named changes, the container runs on, and the agent is running all the while."""
    before = dict(world.things)
    observed = await told(demo, "agent.observed")
    first = await demo.agents.UpdateAgent(update(PRIMARY, model="opus", allowed_tools=["Read"]))
    assert first.agent.settings == a.AgentSettings(type=a.AGENT_TYPE_CLAUDE_CODE, model="opus", allowed_tools=["Read"])
    assert (first.agent.generation, first.agent.status.observed_generation) == (2, 2)
    assert first.agent.status.state == a.AGENT_STATE_RUNNING
    assert first.cursor.position == first.agent.position
    assert [setting.setting for setting in first.settings] == ["model", "allowed_tools"]
    again = await demo.agents.UpdateAgent(update(PRIMARY, model="opus"))
    assert again.agent.generation == 2
    request = update(PRIMARY, "model", "allowed_tools", "effort", effort="high", max_turns=9)
    second = await demo.agents.UpdateAgent(request)
    assert second.agent.settings == a.AgentSettings(type=a.AGENT_TYPE_CLAUDE_CODE, effort="high")
    assert await told(demo, "agent.settings_changed") == [
        {"settings": {"model": "opus", "allowed_tools": ["Read"]}, "unset": []},
        {"settings": {"effort": "high"}, "unset": ["model", "allowed_tools"]},
    ]
    await demo.until(quiet)
    assert world.things == before
    assert await told(demo, "agent.observed") == observed


async def test_an_agent_at_rest_can_be_set(demo: Running) -> None:
    """It stays at rest."""
    await demo.vibespaces.StopVibespace(v.StopVibespaceRequest(name=DEMO))
    await demo.until(quiet)
    changed = await demo.agents.UpdateAgent(update(PRIMARY, model="opus"))
    assert (changed.agent.settings.model, changed.agent.status.state) == ("opus", a.AGENT_STATE_STOPPED)


async def test_a_repeat_changes_nothing_more(demo: Running) -> None:
    """The same request_id again is answered as the first was; with another value it is another request."""
    request = update(PRIMARY, model="opus")
    request.request_id = "once"
    first = await demo.agents.UpdateAgent(request)
    await demo.agents.UpdateAgent(update(PRIMARY, model="haiku"))
    again = await demo.agents.UpdateAgent(request)
    assert (again.cursor, again.agent.settings.model) == (first.cursor, "haiku")
    request.agent.settings.model = "sonnet"
    assert (await refused(demo.agents.UpdateAgent(request))).reason == "REQUEST_ID_REUSED"


async def test_no_digest_tells_values_of_an_environment(demo: Running) -> None:
    """They are not taken here; who sends them all the same leaves nothing in the log that they could be guessed by."""
    request = update(PRIMARY, "model", model="opus", env=["TOKEN=hunter2"])
    request.request_id = "once"
    raw = sha256(b"UpdateAgentRequest\n" + request.SerializeToString(deterministic=True)).hexdigest()
    changed = await demo.agents.UpdateAgent(request)
    assert list(changed.agent.settings.env) == []
    assert not raw.startswith(demo.feed.state.requests["once"].digest)


async def test_what_a_program_cannot_do_is_refused_by_name(demo: Running) -> None:
    """At create, at agent create and in a change, before anything is recorded."""
    codex = a.AgentSettings(type=a.AGENT_TYPE_CODEX, allowed_tools=["Read"])
    helper = a.AgentSettings(type=a.AGENT_TYPE_CODEX, model="gpt-5", system_prompt="Be brief.")
    added = await demo.agents.CreateAgent(a.CreateAgentRequest(parent=DEMO, settings=helper))
    await demo.until(quiet)
    before = demo.feed.state.position
    calls: list[tuple[Any, str, str]] = [
        (demo.vibespaces.CreateVibespace(create("new", agent=codex)), "TOOL_RULE_UNSUPPORTED", "agent.allowed_tools"),
        (
            demo.agents.CreateAgent(a.CreateAgentRequest(parent=DEMO, settings=codex)),
            "TOOL_RULE_UNSUPPORTED",
            "settings.allowed_tools",
        ),
        (
            demo.agents.UpdateAgent(update(added.agent.name, allowed_tools=["Read"])),
            "TOOL_RULE_UNSUPPORTED",
            "agent.settings.allowed_tools",
        ),
        (
            demo.agents.UpdateAgent(update(added.agent.name, "model")),
            "PROMPT_NEEDS_MODEL",
            "agent.settings.system_prompt",
        ),
    ]
    for call, reason, field in calls:
        error = await refused(call)
        assert (error.reason, error.field) == (reason, field)
    assert demo.feed.state.position == before
    assert (await demo.agents.UpdateAgent(update(added.agent.name, max_turns=3))).agent.settings.max_turns == 3


class Works:
    """A program that works by these settings; by None, none runs."""

    def __init__(self, by: Settings | None) -> None:
        self.by = by
        self.asked: list[str] = []

    def settings(self, agent_uid: str) -> Settings | None:
        self.asked.append(agent_uid)
        return self.by


def test_how_each_setting_stands() -> None:
    """Its value for a person, who decides it, and whether the program that runs works by it."""
    agent = new_agent()
    agent.settings = {"max_turns": 3, "allowed_tools": ["Read", "Edit"], "skip_permissions": False}
    runs = Settings(model="opus", max_turns=3, allowed_tools=("Read",))
    assert [(s.setting, s.value, s.source, s.in_force) for s in standing(agent, Works(runs))] == [
        ("model", "", a.SETTING_SOURCE_PROGRAM, a.IN_FORCE_AT_THE_NEXT_IDLE),
        ("max_turns", "3", a.SETTING_SOURCE_SET, a.IN_FORCE_YES),
        ("system_prompt", "", a.SETTING_SOURCE_PROGRAM, a.IN_FORCE_YES),
        ("allowed_tools", "Read, Edit", a.SETTING_SOURCE_SET, a.IN_FORCE_AT_THE_NEXT_IDLE),
        ("disallowed_tools", "", a.SETTING_SOURCE_PROGRAM, a.IN_FORCE_YES),
        ("skip_permissions", "no", a.SETTING_SOURCE_SET, a.IN_FORCE_YES),
        ("effort", "", a.SETTING_SOURCE_PROGRAM, a.IN_FORCE_YES),
        ("approval_timeout", "", a.SETTING_SOURCE_DAEMON, a.IN_FORCE_YES),
    ]
    *programs, ours = standing(agent, Works(None))
    assert {s.in_force for s in programs} == {a.IN_FORCE_AT_THE_NEXT_START}
    assert ours.in_force == a.IN_FORCE_YES


@pytest.mark.parametrize(
    ("stored", "value", "source"),
    [("10m", "10m", a.SETTING_SOURCE_SET), ("0", "", a.SETTING_SOURCE_DAEMON), ("", "", a.SETTING_SOURCE_DAEMON)],
)
def test_what_the_daemon_works_by_is_in_force_at_once(stored: str, value: str, source: int) -> None:
    """Whatever the program works by, or if none runs."""
    agent = new_agent()
    with asked():
        agent.change_settings({"approval_timeout": stored})
    for works in (Works(None), Works(Settings(model="another"))):
        [ours] = standing(agent, works, ["approval_timeout"])
        assert (ours.value, ours.source, ours.in_force) == (value, source, a.IN_FORCE_YES)


async def test_what_is_in_force_is_asked_of_who_runs_programs(
    home: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the agent's uid; without one that runs, all is for the next start."""
    works = Works(None)
    monkeypatch.setattr(composition, "Programs", lambda _feed: works)
    async with serving(home, world) as daemon:
        await daemon.init()
        made = await daemon.vibespaces.CreateVibespace(create(agent=CLAUDE))
        request = a.GetAgentSettingsRequest(name=PRIMARY)
        got = await daemon.agents.GetAgentSettings(request)
        assert {s.in_force for s in got.settings[:-1]} == {a.IN_FORCE_AT_THE_NEXT_START}
        works.by = Settings()
        got = await daemon.agents.GetAgentSettings(request)
        assert {s.in_force for s in got.settings} == {a.IN_FORCE_YES}
        changed = await daemon.agents.UpdateAgent(update(PRIMARY, effort="high"))
        assert [s.in_force for s in changed.settings] == [a.IN_FORCE_AT_THE_NEXT_IDLE]
        assert set(works.asked) == {changed.agent.uid}
        assert made.vibespace.name == DEMO
