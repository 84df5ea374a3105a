"""What is done beside talking: what waits for a decision is decided, and the program is killed."""

from __future__ import annotations

import os
from pathlib import Path

from tests.daemon.echoing import Talk
from tests.daemon.running import Running
from vibespace.v1 import approvals_pb2 as p


async def asked(demo: Running, talk: Talk) -> p.Approval:
    """The one tool call that waits; it is waited for."""
    await demo.until(lambda feed: feed.state.approvals)
    listed = await talk.approvals.ListApprovals(p.ListApprovalsRequest())
    (one,) = listed.approvals
    return one


async def allow(talk: Talk, approval: p.Approval, input_hash: str = "") -> None:
    await talk.approvals.AllowApproval(p.AllowApprovalRequest(name=approval.uid, input_hash=input_hash))


async def deny(talk: Talk, approval: p.Approval, reason: str = "") -> None:
    await talk.approvals.DenyApproval(p.DenyApprovalRequest(name=approval.uid, reason=reason))


def programs(inside: Path, word: str) -> list[int]:
    """Processes of that agent with `word` in their command."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            at_home = f"HOME={inside}".encode() in Path("/proc", pid, "environ").read_bytes().split(b"\0")
            if at_home and word.encode() in Path("/proc", pid, "cmdline").read_bytes():
                found.append(int(pid))
        except OSError:
            continue
    return found


def kill_program(inside: Path) -> None:
    (pid,) = programs(inside, "echo_agent.py")
    os.kill(pid, 9)
