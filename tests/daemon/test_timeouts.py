"""Time-outs of approvals over a whole daemon, by a clock that the tests move."""

from __future__ import annotations

from datetime import UTC, timedelta
from pathlib import Path

import pytest

from tests.app.house import Clock
from tests.daemon.echoing import DONE, Talk, echoing, prepare
from tests.daemon.running import PRIMARY, Running, quiet, refused, whole
from vibespace.daemon import __main__ as composition
from vibespace.engine.fake_world import World
from vibespace.v1 import agents_pb2 as a
from vibespace.v1 import approvals_pb2 as p
from vibespace.v1 import conversations_pb2 as c
from vibespace.v1 import events_pb2 as ev

ASKS = "call echo no\nsay after"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The daemon's."""
    stands = Clock()
    monkeypatch.setattr(composition, "_now", stands)
    return stands


async def set_timeout(daemon: Running, timeout: str) -> a.UpdateAgentResponse:
    request = a.UpdateAgentRequest(agent=a.Agent(name=PRIMARY, settings=a.AgentSettings(approval_timeout=timeout)))
    request.update_mask.paths.append("settings.approval_timeout")
    answer: a.UpdateAgentResponse = await daemon.agents.UpdateAgent(request)
    return answer


async def asked(daemon: Running, talk: Talk) -> p.Approval:
    """The one tool call that waits; it is waited for."""
    await daemon.until(lambda feed: feed.state.approvals)
    [one] = (await talk.approvals.ListApprovals(p.ListApprovalsRequest())).approvals
    return one


async def deciders(daemon: Running) -> list[str]:
    """Who has decided."""
    request = ev.StreamEventsRequest(type="approval.decided")
    return [event.actor for page in await whole(daemon.events.StreamEvents(request)) for event in page.events]


async def test_what_nobody_decides_in_its_time(home: Path, world: World, clock: Clock) -> None:
    """It is shown until when it waits, nobody can allow it after that, and the program is told as by a person. The
    setting is in force at once, and no program is told it, or started anew for it.
    """
    async with echoing(home, world) as daemon:
        await prepare(daemon)
        talk = Talk(daemon.channel)
        await talk.ask("say hello")
        [standing] = (await set_timeout(daemon, "10m")).settings
        assert (standing.value, standing.in_force) == ("10m", a.IN_FORCE_YES)
        sent = await talk.say(ASKS)
        approval = await asked(daemon, talk)
        assert approval.expire_time.ToDatetime(UTC) == clock() + timedelta(minutes=10)
        clock.forward(minutes=10)
        allow = talk.approvals.AllowApproval(p.AllowApprovalRequest(name=approval.uid))
        assert (await refused(allow)).reason == "APPROVAL_TIMED_OUT"
        await talk.say("say next")  # whatever happens has the clock looked at
        told = await talk.outcome(sent)
        assert (told.state, told.said) == (DONE, ["after"])
        assert [(b.tool_result.text, b.tool_result.failed) for b in told.blocks if b.HasField("tool_result")] == [
            ("denied", True)
        ]
        assert await deciders(daemon) == ["daemon"]
        kinds = [block.WhichOneof("block") for block in await talk.transcript()]
        assert (kinds.count("program_started"), kinds.count("replied")) == (1, 0)


async def test_what_ran_out_between_two_daemons(home: Path, world: World, clock: Clock) -> None:
    """The next one denies it, and tells the program."""
    async with echoing(home, world) as daemon:
        await prepare(daemon)
        await set_timeout(daemon, "10m")
        talk = Talk(daemon.channel)
        sent = await talk.say(ASKS)
        await asked(daemon, talk)
    clock.forward(hours=1)
    async with echoing(home, world) as daemon:
        told = await Talk(daemon.channel).outcome(sent)
        assert (told.state, told.said) == (DONE, ["after"])
        assert await deciders(daemon) == ["daemon"]


async def test_what_still_has_time_after_a_restart(home: Path, world: World, clock: Clock) -> None:
    """It waits on, until when it did before, and may be allowed."""
    async with echoing(home, world) as daemon:
        await prepare(daemon)
        await set_timeout(daemon, "10m")
        sent = await Talk(daemon.channel).say(ASKS)
        before = await asked(daemon, Talk(daemon.channel))
    clock.forward(minutes=9)
    async with echoing(home, world) as daemon:
        talk = Talk(daemon.channel)
        await daemon.until(quiet)
        assert (await asked(daemon, talk)).expire_time == before.expire_time
        await talk.approvals.AllowApproval(p.AllowApprovalRequest(name=before.uid))
        assert (await talk.outcome(sent)).state == c.MESSAGE_STATE_DONE
        assert await deciders(daemon) == ["local"]


async def test_what_is_no_time_is_refused(home: Path, world: World) -> None:
    """By name, before anything is recorded."""
    async with echoing(home, world) as daemon:
        await prepare(daemon)
        before = daemon.feed.state.position
        error = await refused(set_timeout(daemon, "soon"))
        assert (error.reason, error.field) == ("TIMEOUT_INVALID", "agent.settings.approval_timeout")
        assert daemon.feed.state.position == before
