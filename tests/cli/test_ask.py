"""A question before something goes, or is allowed."""

from __future__ import annotations

from tests.cli.daemon import Daemon
from tests.cli.daemon import vibespace as made
from tests.cli.process import on_terminal
from vibespace.v1 import approvals_pb2, vibespaces_pb2


def test_a_refusal_begins_a_line(daemon: Daemon) -> None:
    """Also when nothing was typed but Ctrl-D; what was not confirmed is not done."""
    method = "VibespaceService/DeleteVibespace"
    daemon.answers[method] = lambda _: vibespaces_pb2.DeleteVibespaceResponse(vibespace=made("demo"))
    code, seen = on_terminal("delete", "demo", "--no-color", typed=b"\x04")
    assert (code, seen.splitlines()[-1]) == (14, "vibespace: Nothing was deleted.")
    assert [request.validate_only for request in daemon.asked(method)] == [True]


def test_what_was_asked_is_what_is_not_done(daemon: Daemon) -> None:
    """Who does not allow a call after all is told just that."""
    waiting = approvals_pb2.Approval(uid="3f9a1c27", agent="claude-1@demo", tool="Bash", rules=["Bash(ls:*)"])
    daemon.answers["ApprovalService/ListApprovals"] = lambda _: approvals_pb2.ListApprovalsResponse(approvals=[waiting])
    code, seen = on_terminal("approval", "allow", "3f9a", "--always", "--no-color", typed=b"n\n")
    assert (code, seen.partition("[y/N] ")[2]) == (14, "vibespace: Nothing was allowed.\n")
    assert daemon.asked("ApprovalService/AllowApproval") == []
