"""Values of --env over the wire: agents get them, and nobody else does."""

from __future__ import annotations

from pathlib import Path

from tests.daemon.running import DEMO, PRIMARY, Running, create, quiet, refused, serving
from vibespace.engine.fake_world import World
from vibespace.v1 import agents_pb2 as a
from vibespace.v1 import events_pb2 as ev
from vibespace.v1 import vibespaces_pb2 as v

VALUE = "correct horse battery staple"


def with_env(*entries: str, request_id: str = "", name: str = "demo") -> v.CreateVibespaceRequest:
    agent = a.AgentSettings(type=a.AGENT_TYPE_CLAUDE_CODE, env=entries)
    return create(name, agent=agent, request_id=request_id)


async def said(daemon: Running, *command: str) -> str:
    """What a command in the primary wrote."""
    call = daemon.agents.Exec(iter([a.ExecRequest(start=a.ExecStart(name=PRIMARY, command=command))]))
    return b"".join([response.stdout async for response in call]).decode()


def sealed(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "vault").glob("*/*"))


def in_clear(home: Path) -> list[Path]:
    return [path for path in home.rglob("*") if path.is_file() and VALUE.encode() in path.read_bytes()]


async def test_only_names_are_told(daemon: Running, home: Path) -> None:
    """Commands have the value; replies and the history have its name, and no file of ours has it in clear."""
    created = await daemon.vibespaces.CreateVibespace(with_env(f"TOKEN={VALUE}", "EMPTY="))
    assert VALUE not in str(created)
    await daemon.until(quiet)
    got = await daemon.agents.GetAgent(a.GetAgentRequest(name=PRIMARY))
    assert list(got.agent.settings.env) == ["TOKEN", "EMPTY"]
    assert await said(daemon, "printenv", "TOKEN", "EMPTY") == f"{VALUE}\n\n"
    followed = daemon.events.StreamEvents(ev.StreamEventsRequest())
    told = [event async for response in followed for event in response.events]
    assert any('"env":["TOKEN","EMPTY"]' in event.data for event in told)
    assert VALUE not in str(told)
    assert sealed(home) == ["EMPTY", "TOKEN"]
    assert in_clear(home) == []


async def test_values_outlive_the_daemon_and_go_with_the_agent(home: Path, world: World) -> None:
    """Another daemon gives the same values; deleting agent or vibespace deletes theirs."""
    async with serving(home, world) as first:
        await first.init()
        await first.vibespaces.CreateVibespace(with_env(f"TOKEN={VALUE}"))
        more = a.AgentSettings(env=["MORE=another value"])
        added = await first.agents.CreateAgent(a.CreateAgentRequest(parent=DEMO, settings=more))
        await first.until(quiet)
    async with serving(home, world) as daemon:
        await daemon.vibespaces.StopVibespace(v.StopVibespaceRequest(name=DEMO))
        await daemon.until(quiet)
        await daemon.vibespaces.StartVibespace(v.StartVibespaceRequest(name=DEMO))
        await daemon.until(quiet)
        assert await said(daemon, "printenv", "TOKEN") == f"{VALUE}\n"
        await daemon.agents.DeleteAgent(a.DeleteAgentRequest(name=added.agent.name))
        await daemon.until(lambda feed: len(list(feed.state.agents())) == 1)
        assert sealed(home) == ["TOKEN"]
        await daemon.vibespaces.DeleteVibespace(v.DeleteVibespaceRequest(name=DEMO))
        await daemon.until(lambda feed: not feed.state.vibespaces)
        assert sealed(home) == []


async def test_a_repeat_seals_nothing_more(daemon: Running, home: Path) -> None:
    """The same request again is answered as before; with another value it is another request."""
    first = await daemon.vibespaces.CreateVibespace(with_env(f"TOKEN={VALUE}", request_id="r1"))
    again = await daemon.vibespaces.CreateVibespace(with_env(f"TOKEN={VALUE}", request_id="r1"))
    assert again.vibespace.uid == first.vibespace.uid
    other = daemon.vibespaces.CreateVibespace(with_env("TOKEN=another", request_id="r1"))
    assert (await refused(other)).reason == "REQUEST_ID_REUSED"
    assert sealed(home) == ["TOKEN"]


async def test_what_is_refused_leaves_nothing(daemon: Running, home: Path) -> None:
    """Neither a vibespace whose name is taken nor a variable without a value gets into the vault."""
    await daemon.vibespaces.CreateVibespace(with_env())
    taken = await refused(daemon.vibespaces.CreateVibespace(with_env(f"TOKEN={VALUE}")))
    assert taken.reason == "VIBESPACE_EXISTS"
    wrong = await refused(daemon.vibespaces.CreateVibespace(with_env("TOKEN", name="other")))
    assert (wrong.reason, wrong.field) == ("ENV_INVALID", "agent.env")
    assert sealed(home) == []


async def test_a_lost_key_is_told_and_nothing_runs_without(home: Path, world: World) -> None:
    """When the vault cannot be opened any more, the agent fails and says which value, and can still be deleted."""
    async with serving(home, world) as first:
        await first.init()
        await first.vibespaces.CreateVibespace(with_env(f"TOKEN={VALUE}"))
        await first.until(quiet)
    (home / "vault/master").unlink()
    async with serving(home, world) as daemon:
        await daemon.until(lambda feed: "TOKEN" in feed.state.primary("demo").reason)
        await daemon.vibespaces.DeleteVibespace(v.DeleteVibespaceRequest(name=DEMO))
        await daemon.until(lambda feed: not feed.state.vibespaces)


async def test_values_are_masked_before_they_are_recorded(daemon: Running) -> None:
    """What a failing command says of a value does not get into the history."""
    await daemon.vibespaces.CreateVibespace(with_env(f"TOKEN={VALUE}"))
    await daemon.until(quiet)
    spec = v.VibespaceSpec(repo=f"https://127.0.0.1:1/{VALUE.replace(' ', '-')}")
    shown = VALUE.replace(" ", "-")
    agent = a.AgentSettings(type=a.AGENT_TYPE_CODEX, env=[f"URL_PART={shown}"])
    await daemon.vibespaces.CreateVibespace(create("other", spec=spec, agent=agent))
    await daemon.until(lambda feed: feed.state.vibespace("other").repository_reason)
    reason = daemon.feed.state.vibespace("other").repository_reason
    assert shown not in reason
    assert "[redacted]" in reason
