"""`credential`: a value that is never an argument nor shown, and a thing that is named by what it is for."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from vibespace_cli.handmade import credential as commands

from tests.cli.conftest import Run
from tests.cli.daemon import Daemon
from tests.cli.process import on_terminal, start
from vibespace import errors
from vibespace.v1 import credentials_pb2 as c
from vibespace.v1.agents_pb2 import AGENT_TYPE_CODEX, VIEW_FULL

SET, LIST, DELETE = (f"CredentialService/{verb}" for verb in ("SetCredential", "ListCredentials", "DeleteCredential"))
VALUE = "sk-ant-api03-a-secret"


def credential(name: str, type: Any = c.CREDENTIAL_TYPE_ANTHROPIC, **more: Any) -> c.Credential:
    settings = {name: more.pop(name) for name in ("host", "variable") if name in more}
    more.setdefault("scope", c.CREDENTIAL_SCOPE_HOST)
    return c.Credential(name=name, uid="u", settings=c.CredentialSettings(type=type, **settings), **more)


def piped(*arguments: str, value: bytes = f"{VALUE}\n".encode()) -> subprocess.CompletedProcess[bytes]:
    """One command line with a value on its standard input."""
    process = start(*arguments, stdin=subprocess.PIPE)
    out, err = process.communicate(value)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


@pytest.fixture(autouse=True)
def answers(daemon: Daemon) -> None:
    """It has one for all, one of a vibespace, one of an agent."""
    demo = {"scope": c.CREDENTIAL_SCOPE_VIBESPACE, "vibespace_id": "demo"}
    mine = {"scope": c.CREDENTIAL_SCOPE_AGENT, "vibespace_id": "demo", "agent_id": "claude-1"}
    held = [
        credential("credentials/1", used_by=["claude-1@demo"]),
        credential("vibespaces/demo/credentials/2", c.CREDENTIAL_TYPE_GIT, host="example.org", **demo),
        credential(
            "vibespaces/demo/agents/claude-1/credentials/3", c.CREDENTIAL_TYPE_ENVIRONMENT, variable="T", **mine
        ),
    ]
    by_name = {each.name: each for each in held}

    def set_(asked: Any) -> Any:
        if not asked.value:
            raise errors.InvalidArgument("VALUE_MISSING", "The value is empty.", field="value")
        return c.SetCredentialResponse(credential=held[0])

    daemon.answers[SET] = set_
    daemon.answers[LIST] = lambda _: c.ListCredentialsResponse(credentials=held)
    daemon.answers[DELETE] = lambda asked: c.DeleteCredentialResponse(credential=by_name[asked.name])


@pytest.mark.parametrize("value", [f"{VALUE}\n", VALUE, f"{VALUE}\r\n"])
def test_a_value_is_read_from_the_input(daemon: Daemon, value: str) -> None:
    """All of it but the line break at its end, and it is not told again."""
    done = piped("credential", "set", "anthropic", "-v", value=value.encode())
    assert done.returncode == 0
    assert VALUE.encode() not in done.stdout + done.stderr
    [asked] = daemon.asked(SET)
    assert (asked.parent, asked.value, asked.credential.type) == ("", VALUE, c.CREDENTIAL_TYPE_ANTHROPIC)
    assert asked.request_id


def test_a_terminal_does_not_show_it(daemon: Daemon) -> None:
    """It is asked for, and what is typed is not seen; who uses it is said."""
    ours, theirs = pty.openpty()
    process = start(
        "credential", "set", "anthropic", stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    seen = b""
    while b"not shown): " not in seen:
        seen += os.read(ours, 4096)
    os.write(ours, f"{VALUE}\n".encode())
    try:
        while piece := os.read(ours, 4096):
            seen += piece
    except OSError:
        os.close(ours)
    assert (process.wait(), daemon.asked(SET)[-1].value) == (0, VALUE)
    assert VALUE.encode() not in seen
    assert b"anthropic of every vibespace is set; claude-1@demo uses it." in seen


@pytest.mark.parametrize(
    ("given", "parent"),
    [
        ((), ""),
        (("--vibespace", "demo"), "vibespaces/demo"),
        (("--agent", "claude-1@demo"), "vibespaces/demo/agents/claude-1"),
        (("--agent", "claude-1", "--vibespace", "demo"), "vibespaces/demo/agents/claude-1"),
    ],
)
def test_whom_it_is_for(daemon: Daemon, monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...], parent: str) -> None:
    """Every vibespace, unless the command itself says otherwise: VIBESPACE_NAME does not narrow it in silence."""
    monkeypatch.setenv("VIBESPACE_NAME", "other")
    assert piped("credential", "set", "openai", *given).returncode == 0
    assert daemon.asked(SET)[0].parent == parent


@pytest.mark.parametrize("said", ["2027-01-31T12:00:00+00:00", "90d"])
def test_when_it_expires(daemon: Daemon, said: str) -> None:
    """A time, or in how long."""
    before = datetime.now(UTC)
    assert piped("credential", "set", "openai", "--expires", said).returncode == 0
    told = daemon.asked(SET)[0].credential.expire_time.ToDatetime(UTC)
    if said == "90d":
        assert timedelta(0) <= told - before - timedelta(days=90) < timedelta(minutes=5)
    else:
        assert told.isoformat() == said


@pytest.mark.parametrize(
    ("given", "value", "reason"),
    [
        (("anthropic", "--expires", "soon"), b"x", b"TIME_INVALID"),
        (("anthropic",), b"\xff", b"NOT_TEXT"),
        (("anthropic",), b"x" * 200_000, b"VALUE_INVALID"),
        (("anthropic", VALUE), b"x", b"USAGE"),
        (("keys",), b"x", b"USAGE"),
        (("login",), b"x", b"USAGE"),
    ],
)
def test_what_is_refused_is_not_sent(daemon: Daemon, given: tuple[str, ...], value: bytes, reason: bytes) -> None:
    """A value as an argument too, before anybody has it but the caller."""
    done = piped("credential", "set", *given, value=value)
    assert done.returncode == 2
    assert reason in done.stdout
    assert daemon.asked(SET) == []


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (("anthropic",), "credentials/1"),
        (("git", "--host", "https://Example.org/", "--vibespace", "demo"), "vibespaces/demo/credentials/2"),
        (
            ("environment", "--variable", "T", "--agent", "claude-1@demo"),
            "vibespaces/demo/agents/claude-1/credentials/3",
        ),
    ],
)
def test_one_is_deleted_by_what_it_is_for(vibespace: Run, daemon: Daemon, given: tuple[str, ...], name: str) -> None:
    """The same words that set it."""
    done = vibespace("credential", "delete", *given, "--force")
    assert (done.code, done.json["data"]["credential"]["name"]) == (0, name)
    assert [asked.validate_only for asked in daemon.asked(DELETE)] == [False]


@pytest.mark.parametrize(
    "given", [("git",), ("git", "--host", "example.org"), ("openai",), ("anthropic", "--vibespace=demo")]
)
def test_one_that_is_not_there(vibespace: Run, daemon: Daemon, given: tuple[str, ...]) -> None:
    """Of another scope, host or type is another: nothing is deleted."""
    done = vibespace("credential", "delete", *given, "--force")
    assert (done.code, done.json["error"]["reason"]) == (10, "CREDENTIAL_NOT_FOUND")
    assert daemon.asked(DELETE) == []


def test_ctrl_c_at_the_question_begins_a_line(vibespace: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said of it stands below the question, which shows nothing that is typed."""

    def interrupted() -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "is_terminal", lambda _: True)
    monkeypatch.setattr(commands, "silent", nullcontext)
    monkeypatch.setattr(sys.stdin, "readline", interrupted)
    done = vibespace("credential", "set", "anthropic")
    assert (done.code, done.err.splitlines()) == (14, ["Value (it is not shown): ", "vibespace: Interrupted."])


def test_no_value_is_asked_for_what_is_refused_anyway(
    vibespace: Run, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal: a name that cannot be is said before somebody types a secret; else that is sent once."""
    monkeypatch.setattr(commands, "is_terminal", lambda _: True)
    monkeypatch.setattr(commands, "silent", nullcontext)
    monkeypatch.setattr(sys.stdin, "readline", lambda: f"{VALUE}\n")
    assert vibespace("credential", "set", "environment", "--variable", "T").code == 0
    assert [asked.value for asked in daemon.asked(SET)] == ["", VALUE]

    def refuse(_: Any) -> Any:
        raise errors.InvalidArgument("ENV_INVALID", "That is no name.", field="credential.variable")

    daemon.answers[SET] = refuse
    done = vibespace("credential", "set", "environment", "--variable", "A B")
    assert (done.code, "Value" in done.err) == (2, False)


def test_deleting_asks_first(vibespace: Run, daemon: Daemon) -> None:
    """On a terminal with who uses it; off it --force is needed; --dry-run only says."""
    assert vibespace("credential", "delete", "anthropic").json["error"]["reason"] == "FORCE_NEEDED"
    code, seen = on_terminal("credential", "delete", "anthropic", typed=b"n\n")
    assert "Delete anthropic of every vibespace? This deletes its value; claude-1@demo uses it. [y/N]" in seen
    assert code == 14
    assert "is deleted" in on_terminal("credential", "delete", "anthropic", typed=b"y\n")[1]
    before = len(daemon.asked(DELETE))
    assert "Nothing was deleted" in vibespace("credential", "delete", "anthropic", "-n", "--plain").err
    assert [asked.validate_only for asked in daemon.asked(DELETE)[before:]] == [True]


def test_the_list_says_who_uses_it(vibespace: Run, daemon: Daemon) -> None:
    """A row each, with all columns for scripts: they count them."""
    assert vibespace("credential", "list", "--plain", "--header").out.splitlines() == [
        "TYPE\tHOST\tVARIABLE\tEXPIRE TIME\tSCOPE\tVIBESPACE\tAGENT\tUSED BY\tAGENT TYPE",
        "anthropic\t\t\t\thost\t\t\tclaude-1@demo\t",
        "git\texample.org\t\t\tvibespace\tdemo\t\t\t",
        "environment\t\tT\t\tagent\tdemo\tclaude-1\t\t",
    ]
    assert daemon.asked(LIST)[0].parent == "vibespaces/-"


def test_logins_are_listed_too(vibespace: Run, daemon: Daemon) -> None:
    """Beside what is stored, with the program that keeps them; in whom nobody looked is said, and not in a table that
    scripts read.
    """
    login = c.Credential(
        name="vibespaces/demo/logins/codex",
        settings=c.CredentialSettings(type=c.CREDENTIAL_TYPE_LOGIN),
        scope=c.CREDENTIAL_SCOPE_VIBESPACE,
        vibespace_id="demo",
        agent_type=AGENT_TYPE_CODEX,
        used_by=["codex-1@demo"],
    )
    unseen = [f"codex-{n}@demo" for n in range(2, 9)]
    daemon.answers[LIST] = lambda _: c.ListCredentialsResponse(credentials=[login], unseen=unseen)
    done = vibespace("credential", "list", "--plain")
    assert (done.out, done.err) == ("login\t\t\t\tvibespace\tdemo\t\tcodex-1@demo\tcodex\n", "")
    assert daemon.asked(LIST)[0].view == VIEW_FULL
    assert vibespace("credential", "list").json["data"]["unseen"] == unseen
    _, seen = on_terminal("credential", "list", "--no-color")
    assert (
        "TYPE   SCOPE      VIBESPACE  USED BY       AGENT TYPE\nlogin  vibespace  demo       codex-1@demo  codex"
        in seen
    )
    assert "Not looked into for logins, for they do not run or do not answer: codex-2@demo," in " ".join(seen.split())
    assert seen.splitlines()[-1].endswith("codex-6@demo and 2 more.")
