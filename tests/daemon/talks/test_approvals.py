"""Tool calls that wait for a decision, over a whole daemon."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc

from tests.daemon.echoing import DONE, Talk
from tests.daemon.running import Running, error_of, refused
from tests.daemon.talks.steps import allow, asked, deny, kill_program
from vibespace.v1 import approvals_pb2 as p
from vibespace.v1 import conversations_pb2 as c


def results(blocks: list[c.Block]) -> list[tuple[str, bool]]:
    return [(b.tool_result.text, b.tool_result.failed) for b in blocks if b.HasField("tool_result")]


async def test_allowed(talk: Talk, demo: Running, inside: Path) -> None:
    """A tool call waits until it is allowed, with the hash of what was shown; then it is done, once."""
    sent = await talk.say("call echo x >> ~/made; echo done")
    approval = await asked(demo, talk)
    assert (approval.tool, approval.input) == ("Shell", '{"command":"echo x >> ~/made; echo done"}')
    assert not (inside / "made").exists()
    await allow(talk, approval, approval.input_hash)
    assert results((await talk.outcome(sent)).blocks) == [("done\n", False)]
    assert (inside / "made").read_text() == "x\n"
    assert not (await talk.approvals.ListApprovals(p.ListApprovalsRequest())).approvals
    found = [block for block in await talk.transcript() if block.HasField("approval_asked")]
    assert [block.approval_asked.approval for block in found] == [approval.uid]


async def test_denied(talk: Talk, demo: Running) -> None:
    """It is not done, and the agent goes on."""
    sent = await talk.say("call echo no\nsay after")
    await deny(talk, await asked(demo, talk), "not here")
    told = await talk.outcome(sent)
    assert (results(told.blocks), told.said) == ([("denied", True)], ["after"])


async def test_the_first_decision_holds(talk: Talk, demo: Running) -> None:
    """Of two who decide at once one does; the other is told, now and later."""
    sent = await talk.say("call echo yes")
    approval = await asked(demo, talk)
    both = await asyncio.gather(allow(talk, approval), deny(talk, approval), return_exceptions=True)
    (late,) = [error for error in both if isinstance(error, grpc.aio.AioRpcError)]
    assert error_of(late).reason == "APPROVAL_DECIDED"
    allowed = both[1] is late
    assert results((await talk.outcome(sent)).blocks) == [("yes\n", False) if allowed else ("denied", True)]
    assert (await refused(allow(talk, approval))).reason == "APPROVAL_DECIDED"


async def test_another_input_than_was_shown(talk: Talk, demo: Running) -> None:
    """A decision with the hash of something else is refused, and the call waits on."""
    await talk.say("call echo yes")
    approval = await asked(demo, talk)
    assert (await refused(allow(talk, approval, "0" * 64))).reason == "INPUT_CHANGED"
    assert await asked(demo, talk) == approval


async def test_a_call_of_a_program_that_is_gone_expires(talk: Talk, demo: Running, inside: Path) -> None:
    """It was not allowed, and who decides late is told so."""
    sent = await talk.say("child sleep 0\ncall touch ~/never")
    approval = await asked(demo, talk)
    kill_program(inside)
    told = await talk.outcome(sent)
    assert (told.state, told.reason, told.said) == (DONE, "completed", ["gone on"])
    assert (await refused(allow(talk, approval))).reason == "APPROVAL_EXPIRED"
    assert not (inside / "never").exists()
