"""`ask` prints what an agent says, and ends as its turn does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from io import BytesIO, TextIOWrapper
from typing import Any

import pytest
from vibespace_cli.handmade import ask

from tests.cli.conftest import Run
from tests.cli.daemon import Daemon
from tests.cli.process import on_terminal
from vibespace.app import messages
from vibespace.errors import FailedPrecondition
from vibespace.v1 import conversations_pb2 as c

SEND, FOLLOW = "ConversationService/SendMessage", "ConversationService/StreamTranscript"
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


@pytest.mark.parametrize("end", ["", "."])
def test_what_is_tried_again_is_a_line(daemon: Daemon, end: str) -> None:
    """What was said of it so far, and then that it is; whether or not that comes whole after all."""
    again = c.Block(error=c.ErrorBlock(text="cut off", retrying=True))
    whole = text(f"I look{end}", block="b1")
    hearing(daemon, saying("b1", 0, "I look"), c.StreamTranscriptResponse(blocks=[again, whole, text("There.")]))
    _, seen = on_terminal(*ASK, "hello")
    assert seen.splitlines() == ["I look", "cut off, it tries again", *([end] if end else []), "There."]


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
