"""`ask` prints what an agent says, and ends as its turn does; `approval` shows all, and decides about what it shows."""

from __future__ import annotations

import json
import os
import pty
import termios
from collections.abc import Callable, Iterator
from io import BytesIO, TextIOWrapper
from typing import Any

import pytest
from vibespace_cli import cells, human, shown
from vibespace_cli.handmade import ask

from tests.cli.conftest import Run
from tests.cli.daemon import Daemon
from tests.cli.process import on_terminal, start
from vibespace.app import messages
from vibespace.errors import FailedPrecondition
from vibespace.v1 import approvals_pb2 as a
from vibespace.v1 import conversations_pb2 as c

SEND, FOLLOW = "ConversationService/SendMessage", "ConversationService/StreamTranscript"
LIST, ALLOW, DENY = (f"ApprovalService/{name}" for name in ("ListApprovals", "AllowApproval", "DenyApproval"))
ASK = ["ask", "-a", "claude-1@demo"]
UID = "3f9a1c27-0000-4000-8000-000000000001"
DONE, FAILED, UNCERTAIN = c.MESSAGE_STATE_DONE, c.MESSAGE_STATE_FAILED, c.MESSAGE_STATE_UNCERTAIN


def answering(daemon: Daemon, *blocks: c.Block, state: int = DONE, reason: str = "completed", **more: str) -> None:
    """The agent says and does these, and the message ends so."""
    over = c.Message(uid=UID, state=state, reason=reason, **more)  # type: ignore[arg-type]  # a number is an enum value

    def follow(_: Any) -> Iterator[c.StreamTranscriptResponse]:
        yield c.StreamTranscriptResponse(blocks=blocks)
        yield c.StreamTranscriptResponse(messages=[over])

    daemon.answers[SEND] = lambda _: c.SendMessageResponse(message=c.Message(uid=UID))
    daemon.answers[FOLLOW] = follow


def text(words: str, **more: Any) -> c.Block:
    return c.Block(text=c.TextBlock(text=words, **more))


def test_the_answer_is_the_output(vibespace: Run, daemon: Daemon) -> None:
    """What the agent says, and nothing else: not what it was told, nor what its helpers say."""
    helper = text("I help.")
    helper.parent = "c-1"
    answering(daemon, text("hello", by_user=True), text("I look."), helper, text("There\x1b[31m."))
    done = vibespace(*ASK, "hello")
    assert (done.code, done.out) == (0, "I look.\nThere\x1b[31m.\n")
    [sent] = daemon.asked(SEND)
    assert (sent.parent, sent.text, sent.steer) == ("vibespaces/demo/agents/claude-1", "hello", False)


@pytest.mark.parametrize("reason", ["it was withdrawn", "it ends again and again: try '--help'.", "is it there?"])
def test_one_stop_ends_what_is_said(vibespace: Run, daemon: Daemon, reason: str) -> None:
    """Whether or not the reason is a sentence of its own."""
    answering(daemon, state=FAILED, reason=reason)
    done = vibespace(*ASK, "hello", "--no-color")
    said = reason if reason.endswith((".", "?")) else f"{reason}."
    assert done.err.startswith(f"vibespace: The agent did not work on it: {said} Try again;")


def test_what_is_read_can_be_refused(vibespace: Run, daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard input without end is read until it is more than any message, and the daemon says that it is."""
    answering(daemon, text("Hm."))
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(b"x" * (10 << 20))))
    assert vibespace(*ASK, "-").code == 0
    [sent] = daemon.asked(SEND)
    assert messages.LONGEST < len(sent.text) < 4 << 20


def test_helpers_may_have_conversations_of_their_own(vibespace: Run, daemon: Daemon) -> None:
    """What is said in another than the message was taken up in is not the answer, nor is what goes wrong there."""
    said = [text("hello", by_user=True, message=UID), text("I help."), text("I look."), text("There.")]
    broken = c.Block(error=c.ErrorBlock(trouble="other", text="It stumbled."), conversation="helper")
    switched = c.Block(conversation_switched=c.ConversationSwitched(previous="own"), conversation="next")
    for block, conversation in zip(said, ("own", "helper", "own", "next"), strict=True):
        block.conversation = conversation
    answering(daemon, *said[:3], broken, switched, said[3])
    done = vibespace(*ASK, "hello")
    assert (done.code, done.out) == (0, "I look.\nThere.\n")


def saying(block: str, offset: int, words: str) -> c.StreamTranscriptResponse:
    return c.StreamTranscriptResponse(deltas=[c.Delta(block=block, offset=offset, text=words)])


def hearing(daemon: Daemon, *responses: c.StreamTranscriptResponse) -> None:
    """It is told these, and then that the message is done."""
    over = c.Message(uid=UID, state=DONE, reason="completed")
    daemon.answers[SEND] = lambda _: c.SendMessageResponse(message=c.Message(uid=UID))
    daemon.answers[FOLLOW] = lambda _: iter([*responses, c.StreamTranscriptResponse(messages=[over])])


def test_what_comes_to_no_end_is_a_line(vibespace: Run, daemon: Daemon) -> None:
    """What was interrupted, by another answer or altogether."""
    hearing(daemon, saying("b1", 0, "I look"), saying("b2", 0, "There it"))
    assert vibespace(*ASK, "hello").out == "I look\nThere it\n"


def test_what_is_cut_off_is_a_line(vibespace: Run, daemon: Daemon) -> None:
    """What the daemon says in place of the rest begins another."""

    def follow(_: Any) -> Iterator[c.StreamTranscriptResponse]:
        yield saying("b1", 0, "I look")
        raise FailedPrecondition("AGENT_NOT_RUNNING", "It is stopping.", hint="It waits.")

    answering(daemon)
    daemon.answers[FOLLOW] = follow
    done = vibespace(*ASK, "hello", "--no-color")
    assert (done.code, done.out, done.err) == (16, "I look\n", "vibespace: It is stopping. It waits.\n")


@pytest.mark.parametrize(
    ("state", "beside"),
    [
        (c.MESSAGE_STATE_QUEUED, "It waits still, and is worked on in its turn.\n"),
        (c.MESSAGE_STATE_ACKNOWLEDGED, "It works on. To end that: vibespace agent interrupt claude-1@demo\n"),
    ],
)
def test_who_leaves_is_told_what_goes_on(
    vibespace: Run, daemon: Daemon, monkeypatch: pytest.MonkeyPatch, state: Any, beside: str
) -> None:
    """What would be interrupted while the message only waits is somebody else's."""

    def leave(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ask._Printer, "add", leave)
    so_far = c.StreamTranscriptResponse(messages=[c.Message(uid=UID, state=state)])
    hearing(daemon, so_far, saying("b", 0, "I look"))
    assert vibespace(*ASK, "hello", "--no-color").err.startswith(beside)


def test_another_daemon_tells_it_from_its_beginning(vibespace: Run, daemon: Daemon) -> None:
    """Only what is new of it is printed, however it is cut."""
    pieces = (saying("b", 0, "I look"), saying("b", 0, "I"), saying("b", 1, " look a"), saying("b", 8, "round."))
    hearing(daemon, *pieces, c.StreamTranscriptResponse(blocks=[text("I look around.", block="b")]))
    assert vibespace(*ASK, "hello").out == "I look around.\n"


@pytest.mark.parametrize(("said", "beside"), [(30, ""), (0, "It said more, which is no longer kept.")])
def test_a_long_answer(vibespace: Run, daemon: Daemon, said: int, beside: str) -> None:
    """All of it comes in pieces, as its block has but the beginning; else it says that there was more."""
    hearing(
        daemon,
        saying("b", 0, ("x" * 30)[:said]),
        c.StreamTranscriptResponse(blocks=[text("x" * 20, block="b", cut=True)]),
    )
    done = vibespace(*ASK, "hello")
    assert done.out == "x" * max(said, 20) + "\n"
    assert done.err.startswith(beside)
    assert bool(done.err) == bool(beside)


def test_what_is_just_said_is_not_said_again(vibespace: Run, daemon: Daemon) -> None:
    """A block that comes in pieces, is told again from its beginning after a resume, and comes whole at last."""

    def follow(_: Any) -> Iterator[c.StreamTranscriptResponse]:
        for offset, words in ((0, "I "), (2, "look"), (0, "I look"), (6, ".")):
            yield c.StreamTranscriptResponse(deltas=[c.Delta(block="b", offset=offset, text=words)])
        yield c.StreamTranscriptResponse(blocks=[text("I look. Again", block="b")])
        yield c.StreamTranscriptResponse(deltas=[c.Delta(block="b", offset=7, text=" late")])
        yield c.StreamTranscriptResponse(messages=[c.Message(uid=UID, state=DONE, reason="completed")])

    answering(daemon)
    daemon.answers[FOLLOW] = follow
    assert vibespace(*ASK, "hello").out == "I look. Again\n"


def test_json_is_an_object_a_line(vibespace: Run, daemon: Daemon) -> None:
    """Blocks with what they say, and the message at the end."""
    answering(daemon, text("There."))
    told = [json.loads(line) for line in vibespace("--json", *ASK, "hello").out.splitlines()]
    assert [list(each) for each in told] == [["block"], ["message"]]
    assert told[0]["block"]["text"]["text"] == "There."
    assert "tool_call" not in told[0]["block"]
    assert told[1]["message"]["state"] == "done"


@pytest.mark.parametrize(
    ("state", "reason", "code"),
    [
        (DONE, "completed", 0),
        (DONE, "interrupted", 14),
        (DONE, "failed: the model is gone", 15),
        (DONE, "lost", 15),
        (DONE, "turn_limit", 15),
        (FAILED, "its program ends again and again", 16),
        (UNCERTAIN, "", 16),
    ],
)
def test_how_it_ends(vibespace: Run, daemon: Daemon, state: int, reason: str, code: int) -> None:
    """The exit code says what became of the turn, and one sentence why."""
    answering(daemon, state=state, reason=reason)
    done = vibespace(*ASK, "hello")
    assert done.code == code
    assert len(done.err.splitlines()) == (1 if code else 0)
    assert "Traceback" not in done.err


@pytest.mark.parametrize("beside", [[], ["--queue"], ["--steer"]])
def test_it_takes_over_when_it_is_told_to(vibespace: Run, daemon: Daemon, beside: list[str]) -> None:
    """And else does not; how it meets what is at work is another matter."""
    answering(daemon)
    assert vibespace(*ASK, "--take-over", *beside, "hello").code == vibespace(*ASK, *beside, "hello").code == 0
    assert [(sent.take_over, sent.steer) for sent in daemon.asked(SEND)] == [
        (True, "--steer" in beside),
        (False, "--steer" in beside),
    ]


def test_it_is_said_once_why_a_message_waits(vibespace: Run, daemon: Daemon) -> None:
    """Where a person has to do something about it, with what that is."""
    answering(daemon)
    waits = c.Message(uid=UID, state=c.MESSAGE_STATE_QUEUED, reason="it is on a terminal", hint="Say --take-over.")
    daemon.answers[SEND] = lambda _: c.SendMessageResponse(message=waits)
    assert vibespace(*ASK, "hello").err.splitlines() == ["It waits: it is on a terminal. Say --take-over."]
    waits.reason = ""
    assert vibespace(*ASK, "hello").err == ""


def test_a_failure_says_once_what_it_was_and_what_mends_it(vibespace: Run, daemon: Daemon) -> None:
    """The program's tries while they are made; the last error is the end's own words. In JSON it is all there."""
    again = c.Block(error=c.ErrorBlock(trouble="overloaded", text="overloaded (529): attempt 1 of 2", retrying=True))
    last = c.Block(error=c.ErrorBlock(trouble="login", text="Invalid API key."))
    answering(daemon, again, last, reason="failed: Invalid API key.", trouble="login", hint="Give it a key.")
    done = vibespace(*ASK, "hello")
    assert (done.code, done.out) == (15, "")
    assert done.err.splitlines() == [
        "overloaded (529): attempt 1 of 2, it tries again",
        "vibespace: The agent did not get to an end: Invalid API key. Give it a key.",
    ]
    told = [json.loads(line) for line in vibespace("--json", *ASK, "hello").out.splitlines()]
    assert [next(iter(each)) for each in told] == ["block", "block", "message", "success"]
    assert (told[2]["message"]["trouble"], told[2]["message"]["hint"]) == ("login", "Give it a key.")
    error = told[3]["error"]
    assert (error["reason"], error["hint"], error["details"]) == ("TURN_FAILED", "Give it a key.", {"trouble": "login"})


@pytest.mark.parametrize(
    ("detail", "said"), [("It is refused.", "It is refused."), ("no " * 99, "no …"), ("no", "no.")]
)
def test_what_nobody_knows_better_about_is_in_what_its_program_said(
    vibespace: Run, daemon: Daemon, detail: str, said: str
) -> None:
    """Nothing on this machine is the cause of what a service refuses; and its words end as they do, or with a stop."""
    answering(daemon, reason=f"failed: {detail}")
    error = vibespace("--json", *ASK, "hello").out.splitlines()[-1]
    told = json.loads(error)["error"]
    assert (told["message"].endswith(said), told["message"].endswith("….")) == (True, False)
    assert told["hint"] == "'vibespace events --type transcript' has what its program said."


def test_an_error_that_ends_nothing_is_told(vibespace: Run, daemon: Daemon) -> None:
    """The agent went on after it."""
    answering(daemon, c.Block(error=c.ErrorBlock(trouble="other", text="It stumbled.")), text("There."))
    done = vibespace(*ASK, "hello")
    assert (done.code, done.out, done.err) == (0, "There.\n", "It stumbled.\n")


def test_what_contradicts_itself_is_not_sent(vibespace: Run, daemon: Daemon) -> None:
    """It waits, or it joins."""
    answering(daemon)
    assert vibespace(*ASK, "--queue", "--steer", "hello").code == 2
    assert daemon.asked(SEND) == []


def test_a_daemon_that_dies_is_asked_for_the_rest(vibespace: Run, daemon: Daemon) -> None:
    """From the last cursor on."""
    answering(daemon)
    turns: list[Callable[[], Iterator[c.StreamTranscriptResponse]]] = []

    def dies() -> Iterator[c.StreamTranscriptResponse]:
        first = c.StreamTranscriptResponse(blocks=[text("one")])
        first.cursor.position = 7
        yield first
        raise ConnectionError

    def goes_on() -> Iterator[c.StreamTranscriptResponse]:
        over = c.Message(uid=UID, state=DONE, reason="completed")
        yield c.StreamTranscriptResponse(blocks=[text("two")], messages=[over])

    turns += [dies, goes_on]
    daemon.answers[FOLLOW] = lambda _: turns.pop(0)()
    assert vibespace(*ASK, "hello").out == "one\ntwo\n"
    assert [request.after.position for request in daemon.asked(FOLLOW)] == [0, 7]


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
