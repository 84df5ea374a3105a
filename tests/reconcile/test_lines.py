"""What the log is to have of a record, whatever that holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.harness.echo import Echo
from vibespace.app.blobs import Blobs
from vibespace.domain.transcripts import Place
from vibespace.harness.codex import Codex
from vibespace.harness.events import ApprovalAsked, RateLimit, Reason, ToolCall, TurnEnded, Unparsed
from vibespace.harness.reading import encode
from vibespace.net.base import Record
from vibespace.reconcile.blocks import blocks_of
from vibespace.reconcile.lines import INLINE, Lines, note, told

SECRET = "k-of-the-mill"


@pytest.fixture
def lines(tmp_path: Path) -> Lines:
    return Lines(
        "00000000-0000-0000-0000-000000000003", Echo(), lambda text: text.replace(SECRET, "***"), Blobs(tmp_path)
    )


def record(kind: str, data: bytes) -> Record:
    return Record(kind, 1, 2, data, len(data))


@pytest.mark.parametrize("data", [b"", b"garbage", b"\xff", b"[]", b"7", b'{"note": 7}', b"[" * 100_000])
def test_a_record_of_the_runner_that_is_none(data: bytes) -> None:
    """Whoever rules inside may have written it: it says nothing."""
    assert told(data) in ({}, {"note": 7})
    assert note(data) == {}


def test_a_record_of_the_runner_that_cannot_be_kept() -> None:
    """Halves of characters, which no UTF-8 can hold, are replaced."""
    assert note(b'{"note": {"conversation": "\\ud800"}}') == {"conversation": "\ufffd"}


async def test_what_says_nothing_is_not_kept(lines: Lines) -> None:
    """What the runner notes for itself, what was given to the program, and what only shows that it lives."""
    for kind in ("mark", "input", "connected", "disconnected"):
        said = record(kind, b"{}")
        assert await lines.command(said, lines.read(said), Place(1, 1)) is None


async def test_values_are_masked(lines: Lines) -> None:
    """In the line, in what it tells, and in the last words."""
    said = record("stdout", f'{{"is": "said", "id": "1", "text": "it is {SECRET}"}}\n'.encode())
    command = await lines.command(said, lines.read(said), Place(1, 1))
    assert command is not None
    assert SECRET not in repr(command)
    assert repr(command).count("it is ***") == 3
    lines.read(record("stderr", b"x" * 200 + f"{SECRET} was wrong\n".encode()))
    assert lines.last_words.endswith("*** was wrong")


def test_numbers_are_masked() -> None:
    """A value of digits alone is a number in what a tool is given; all others stay numbers, as what we count does."""
    given = {"pin": 4111, "most": [4111.5, 30], "is": True, "none": None}
    call = ToolCall(id="c", call="c", tool="Bash", input=given)
    limit = RateLimit(window="w", percent=1, resets=4111, reached=False)
    block, other = blocks_of([call, limit], lambda text: text.replace("4111", "***"))
    assert other["resets"] == 4111
    assert json.loads(block["input"]) == {"pin": "***", "most": ["***.5", 30], "is": True, "none": None}


async def test_colours_of_standard_error_are_not_kept(lines: Lines) -> None:
    """Nor do they hide what is to be masked."""
    said = record(
        "stderr", f"\x1b[2mnow\x1b[0m \x1b[31;1mERROR\x1b[0m {SECRET[:3]}\x1b[1m{SECRET[3:]}\x1b[0m [0m\n".encode()
    )
    command = await lines.command(said, lines.read(said), Place(1, 1))
    assert "'text': 'now ERROR *** [0m'" in repr(command)
    assert lines.last_words == "now ERROR *** [0m"


def question(name: str, size: int = 1) -> Record:
    return record("stdout", encode({"is": "may", "id": name, "tool": "Shell", "input": {"command": "x" * size}}))


def test_what_waits_for_decisions_has_a_limit(lines: Lines) -> None:
    """All of it together, for it is kept whole; beyond it the program is declined until something is decided."""
    asked = [event for name in "abcdef" for event in lines.read(question(name, 1 << 20))]
    assert [type(event) for event in asked] == [ApprovalAsked] * 3 + [Unparsed] * 3
    assert [event.request for event in asked if isinstance(event, Unparsed)] == ["d", "e", "f"]
    lines.read(question("small"))
    lines.read(record("stdout", encode({"is": "did", "id": "small", "text": ""})))
    assert isinstance(lines.read(question("small"))[0], Unparsed)
    assert isinstance(lines.read(question("n" * 201))[0], Unparsed)


@pytest.mark.parametrize(("letter", "held"), [("x", INLINE), ("ẍ", INLINE - 2)])
async def test_a_long_line_lies_apart(lines: Lines, tmp_path: Path, letter: str, held: int) -> None:
    """The event has as many bytes of the beginning as make whole letters, and the name of the whole."""
    said = record("stdout", f'{{"is": "said", "id": "1", "text": "{letter * INLINE}"}}\n'.encode())
    command = await lines.command(said, lines.read(said), Place(1, 1))
    assert command is not None
    [line] = [value for value in command.keywords.values() if hasattr(value, "blob")]  # type: ignore[attr-defined]  # a partial
    assert (len(line.text.encode()), line.stored[0]["cut"], len(line.blocks[0]["text"])) == (held, True, INLINE)
    assert (letter * INLINE).encode() in (tmp_path / line.blob).read_bytes()
    too_long = Record("stdout", 1, 2, b"x" * 10, 1 << 40)
    assert [event.why for event in lines.read(too_long)] == [f"a line of {1 << 40} bytes"]  # type: ignore[attr-defined]  # Unparsed


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (b"1-limit-t_1-0\n{}", Reason.TURN_LIMIT),
        (b"1-limit-t_0-0\n{}", Reason.INTERRUPTED),
        (b"1-interrupt-t_1-0\n{}", Reason.INTERRUPTED),
        (b"\xff", Reason.INTERRUPTED),
    ],
)
def test_a_turn_that_was_ended_for_its_rounds_says_so(tmp_path: Path, written: bytes, reason: Reason) -> None:
    """To a program that counts none it is an interrupt as any other."""
    lines = Lines("a", Codex(), str, Blobs(tmp_path))
    turn = {"id": "t 1", "status": "interrupted", "error": None}
    over = encode({"method": "turn/completed", "params": {"threadId": "c", "turn": turn}})
    assert lines.read(record("input", written)) == ()
    ends = [event for event in lines.read(record("stdout", over)) if isinstance(event, TurnEnded)]
    assert [(event.turn, event.reason) for event in ends] == [("t 1", reason)]


def test_a_name_is_asked_under_once(lines: Lines, tmp_path: Path) -> None:
    """An answer would be about what was shown the first time; another program, or connection, has names anew."""
    asks = record("stdout", encode({"is": "may", "id": "r", "tool": "Bash", "input": {}}))
    later = Lines("a", Echo(), str, Blobs(tmp_path))
    assert [type(event) for event in lines.read(asks)] == [ApprovalAsked]
    lines.read(record("stdout", encode({"is": "did", "id": "r"})))
    state = lines.state()
    assert state
    later.restore(state)
    for each in (lines, later):
        [again] = each.read(asks)
        assert isinstance(again, Unparsed)
        assert again.request == "r"
    assert lines.read(record("connected", b"{}")) == ()
    later.begin()
    for each in (lines, later):
        assert [type(event) for event in each.read(asks)] == [ApprovalAsked]
