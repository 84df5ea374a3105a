"""`audit verify`, `replay` and pages of `events`: what is printed, and how they end."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.daemon import Daemon, agent, vibespace
from tests.cli.process import on_terminal
from vibespace.errors import InvalidArgument
from vibespace.v1 import agents_pb2, events_pb2


def moment(position: int, *things: Any, image: str = "i") -> events_pb2.ReplayResponse:
    """A moment with these vibespaces and agents."""
    response = events_pb2.ReplayResponse()
    response.cursor.position = position
    response.time.FromJsonString(f"2026-01-02T03:04:{position:02}Z")
    response.host.image = image
    for thing in things:
        found: Any = response.agents if isinstance(thing, agents_pb2.Agent) else response.vibespaces
        found.append(thing)
    return response


THEN = moment(5, vibespace("demo"), agent("claude-1", "demo"), vibespace("goes"), vibespace("again"))
NOW = moment(
    9,
    vibespace("demo", 4, intent=agents_pb2.RUN_INTENT_STOP, generation=2, position=9),
    agent("claude-1", "demo"),
    agent("codex-1", "demo"),
    vibespace("again", uid="another"),
    image="newer",
)
"""In which `demo` was stopped, `goes` deleted, `again` deleted and made anew, an agent added and the image changed."""


@pytest.fixture(autouse=True)
def history(daemon: Daemon) -> None:
    moments = {"5": THEN, "": NOW, "9": NOW}
    daemon.answers["EventService/Replay"] = lambda request: moments[request.moment]


def test_a_difference_is_told_by_thing_and_field(vibespace: Run) -> None:
    """As JSON: what came, what went, and of the others the fields that changed, with both values; counters excepted."""
    done = vibespace("replay", "--at", "5", "--diff", "--json")
    data = done.json["data"]
    assert (done.code, data["from"]["cursor"]["position"], data["to"]["cursor"]["position"]) == (0, 5, 9)
    told = [(one["name"], one["change"]) for one in data["differences"]]
    assert told == [
        ("host", "changed"),
        ("vibespaces/again", "deleted"),
        ("vibespaces/again", "created"),
        ("vibespaces/demo", "changed"),
        ("vibespaces/demo/agents/codex-1", "created"),
        ("vibespaces/goes", "deleted"),
    ]
    assert data["differences"][0]["fields"] == [{"field": "image", "from": "i", "to": "newer"}]
    assert [field["field"] for field in data["differences"][3]["fields"]] == [
        "intent",
        "status.state",
        "status.agents_running",
    ]
    assert data["differences"][3]["fields"][0] == {"field": "intent", "from": "start", "to": "stop"}


def test_a_difference_can_be_cut_and_read(vibespace: Run) -> None:
    """--plain has a line a field; for people a thing and below it what changed."""
    plain = vibespace("replay", "--at", "5", "--diff", "--to", "9", "--plain", "--header").out.splitlines()
    assert plain[0] == "CHANGE\tNAME\tFIELD\tFROM\tTO"
    assert "changed\tvibespaces/demo\tintent\tstart\tstop" in plain
    assert "deleted\tvibespaces/goes\t\t\t" in plain
    same = vibespace("replay", "--at", "9", "--diff", "--json")
    assert same.json["data"]["differences"] == []


def test_what_was_said_and_asked_then(daemon: Daemon, vibespace: Run) -> None:
    """A person is told the beginnings, and -v says all; it ends, and nobody deletes it."""
    who = "vibespaces/demo/agents/claude-1"
    busy = moment(5, THEN.vibespaces[0], agent("claude-1", "demo"))
    long = "do it\nnow, and " + "well, " * 100 + "as I said"
    busy.messages.add(name=f"{who}/messages/{UID}", uid=UID, agent="claude-1@demo", author="local", text=long)
    busy.approvals.add(name=f"{who}/approvals/{UID}", uid=UID, agent="claude-1@demo", input='{"command":"ls -l"}')
    busy.credentials.add(name=f"credentials/{UID}", uid=UID)
    daemon.answers["EventService/Replay"] = lambda request: busy if request.moment == "5" else NOW
    _, seen = on_terminal("replay", "--at", "5")
    assert "do it now, and well, " in seen
    assert "as I said" not in seen
    assert "  ls -l" in seen
    assert "as I said" in on_terminal("replay", "--at", "5", "-v")[1]
    assert vibespace("replay", "--at", "5").json["data"]["messages"][0]["text"] == long
    _, seen = on_terminal("replay", "--at", "5", "--diff")
    assert f"ended\x1b[0m message {UID[:8]} of claude-1@demo\n" in seen
    assert f"ended\x1b[0m approval {UID[:8]} of claude-1@demo\n" in seen
    assert f"deleted\x1b[0m credential {UID[:8]}\n" in seen


def test_two_moments_need_diff(vibespace: Run) -> None:
    """--to alone is a usage error."""
    done = vibespace("replay", "--at", "5", "--to", "9")
    assert (done.code, done.json["error"]["reason"]) == (2, "DIFF_NEEDED")


def test_of_two_moments_the_one_at_fault_is_named(daemon: Daemon, vibespace: Run) -> None:
    """Both are the one field of the API, and two flags of the person."""

    def answer(request: Any) -> events_pb2.ReplayResponse:
        if request.moment == "9999":
            raise InvalidArgument("POSITION_INVALID", "There is no 9999.", field="moment")
        return THEN

    daemon.answers["EventService/Replay"] = answer
    to = vibespace("replay", "--diff", "--at", "5", "--to", "9999")
    assert (to.code, to.json["error"]["hint"]) == (2, "See --to in 'vibespace replay --help'.")
    at = vibespace("replay", "--diff", "--at", "9999", "--to", "5")
    assert (at.code, at.json["error"]["hint"]) == (2, "See --at in 'vibespace replay --help'.")


def test_damage_is_an_exit_code(daemon: Daemon, vibespace: Run) -> None:
    """A whole log ends with 0, a damaged one with 16 and what is wrong where."""
    whole = events_pb2.VerifyLogResponse()
    whole.cursor.position = 12
    daemon.answers["EventService/VerifyLog"] = lambda _: whole
    done = vibespace("audit", "verify")
    assert (done.code, done.json["data"]["damages"]) == (0, [])
    damage = events_pb2.Damage(position=3, kind=events_pb2.DAMAGE_KIND_CUT_OFF, message="It is gone.")
    damaged = events_pb2.VerifyLogResponse(damages=[damage])
    daemon.answers["EventService/VerifyLog"] = lambda _: damaged
    done = vibespace("audit", "verify")
    assert (done.code, done.json["success"]) == (16, True)
    assert done.json["data"]["damages"] == [{"position": 3, "kind": "cut-off", "message": "It is gone."}]
    plain = vibespace("audit", "verify", "--plain")
    assert (plain.code, plain.out) == (16, "3\tcut-off\tIt is gone.\n")


def test_a_page_survives_its_daemon(daemon: Daemon, vibespace: Run) -> None:
    """A daemon that dies in a page is asked for the rest of it, no more."""
    limits: list[int] = []

    def answer(request: Any) -> Any:
        limits.append(request.limit)
        response = events_pb2.StreamEventsResponse()
        response.events.add(type="vibespace.created").cursor.position = request.after.position + 1
        response.cursor.position = request.after.position + 1
        yield response
        if len(limits) == 1:
            raise ConnectionError

    daemon.answers["EventService/StreamEvents"] = answer
    done = vibespace("events", "--limit", "2")
    assert [json.loads(line)["cursor"]["position"] for line in done.out.splitlines()] == [1, 2]
    assert (done.code, limits) == (0, [2, 1])


HOSTILE = "\x1b[2J\x07\r\n\u202e\ud800"
"""What clears a screen, rings, begins a line, turns writing around, and is no character."""


def line_read(text: str) -> events_pb2.Event:
    """A line of an agent's program, in which it says `text`."""
    blocks = [
        {"kind": "text", "turn": "t", "text": text},
        {"kind": "tool_call", "call": "c", "tool": "Bash", "input": "{}"},
        {"kind": "tool_call", "call": "d", "tool": "Read", "input": "{}"},
    ]
    data = {"epoch": 1, "seq": 2, "source": "stdout", "line": json.dumps(blocks), "blocks": blocks, "blob": "f00d"}
    event = events_pb2.Event(type="transcript.line_read", subject=f"{AGENT}/transcript", data=json.dumps(data))
    event.time.FromJsonString("2026-01-02T03:04:05Z")
    return event


AGENT = "vibespaces/demo/agents/claude-1"
UID = "3f9a1c27-0000-4000-8000-000000000000"


def told(event: events_pb2.Event, daemon: Daemon) -> None:
    daemon.answers["EventService/StreamEvents"] = lambda _: [events_pb2.StreamEventsResponse(events=[event])]


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.usefixtures("narrow")
def test_what_an_agent_says_does_not_flood_its_history(daemon: Daemon) -> None:
    """A line of its program, however long, is its kinds, each once, and a beginning, in at most two lines below its
    row's; what moves a cursor is gone.
    """
    told(line_read(f"It is {HOSTILE}done. " + "And so on. " * 2000), daemon)
    code, seen = on_terminal("events")
    lines = re.sub(r"\x1b\[\d+m", "", seen).splitlines()
    assert code == 0
    assert len(lines) <= 6
    assert all(len(line) <= 80 for line in lines)
    assert "text, tool_call: It is" in seen
    assert "…" in seen
    assert [c for c in "\x07\u202e\x1b" if c in "".join(lines)] == []


@pytest.mark.usefixtures("narrow")
def test_what_an_agent_says_is_whole_with_verbose(vibespace: Run, daemon: Daemon) -> None:
    """-v has every word of it, --json the event as it is."""
    words = [f"word-{n}" for n in range(500)]
    told(line_read(f"{HOSTILE} {' '.join(words)}"), daemon)
    code, seen = on_terminal("events", "-v")
    assert code == 0
    assert [word for word in words if word not in "".join(seen.split())] == []
    assert [c for c in "\x07\u202e\x1b" if c in re.sub(r"\x1b\[\d+m", "", seen)] == []
    done = vibespace("events", "--json")
    said = f"{HOSTILE} {' '.join(words)}"
    assert (done.code, json.loads(done.out)["data"]["blocks"][0]["text"]) == (0, said)


@pytest.mark.usefixtures("narrow")
def test_a_line_that_tells_little_is_told_by_that(daemon: Daemon) -> None:
    """Without a text the tool, without anything the kind; what it was told is no text of its own."""
    event = line_read("")
    told(event, daemon)
    assert "text, tool_call: Bash\n" in on_terminal("events")[1]
    event.data = json.dumps({"blocks": [{"kind": "text", "by_user": True, "text": "Look"}]})
    assert "message: Look\n" in on_terminal("events")[1]
    event.data = json.dumps({"line": "secret words", "blocks": [{"kind": "work_ended"}]})
    assert "work_ended\n" in (seen := on_terminal("events")[1])
    assert "secret words" not in seen
    ended = {"kind": "turn_ended", "turn": "t", "reason": "lost", "detail": "killed"}
    event.data = json.dumps({"blocks": [ended, {"kind": "work_ended"}]})
    assert "turn_ended, work_ended: lost: killed\n" in on_terminal("events")[1]
    event.data = json.dumps({"blocks": [{"kind": "conversation_switched", "conversation": UID}]})
    assert f"conversation_switched: {UID[:8]}\n" in on_terminal("events")[1]


@pytest.mark.usefixtures("narrow")
def test_each_message_of_a_line_is_told(daemon: Daemon) -> None:
    """Several may join a turn; of a call it is told what with, as where it waits for a decision."""
    event = line_read("")
    blocks: list[dict[str, object]] = [{"kind": "text", "by_user": True, "text": text} for text in ("Look", "And this")]
    event.data = json.dumps({"blocks": blocks})
    told(event, daemon)
    assert "message: Look, And this\n" in on_terminal("events")[1]
    given = json.dumps({"command": "ls -la", "description": "Look"})
    event.data = json.dumps({"blocks": [{"kind": "tool_call", "call": "c", "tool": "Bash", "input": given}]})
    assert "tool_call: Bash ls -la\n" in on_terminal("events")[1]


ENDS = [
    (
        "message.said",
        "messages",
        {"author": "local", "text": "Look at it."},
        "id 3f9a1c27, text Look at it., author local",
    ),
    ("message.acknowledged", "messages", {"turn": UID}, "id 3f9a1c27, text Look at it."),
    ("message.failed", "messages", {"reason": "it has no program"}, "id 3f9a1c27, text Look at it., it has no program"),
    (
        "approval.requested",
        "approvals",
        {"request": UID, "turn": UID, "tool": "Bash", "input": '{"command": "ls"}', "input_hash": "c0", "why": "so"},
        "id 3f9a1c27, tool Bash, input ls, why so",
    ),
    ("approval.decided", "approvals", {"verdict": "allowed"}, "id 3f9a1c27, tool Bash, verdict allowed"),
    ("approval.expired", "approvals", {"reason": "it is over"}, "id 3f9a1c27, tool Bash, it is over"),
    (
        "credential.created",
        "credentials",
        {"type": "git", "key": "a.org", "sealed": "v"},
        "id 3f9a1c27, type git, key a.org",
    ),
    ("credential.deleted", "credentials", {}, "id 3f9a1c27, type git, key a.org"),
    ("transcript.program_ended", "transcripts", {"how": {"signal": 15}}, "signal 15"),
    ("transcript.program_ended", "transcripts", {"how": {"code": 0}}, "code 0"),
]


TYPES = {type for type, *_ in ENDS}


def test_what_becomes_of_a_thing_says_which_it_is(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the id that is typed, and by what was said of it when it was made; no other ids, and no types in pieces."""
    monkeypatch.setenv("COLUMNS", "80")
    events = [
        events_pb2.Event(type=type, subject=f"{AGENT}/{kind}/{UID}", actor="device:01234567", data=json.dumps(data))
        for type, kind, data, _ in ENDS
    ]
    daemon.answers["EventService/StreamEvents"] = lambda _: [events_pb2.StreamEventsResponse(events=events)]
    lines = re.sub(r"\x1b\[\d+m", "", on_terminal("events")[1]).splitlines()
    assert [line for line in lines if len(line) > 80] == []
    assert [type for type, _, _, _ in ENDS] == [word for line in lines for word in line.split() if word in TYPES]
    seen = " ".join(" ".join(lines).split())
    assert [said for _, _, _, said in ENDS if said not in seen] == []
    assert UID not in seen
    events = events[1:2]
    assert "id 3f9a1c27\n" in on_terminal("events")[1]  # from there on nothing else is known of it


@pytest.mark.usefixtures("narrow")
def test_a_message_is_told_by_its_beginning(daemon: Daemon) -> None:
    """64 KiB of it take a line; its agent, whom the subject names, is not named again, but a reason is whole."""
    data = {
        "vibespace": "demo",
        "agent": "claude-1",
        "agent_uid": "u",
        "author": "local",
        "text": "Look at it. " * 5000,
    }
    told(events_pb2.Event(type="message.said", subject=f"{AGENT}/messages/m", data=json.dumps(data)), daemon)
    seen = on_terminal("events")[1]
    assert len(seen.splitlines()) <= 6
    assert "agent claude-1" not in seen
    assert "text Look at it." in " ".join(seen.split())
    reason = "the program did not take it up, " * 9
    told(
        events_pb2.Event(type="message.failed", subject=f"{AGENT}/messages/m", data=json.dumps({"reason": reason})),
        daemon,
    )
    assert "".join(reason.split()) in "".join(on_terminal("events")[1].split())
