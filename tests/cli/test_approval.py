"""`approval` shows all that there is to know, hides nothing, and decides about what it shows."""

from __future__ import annotations

import json
import os
import pty
import termios

import pytest
from vibespace_cli import cells, human, shown

from tests.cli.conftest import Run
from tests.cli.daemon import Daemon
from tests.cli.process import on_terminal, start
from vibespace.v1 import approvals_pb2 as a

LIST, ALLOW, DENY = (f"ApprovalService/{name}" for name in ("ListApprovals", "AllowApproval", "DenyApproval"))
UID = "3f9a1c27-0000-4000-8000-000000000001"


def waiting(command: str) -> a.Approval:
    told = {"uid": UID, "agent": "claude-1@demo", "state": a.APPROVAL_STATE_ASKED, "tool": "Bash", "input_hash": "h"}
    return a.Approval(**told, input=json.dumps({"command": command}), rules=["Bash(ls:*)"])  # type: ignore[arg-type]  # mixed on purpose


def test_nothing_hides_what_waits(vibespace: Run, daemon: Daemon) -> None:
    """All of it is shown, and what would turn the text around, or clear the screen, as a number."""
    hidden = "ls" + " " * 300 + "; rm -rf ~\n\x1b[2J\u202egnp.exe"
    daemon.answers[LIST] = lambda _: a.ListApprovalsResponse(approvals=[waiting(hidden)])
    seen = vibespace("approval", "list", "--plain").out
    assert ("rm -rf ~" in seen, "\x1b" in seen, "\u202e" in seen, seen.count("\n")) == (True, False, False, 1)
    assert seen.count("\t") == 5


@pytest.mark.parametrize("approvals", [[], ["ls"]])
def test_its_columns_have_names(vibespace: Run, daemon: Daemon, approvals: list[str]) -> None:
    """With --header, also where nothing waits."""
    daemon.answers[LIST] = lambda _: a.ListApprovalsResponse(approvals=[waiting(each) for each in approvals])
    head, *rows = vibespace("approval", "list", "--plain", "--header").out.splitlines()
    assert head == "UID\tAGENT\tSTATE\tTOOL\tINPUT\tEXPIRE TIME"
    assert len(rows) == len(approvals)


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ({"command": "/bin/bash -lc 'ls'", "cwd": "/work"}, "/bin/bash -lc 'ls'"),
        ({"command": "ls", "description": "Look"}, "ls"),
        ({"command": "ls", "cwd": "/", "grantRoot": "/"}, '{"command": "ls", "cwd": "/", "grantRoot": "/"}'),
        ({"path": "a"}, '{"path": "a"}'),
    ],
)
def test_of_a_command_its_words_are_shown(given: dict[str, str], seen: str) -> None:
    """Not where it runs, nor what for; but nothing else that it is given is left out."""
    assert shown.brief(json.dumps(given)) == seen


def test_nothing_hides_in_what_its_fields_are_called(daemon: Daemon) -> None:
    """Nor in why it asks."""
    long = waiting("ls")
    long.input, long.reason = json.dumps({"x" * 200 + "\nrm -rf ~": 1}), "y" * 200 + "rm -rf /"
    daemon.answers[LIST] = lambda _: a.ListApprovalsResponse(approvals=[long])
    _, seen = on_terminal("approval", "list")
    seen = "".join(seen.split())
    assert ("x" * 200 + "\\nrm-rf~:1" in seen, "y" * 200 + "rm-rf/" in seen) == (True, True)


@pytest.mark.parametrize("width", [12, 40, 80])
@pytest.mark.parametrize("filler", ["x", "漢", "e\u0301", "\t"])
def test_no_word_is_so_long_that_it_builds_a_line(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, width: int, filler: str
) -> None:
    """Nothing that an agent wrote begins where a line of ours does: it is broken within its indentation."""
    monkeypatch.setenv("COLUMNS", str(width))
    forged = filler * width + "\u00a0".join(["3f9a1c27", "claude-1@demo", "waits:", "Bash"])
    daemon.answers[LIST] = lambda _: a.ListApprovalsResponse(approvals=[waiting(forged)])
    seen = on_terminal("approval", "list", "--no-color")[1]
    assert [line for line in seen.splitlines() if cells.width(line) > width] == []
    assert [line for line in seen.split(":", 1)[1].splitlines()[1:] if not line.startswith("    ")] == []
    assert (r"3f9a1c27\xa0claude-1@demo" in "".join(seen.split()), "\u00a0" in seen) == (True, False)


def test_what_a_decision_is_shown_of_hides_no_spaces(daemon: Daemon) -> None:
    """In the answer's table as in the question: what is not to be seen is shown by its number."""
    given = waiting("ls\u202e\u200b\u3000")
    given.input = "ls\u202e\u200b\u3000"
    daemon.answers[LIST] = lambda _: a.ListApprovalsResponse(approvals=[given])
    daemon.answers[ALLOW] = lambda _: a.AllowApprovalResponse(approval=given)
    code, seen = on_terminal("approval", "allow", UID[:8])
    assert (code, seen.count(r"ls\u202e\u200b\u3000")) == (0, 2)


def test_what_stands_beside_an_answer_fits_its_own_terminal(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the answer goes into a pipe: there is nothing to be measured, and what is decided about is shown."""
    monkeypatch.delenv("COLUMNS")
    daemon.answers[LIST] = lambda _: a.ListApprovalsResponse(approvals=[waiting("x" * 90)])
    daemon.answers[ALLOW] = lambda _: a.AllowApprovalResponse(approval=waiting("ls"))
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 40))
    process = start("approval", "allow", UID[:8], stderr=theirs, stdin=theirs)
    os.close(theirs)
    process.communicate()
    seen = os.read(ours, 4096).decode().splitlines()
    os.close(ours)
    assert max(map(len, seen)) == 40


def test_until_when_it_waits_is_shown(vibespace: Run, daemon: Daemon) -> None:
    """To a person by the clock on the wall, to a program as a time; of what waits as long as it takes, nothing."""
    late = waiting("ls")
    late.expire_time.FromJsonString("2026-01-31T12:00:00Z")
    daemon.answers[LIST] = lambda _: a.ListApprovalsResponse(approvals=[late, waiting("ls")])
    code, seen = on_terminal("approval", "list")
    assert (code, seen.count("unless somebody decides")) == (0, 1)
    assert f"(denied at {human.moment(late.expire_time.seconds)} unless somebody decides)" in seen
    rows = [line.split("\t") for line in vibespace("approval", "list", "--plain").out.splitlines()]
    assert [row[5] for row in rows] == ["2026-01-31T12:00:00Z", ""]
    told = [each["expire_time"] for each in vibespace("approval", "list").json["data"]["approvals"]]
    assert told == ["2026-01-31T12:00:00Z", None]


def test_a_decision_is_about_what_was_shown(vibespace: Run, daemon: Daemon) -> None:
    """It carries the digest; of what does not wait, none was shown."""
    daemon.answers[LIST] = lambda _: a.ListApprovalsResponse(approvals=[waiting("ls")])
    daemon.answers[ALLOW] = lambda _: a.AllowApprovalResponse(approval=waiting("ls"))
    daemon.answers[DENY] = lambda _: a.DenyApprovalResponse(approval=waiting("ls"))
    done = vibespace("approval", "allow", UID[:8], "--always")
    assert done.code == 0
    assert "Bash(ls:*)" in done.err
    assert vibespace("approval", "deny", "0000", "--reason", "no").code == 0
    [allowed], [denied] = daemon.asked(ALLOW), daemon.asked(DENY)
    assert (allowed.name, allowed.input_hash, allowed.always) == (UID[:8], "h", True)
    assert (denied.name, denied.input_hash, denied.reason) == ("0000", "", "no")
