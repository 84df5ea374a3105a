"""How what goes wrong is told: one sentence, what to do next, and an exit code by its class."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from vibespace_cli import output

from tests.cli.conftest import Run
from tests.cli.daemon import Daemon
from tests.cli.process import on_terminal
from vibespace import errors
from vibespace.v1.vibespaces_pb2 import ListVibespacesResponse


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.Internal, 1),
        (errors.InvalidArgument, 2),
        (errors.NotFound, 10),
        (errors.AlreadyExists, 11),
        (errors.PermissionDenied, 12),
        (errors.DeadlineExceeded, 13),
        (errors.Cancelled, 14),
        (errors.Unavailable, 15),
        (errors.Exhausted, 15),
        (errors.FailedPrecondition, 16),
        (errors.Aborted, 16),
    ],
)
def test_each_class_of_error_has_its_exit_code(
    vibespace: Run, daemon: Daemon, error: type[errors.Error], code: int
) -> None:
    """What the daemon refuses is one sentence on stderr, the reason in JSON, and the exit code of its class."""

    def refuse(_: object) -> None:
        raise error("SOME_REASON", "It is so.", hint="Do that.", thing="demo")

    daemon.answers["VibespaceService/GetVibespace"] = refuse
    done = vibespace("info", "demo")
    assert done.code == code
    assert done.err == "vibespace: It is so. Do that.\n"
    assert done.json["error"] | {"code": ""} == {
        "code": "",
        "reason": "SOME_REASON",
        "message": "It is so.",
        "hint": "Do that.",
        "details": {"thing": "demo"},
    }


def test_a_field_at_fault_is_named_as_it_was_typed(vibespace: Run, daemon: Daemon) -> None:
    """The daemon speaks of `spec.cpu`, the person of --cpu."""

    def refuse(_: object) -> None:
        raise errors.InvalidArgument("QUANTITY_INVALID", "'10X' is no amount.", field="spec.cpu")

    daemon.answers["VibespaceService/CreateVibespace"] = refuse
    done = vibespace("create", "demo", "-t", "codex", "--cpu", "10X")
    assert (done.code, done.err) == (2, "vibespace: '10X' is no amount. See --cpu in 'vibespace create --help'.\n")


def test_a_line_that_makes_no_sense_is_usage(vibespace: Run) -> None:
    """An unknown flag, command or choice exits 2 and names the help to read."""
    for line in (["list", "--bogus"], ["nonsense"], ["create", "x", "-t", "emacs"], ["info", "a", "b"]):
        done = vibespace(*line)
        assert (done.code, done.json["error"]["reason"]) == (2, "USAGE")
        assert "--help" in done.err


PASSED_ON = ["ask", "completion", "config path", "connect", "cp", "exec", "logs", "ssh-config", "ssh-proxy"]


@pytest.mark.parametrize("words", PASSED_ON)
def test_what_is_used_as_it_is_gets_no_error_amid_it(vibespace: Run, words: str) -> None:
    """A line that makes no sense is told beside the output of what is passed on, and in JSON when that was said."""
    line = [*words.split(), "--bogus"]
    done = vibespace(*line)
    assert (done.code, done.out) == (2, "")
    assert "--help" in done.err
    assert vibespace(*line, "--json").json["error"]["reason"] == "USAGE"


@pytest.mark.parametrize("line", [["list", "--json", "--plain"], ["--plain", "agent", "--json", "list"]])
def test_two_forms_of_one_answer_are_refused(vibespace: Run, daemon: Daemon, line: list[str]) -> None:
    """--json with --plain asks for two things at once, wherever they stand; nobody is asked anything."""
    done = vibespace(*line)
    assert (done.code, done.json["error"]["reason"], daemon.requests) == (2, "USAGE", [])
    assert "--json and --plain" in done.err


def test_the_nearest_command_is_suggested(vibespace: Run) -> None:
    """A slip of the finger is told from a command that does not exist."""
    assert "Did you mean 'create'?" in vibespace("craete", "demo").err
    assert "Did you mean 'list'?" in vibespace("agent", "lsit").err
    assert "Did you mean" not in vibespace("xyzzy").err
    assert "Did you mean" not in vibespace("session", "list").err  # `version` is no slip of the fingers


def test_message_and_hint_are_two_sentences(vibespace: Run, daemon: Daemon) -> None:
    """Whatever ends the message, a full stop stands before the hint; line breaks stand nowhere."""

    def refuse(_: object) -> None:
        raise errors.NotFound("SOME_REASON", "There is\nno such thing", hint="Make one.")

    daemon.answers["VibespaceService/GetVibespace"] = refuse
    assert vibespace("info", "demo").err == "vibespace: There is no such thing. Make one.\n"
    message = vibespace("completion", "--json").json["error"]["message"]
    assert not {"\n", "\t"} & set(message)


def test_what_is_said_fits_the_terminal(vibespace: Run, daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken between words; a command in quotes, and what somebody may want to copy, stays in one piece. In a pipe it
    is one line.
    """
    path = "/" + "long/" * 12

    def refuse(_: object) -> None:
        raise errors.NotFound("SOME_REASON", f"Nothing is at {path}", hint="Look with 'vibespace list --usage' for it.")

    daemon.answers["VibespaceService/GetVibespace"] = refuse
    monkeypatch.setenv("COLUMNS", "40")
    said = f"vibespace: Nothing is at {path}. Look with 'vibespace list --usage' for it.\n"
    assert vibespace("info", "demo", "--plain").err == said
    _, seen = on_terminal("info", "demo", "--no-color")
    assert seen.splitlines() == [
        "vibespace: Nothing is at",
        f"{path}.",
        "Look with 'vibespace list --usage' for",
        "it.",
    ]


@pytest.fixture
def listing(daemon: Daemon) -> None:
    """There is something to tell of."""
    daemon.answers["VibespaceService/ListVibespaces"] = lambda _: ListVibespacesResponse()


@pytest.mark.usefixtures("listing")
def test_a_defect_of_ours_is_one_sentence(vibespace: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong inside, no traceback is shown; with VIBESPACE_DEBUG=1 it is in debug.log."""
    monkeypatch.setattr("vibespace_cli.render.render", lambda *_: 1 / 0)
    monkeypatch.setattr("vibespace_cli.run.render", lambda *_: 1 / 0)
    done = vibespace("list", "--plain")
    assert (done.code, done.err.count("\n"), "Traceback" in done.err) == (1, 1, False)


@pytest.mark.usefixtures("listing")
def test_a_defect_is_kept_in_the_debug_log(vibespace: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """VIBESPACE_DEBUG=1 says where it happened, in debug.log of the state directory, and shows no values."""
    monkeypatch.setenv("VIBESPACE_DEBUG", "1")
    monkeypatch.setattr("vibespace_cli.run.render", lambda *_: int("a-secret"))
    assert "debug.log" in vibespace("list", "--plain").err
    [line] = (home / "debug.log").read_text().splitlines()
    assert json.loads(line)["message"] == "ValueError"
    assert "test_errors.py" in json.loads(line)["traceback"][-1]
    assert "a-secret" not in line


def test_no_value_of_a_variable_is_echoed(vibespace: Run, daemon: Daemon) -> None:
    """What is wrong with an --env is said without what may be a secret."""
    for words in (["--env", "hunter2-hunter2"], ["--env", "TOKEN=hunter2-hunter2", "--env", "B=x\udcff"]):
        done = vibespace("create", "demo", "-t", "codex", *words)
        assert done.code == 2
        assert "hunter2" not in done.err + done.out


@pytest.mark.parametrize("kind", [k for k in output.EXIT_CODES if k not in (errors.InvalidArgument, errors.Cancelled)])
def test_every_error_says_what_to_do_next(vibespace: Run, daemon: Daemon, kind: type[errors.Error]) -> None:
    """The hint of whoever refused, or else one of its kind."""

    def refuse(request: Any) -> Any:
        raise kind("REASON", "It is so", hint=hint)

    daemon.answers["VibespaceService/ListVibespaces"] = refuse
    hint = "Do that."
    assert vibespace("list").json["error"]["hint"] == hint
    hint = ""
    done = vibespace("list")
    assert done.json["error"]["hint"]
    assert done.err == f"vibespace: It is so. {done.json['error']['hint']}\n"
