"""What is written for people and for scripts."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import Any

import pytest
from vibespace_cli import output

from tests.cli.conftest import Run
from tests.cli.daemon import Daemon, agent
from tests.cli.daemon import vibespace as made
from tests.cli.process import on_terminal
from vibespace import __version__
from vibespace.v1 import agents_pb2, approvals_pb2, events_pb2, system_pb2, vibespaces_pb2
from vibespace.v1.cursor_pb2 import Cursor


@pytest.fixture(autouse=True)
def _two(daemon: Daemon) -> None:
    daemon.answers["VibespaceService/ListVibespaces"] = lambda _: vibespaces_pb2.ListVibespacesResponse(
        vibespaces=[made("demo"), made("other", vibespaces_pb2.VIBESPACE_STATE_STOPPED)]
    )
    daemon.answers["VibespaceService/GetVibespace"] = lambda _: vibespaces_pb2.GetVibespaceResponse(
        vibespace=made("demo"), agents=[agent("claude-1", "demo", primary=True)]
    )


def test_json_is_an_envelope_with_the_names_of_the_protos_and_the_words_of_the_flags(vibespace: Run) -> None:
    """A list that is piped is JSON: fields as in the protos, enums as words, unset fields null."""
    answer = vibespace("list").json
    assert [v["status"]["state"] for v in answer["data"]["vibespaces"]] == ["running", "stopped"]
    assert answer["data"]["vibespaces"][0]["spec"] is None
    assert (answer["success"], answer["error"]) == (True, None)
    assert sorted(answer["meta"]) == ["duration_ms", "request_id"]


def test_plain_columns_are_separated_by_tabs(vibespace: Run) -> None:
    """--plain --header is a table that cut and awk read."""
    assert vibespace("list", "--plain", "--header").out == (
        "VIBESPACE\tSTATE\tAGENTS\ndemo\trunning\t1\nother\tstopped\t1\n"
    )


@pytest.mark.parametrize(
    "line", [["--plain", "agent", "list"], ["agent", "--plain", "list"], ["agent", "list", "--plain"]]
)
def test_flags_stand_before_or_after_the_name(vibespace: Run, daemon: Daemon, line: list[str]) -> None:
    """The flags of every command are taken at each place."""
    daemon.answers["AgentService/ListAgents"] = lambda _: agents_pb2.ListAgentsResponse(agents=[agent("a", "demo")])
    assert vibespace(*line).out == "a\tdemo\tclaude-code\t\trunning\n"


def test_plain_names_fields_by_their_path(vibespace: Run) -> None:
    """Details are one `path<tab>value` a line, and a list inside them is rows."""
    assert vibespace("info", "demo", "--plain").out.splitlines() == [
        "vibespace.vibespace_id\tdemo",
        "vibespace.uid\tuid-demo",
        "vibespace.intent\tstart",
        "vibespace.status.state\trunning",
        "vibespace.status.agents\t1",
        "vibespace.status.agents_running\t1",
        "claude-1\tdemo\tclaude-code\t\trunning",
    ]


def test_the_version_alone_asks_nobody(vibespace: Run, daemon: Daemon) -> None:
    """--version is one line, in a pipe as well, and no daemon is needed for it."""
    assert vibespace("--version").out == f"vibespace {__version__}\n"
    assert daemon.requests == []


def test_quiet_is_names_also_in_a_pipe(vibespace: Run, daemon: Daemon) -> None:
    """What was asked for wins over what a pipe gets by itself; only --json says otherwise."""
    assert vibespace("list", "-q").out == "demo\nother\n"
    assert vibespace("list", "-q", "--json").json["success"]
    event = events_pb2.Event(type="agent.created", cursor=Cursor(position=7))
    daemon.answers["EventService/StreamEvents"] = lambda _: [events_pb2.StreamEventsResponse(events=[event])]
    assert vibespace("events", "-q").out == "7\n"


def test_quiet_names_can_be_typed_again(vibespace: Run, daemon: Daemon) -> None:
    """An agent is named with its vibespace, and nothing is told besides."""
    daemon.answers["AgentService/ListAgents"] = lambda _: agents_pb2.ListAgentsResponse(agents=[agent("a", "demo")])
    past = events_pb2.ReplayResponse(vibespaces=[made("demo")], agents=[agent("a", "demo")])
    past.time.seconds, past.host.initialized = 1, True
    daemon.answers["EventService/Replay"] = lambda _: past
    assert vibespace("agent", "list", "-q").out == "a@demo\n"
    assert vibespace("info", "demo", "-q").out == "demo\nclaude-1@demo\n"
    assert vibespace("replay", "--at", "1", "-q").out == "demo\na@demo\n"


def test_quiet_tells_nothing_of_what_has_no_name(vibespace: Run, daemon: Daemon) -> None:
    """status is fields, of which none is a name to type; --plain has them all the same."""
    stands = system_pb2.GetStatusResponse(daemon=system_pb2.Daemon(version="1"), vibespaces=2, outside=["/there"])
    daemon.answers["SystemService/GetStatus"] = lambda _: stands
    done = vibespace("status", "-q")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert "vibespaces\t2\n" in vibespace("status", "-q", "--plain").out


def test_plain_fields_and_findings_have_a_header_too(vibespace: Run, daemon: Daemon) -> None:
    """--header names the columns wherever --plain has some."""
    daemon.answers["SystemService/GetStatus"] = lambda _: system_pb2.GetStatusResponse(vibespaces=2)
    daemon.answers["SystemService/Diagnose"] = lambda _: system_pb2.DiagnoseResponse()
    assert vibespace("status", "--plain", "--header").out.startswith("FIELD\tVALUE\nvibespaces\t2\n")
    assert vibespace("doctor", "--plain", "--header").out.startswith("SEVERITY\tSUBJECT\tMESSAGE\tHINT\n")


LONG = "it waits for something that has a name, and then for something that has another, and so on"


@pytest.mark.parametrize("line", ["doctor", "status", "", "info demo", "replay --at 1 --diff", "approval list"])
def test_what_is_answered_fits_the_terminal(daemon: Daemon, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """Broken between words, and what goes on below begins further in than what is new."""
    now = made("demo")
    now.status.reason = LONG
    then, host = made("demo"), system_pb2.Host(initialized=True, engine_reason=LONG)
    finding = system_pb2.Finding(subject="engine", message=LONG, hint=LONG)
    asks = approvals_pb2.Approval(uid="0123456789", tool="Bash", input=json.dumps({"command": LONG}), reason=LONG)
    past = [events_pb2.ReplayResponse(vibespaces=[then]), events_pb2.ReplayResponse(vibespaces=[now])]
    answers: dict[str, Any] = {
        "SystemService/Diagnose": system_pb2.DiagnoseResponse(findings=[finding]),
        "SystemService/GetStatus": system_pb2.GetStatusResponse(host=host, outside=[LONG]),
        "VibespaceService/ListVibespaces": vibespaces_pb2.ListVibespacesResponse(),
        "VibespaceService/GetVibespace": vibespaces_pb2.GetVibespaceResponse(vibespace=now),
        "ApprovalService/ListApprovals": approvals_pb2.ListApprovalsResponse(approvals=[asks]),
    }
    for method, answer in answers.items():
        daemon.answers[method] = partial(lambda answer, _: answer, answer)
    daemon.answers["EventService/Replay"] = lambda _: past.pop(0)
    monkeypatch.setenv("COLUMNS", "50")
    code, seen = on_terminal(*line.split(), "--no-color")
    assert code == 0
    assert [each for each in seen.splitlines() if len(each) > 50] == []
    assert LONG in " ".join(seen.split())
    first = next(at for at, each in enumerate(seen.splitlines()) if "it waits" in each)
    before, after = seen.splitlines()[first : first + 2]
    assert line == "" or len(after) - len(after.lstrip()) > len(before) - len(before.lstrip())


def test_events_are_objects_a_line_with_data_as_an_object(vibespace: Run, daemon: Daemon) -> None:
    """The stream has no envelope, and what an event holds is not text within text."""
    event = events_pb2.Event(type="agent.created", subject="vibespaces/demo", data='{"name": "claude-1"}')
    daemon.answers["EventService/StreamEvents"] = lambda _: [events_pb2.StreamEventsResponse(events=[event, event])]
    lines = vibespace("events").out.splitlines()
    assert len(lines) == 2
    assert '"data":{"name":"claude-1"}' in lines[0]


def test_parts_of_a_status_are_told_apart(vibespace: Run, daemon: Daemon) -> None:
    """Several resources in one answer have headings; in --plain, paths."""
    daemon.answers["SystemService/GetStatus"] = lambda _: system_pb2.GetStatusResponse(
        daemon=system_pb2.Daemon(version="7", pid=3), vibespaces=2, outside=["/etc/one", "/etc/two"]
    )
    lines = vibespace("status", "--plain").out.splitlines()
    assert {"daemon.version\t7", "vibespaces\t2", "outside\t/etc/one", "outside\t/etc/two"} <= set(lines)


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_no_terminal_loses_what_an_event_says(daemon: Daemon, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """However narrow it is: when with the date, who, what, to whom and why; no line is wider."""
    monkeypatch.setenv("COLUMNS", str(width))
    reason = "the image has no sshd, and without it nobody gets in"
    event = events_pb2.Event(
        type="vibespace.repository_ready",
        subject="vibespaces/a-rather-long-name/agents/claude-1",
        actor="device:0123",
        data=json.dumps({"reason": reason}),
    )
    event.time.FromJsonString("2026-01-02T03:04:05Z")
    daemon.answers["EventService/StreamEvents"] = lambda _: [events_pb2.StreamEventsResponse(events=[event])]
    lines = re.sub(r"\x1b\[\d+m", "", on_terminal("events")[1]).splitlines()
    assert all(len(line) <= width for line in lines)
    seen = "".join("".join(lines).split())
    words = ["2026-01-0", ":04:05", "device:", "0123", "repository", "ready", "claude-", *reason.split()]
    assert [word for word in words if word not in seen] == []


@pytest.mark.parametrize("width", [30, 80])
def test_all_of_an_event_is_told_with_verbose(
    vibespace: Run, daemon: Daemon, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    """-v has who asked by which request, because of which, and every field: below its row, or in columns."""
    monkeypatch.setenv("COLUMNS", str(width))
    said = {"reason": "no sshd \x1b[2J in it", "spec": {"cpu": "2"}, "restarts": 7, "mounts": []}
    event = events_pb2.Event(
        type="agent.observed",
        subject="vibespaces/demo/agents/claude-1",
        actor="daemon",
        cause="request-before",
        request_id="request-now",
        uid="uid-of-it",
        data=json.dumps(said),
    )
    daemon.answers["EventService/StreamEvents"] = lambda _: [events_pb2.StreamEventsResponse(events=[event])]
    seen = re.sub(r"\x1b\[\d+m", "", on_terminal("events", "-v")[1])
    assert all(len(line) <= width for line in seen.splitlines())
    whole = ["request-before", "request-now", "uid-of-it", "nosshd", '{"cpu":"2"}', "data.restarts", "daemon"]
    assert [word for word in whole if word not in "".join(seen.split())] == []
    assert "mounts" not in seen
    assert "\x1b" not in seen
    names, values = (line.split("\t") for line in vibespace("events", "-v", "--plain", "--header").out.splitlines())
    told = dict(zip(names, values, strict=True))
    assert (told["CAUSE"], told["REQUEST"], told["UID"]) == ("request-before", "request-now", "uid-of-it")
    assert json.loads(told["DATA"]) == said
    assert "request-now" not in vibespace("events", "--plain").out


def test_digests_in_events_are_short_for_a_person_alone(vibespace: Run, daemon: Daemon) -> None:
    """On a terminal an image is its 12 digits; in a pipe what an event holds is whole."""
    image = "sha256:" + "0123456789abcdef" * 4
    event = events_pb2.Event(type="host.initialized", subject="host", data=json.dumps({"image": image}))
    daemon.answers["EventService/StreamEvents"] = lambda _: [events_pb2.StreamEventsResponse(events=[event])]
    assert "image 0123456789ab\n" in on_terminal("events")[1]
    assert image in vibespace("events").out


@pytest.mark.parametrize(
    ("type", "subject", "data", "seen"),
    [
        (
            "agent.settings_changed",
            "vibespaces/demo/agents/claude-1",
            {"settings": {"max_turns": 3, "allowed_tools": ["Read", "Edit"]}, "unset": ["model", "effort"]},
            "claude-1@demo max_turns 3, allowed_tools Read, Edit, without model, effort",
        ),
        ("agent.settings_changed", "vibespaces/demo/agents/a", {"settings": {"model": ""}, "unset": []}, "model empty"),
        ("credential.created", "credentials/0123456789", {"type": "git", "key": "a.org", "sealed": "v"}, "host id "),
        ("credential.created", "vibespaces/demo/credentials/0123456789", {"type": "openai"}, "demo id 01234567, type"),
        ("credential.deleted", "credentials/0123456789", {}, "host id 01234567"),
    ],
)
def test_what_was_changed_is_told_in_short(
    daemon: Daemon, type: str, subject: str, data: dict[str, Any], seen: str
) -> None:
    """Which settings, and which credential of whom."""
    event = events_pb2.Event(type=type, subject=subject, uid="0123456789", data=json.dumps(data))
    daemon.answers["EventService/StreamEvents"] = lambda _: [events_pb2.StreamEventsResponse(events=[event])]
    assert seen in " ".join(on_terminal("events")[1].split())


def test_details_are_what_a_person_asks_for(daemon: Daemon) -> None:
    """Without --verbose no uids, digests in short, and times in units."""
    daemon.answers["SystemService/GetStatus"] = lambda _: system_pb2.GetStatusResponse(
        daemon=system_pb2.Daemon(uptime_seconds=200), host=system_pb2.Host(image="sha256:" + "0123456789abcdef" * 4)
    )
    seen = on_terminal("status")[1]
    assert "3 min 20 s" in seen
    assert "0123456789ab\n" in seen
    assert "uid-demo" not in on_terminal("info", "demo")[1]
    assert "uid-demo" in on_terminal("info", "demo", "-v")[1]
    assert "\n  AGENT" in on_terminal("info", "demo")[1].replace("\x1b[1m", "")


def test_whose_agents_are_shown_is_said_once(vibespace: Run, daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the table, in which there is room for worktrees then; programs have all columns. No line ends in spaces."""
    worktree = agents_pb2.Worktree(branch="claude-1", ahead=12, behind=3, uncommitted=2, unpushed=12)
    works = agent("claude-1", "demo")
    works.status.worktree.CopyFrom(worktree)
    response = vibespaces_pb2.GetVibespaceResponse(vibespace=made("demo"), agents=[works])
    daemon.answers["VibespaceService/GetVibespace"] = lambda _: response
    for width in ("80", "30"):
        monkeypatch.setenv("COLUMNS", width)
        lines = on_terminal("info", "demo", "--no-color")[1].splitlines()
        assert [line for line in lines if line != line.rstrip()] == []
        table = " ".join(lines[lines.index("agents:") :])
        assert ("VIBESPACE" in table, "UNPUSHED" in table) == (False, True)
        assert ("AGENT  " in table, "AGENT: claude-1" in table) == (width == "80", width == "30")
    assert "VIBESPACE" in vibespace("info", "demo", "--plain", "--header").out


def test_what_is_not_measured_is_not_shown(daemon: Daemon) -> None:
    """Of an engine that has no figures of what runs there is the disk alone, and no zero beside it."""
    stored = made("demo")
    stored.status.usage.disk_bytes = 3 << 20
    listed = vibespaces_pb2.ListVibespacesResponse(vibespaces=[stored])
    daemon.answers["VibespaceService/ListVibespaces"] = lambda _: listed
    daemon.answers["VibespaceService/GetVibespace"] = lambda _: vibespaces_pb2.GetVibespaceResponse(vibespace=stored)
    for line in (["list", "--usage"], ["info", "demo"]):
        seen = on_terminal(*line)[1].lower()
        assert "disk" in seen
        assert [word for word in ("memory", "cpu", "processes", " 0 b") if word in seen] == []


def test_what_is_used_is_told_from_what_was_asked_for(daemon: Daemon) -> None:
    """Both are an amount of memory and of cpu."""
    measured = made("demo", spec={"memory": "4g", "cpu": "2"})
    used = measured.status.usage
    used.memory_bytes, used.cpu_seconds, used.disk_bytes, used.processes = 5_000_000, 60, 7_000, 9
    daemon.answers["VibespaceService/GetVibespace"] = lambda _: vibespaces_pb2.GetVibespaceResponse(vibespace=measured)
    lines = [line.strip().split("  ", 1) for line in on_terminal("info", "demo")[1].splitlines()]
    shown = {label: value.strip() for label, value in (line for line in lines if len(line) == 2)}
    assert (
        shown.items()
        >= {
            "memory": "4g",
            "cpu": "2",
            "memory used": "5.0 MB",
            "cpu used": "1 min",
            "disk used": "7.0 kB",
            "processes": "9",
        }.items()
    )


HOSTILE = "\x7f\x9b2J\u202e\u2066\u2028\U000e0041\ud800"


def test_json_commands_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """What is not to be seen is a number in it, and means the same; letters of any language are themselves."""
    answers = output.Output()
    for tell in (answers.object, answers.data):
        tell({"text": f"é漢👍 {HOSTILE}"})
        told = capsys.readouterr().out
        assert r"é漢👍 \u007f\u009b2J\u202e\u2066\u2028\udb40\udc41\ud800" in told
        assert f"é漢👍 {HOSTILE}" in (json.loads(told).get("data") or json.loads(told))["text"]
