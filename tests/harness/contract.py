"""What every harness does, whatever the program: it makes events of its lines, and survives all others."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from tests.harness import recorded
from vibespace.harness.base import Answer, Harness, Parser, Settings
from vibespace.harness.events import (
    ApprovalAnswered,
    ApprovalAsked,
    ApprovalCancelled,
    Event,
    Reason,
    Source,
    Text,
    ToolCall,
    ToolResult,
    TurnEnded,
    TurnStarted,
    Unparsed,
    WorkEnded,
)
from vibespace.harness.reading import LONGEST

Lines = Sequence[tuple[bytes, Source]]

GARBAGE = {
    "nothing": b"",
    "not JSON": b"Segmentation fault (core dumped)",
    "half a line": b'{"type":"assistant","message":{"content":[{"type":"te',
    "not UTF-8": b'{"type":"\xff\xfe"}',
    "half a character": '{"type":"é"}'.encode()[:-3],
    "not an object": b"[1,2,3]",
    "NaN": b'{"type":"result","total_cost_usd":NaN}',
    "a number without end": b'{"type":"result","x":1e999}',
    "a whole number without end": b'{"type":"result","x":' + b"9" * 5000 + b"}",
    "nested for ever": b'{"type":"user","message":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
    "nested deeply": b'{"type":"user","message":' + b"[" * 500 + b"]" * 500 + b"}",
    "wide": b'{"type":"user","message":[' + b"[]," * 200_000 + b"[]]}",
    "50 MB": b'{"type":"user","message":{"content":"' + b"x" * (50 << 20) + b'"}}',
    "a kind of tomorrow": b'{"type":"telepathy","method":"mind/read","is":"telepathy","params":{}}',
}

_COMMAND = re.compile(rb"\b(?:touch|echo)\b")
"""What is run in every turn of the contract's."""


class HarnessContract:
    """Holds for every harness. Subclasses say which, and give the lines of a turn in which a tool call was allowed."""

    harness: Harness
    turn: Lines

    @pytest.fixture
    def parser(self) -> Parser:
        return self.harness.parser()

    def test_nothing_is_kept_while_a_call_waits(self) -> None:
        """What it would do may hold what nobody is to keep."""
        parser, waits, kept = self.harness.parser(), False, []
        for line, source in self.turn:
            for event in parser.feed(line, source):
                waits = isinstance(event, ApprovalAsked) or (waits and not isinstance(event, ApprovalAnswered))
            kept.append((waits, parser.state() is None))
        assert {pair for pair in kept} == {(False, False), (True, True)}

    def test_its_own_login_lies_in_the_home(self) -> None:
        """A file in a directory there, and a command that makes it."""
        own = self.harness.own_login()
        assert own.argv
        assert not own.directory.startswith("/")
        assert "/" not in own.file
        assert all(name.isidentifier() for name in (own.home, own.alone) if name)

    def test_a_turn_begins_and_ends(self, parser: Parser) -> None:
        """Of a turn it is told that it begins, and that it ends, and then that the agent is idle, in this order."""
        kinds = [type(event) for event in self.fed(parser, self.turn)]
        assert [kind for kind in kinds if kind in (TurnStarted, TurnEnded, WorkEnded)] == [
            TurnStarted,
            TurnEnded,
            WorkEnded,
        ]

    def test_a_tool_call_is_asked_and_answered(self, parser: Parser) -> None:
        """The call, the question, the answer and the result come in this order, and name the same call and request."""
        events = [
            event
            for event in self.fed(parser, self.turn)
            if isinstance(event, ToolCall | ApprovalAsked | ApprovalAnswered | ToolResult)
        ]
        call, asked, answered, result = events
        assert isinstance(call, ToolCall)
        assert isinstance(asked, ApprovalAsked)
        assert isinstance(answered, ApprovalAnswered)
        assert isinstance(result, ToolResult)
        assert (asked.call, asked.tool, dict(asked.input)) == (call.call, call.tool, dict(call.input))
        assert (answered.request, result.call) == (asked.request, call.call)

    def test_the_answer_is_told(self, parser: Parser) -> None:
        """What the agent says comes as text that is not the user's."""
        assert [event.text for event in self.fed(parser, self.turn) if isinstance(event, Text) and not event.by_user]

    def test_what_is_told_once_has_a_name(self, parser: Parser) -> None:
        """Class and id together name one event of a turn."""
        named = [(type(event), event.id) for event in self.fed(parser, self.turn) if event.id]
        assert len(named) == len(set(named))

    def test_events_can_be_kept(self, parser: Parser) -> None:
        """Every field is text, a number, or JSON, so that a log can hold it as UTF-8."""
        for event in self.fed(parser, self.turn):
            recorded.kept(event)

    def test_a_parser_can_be_made_again(self) -> None:
        """Cut anywhere: one that is fed all lines of the process so far goes on as the one that was lost would have."""
        whole = self.fed(self.harness.parser(), self.turn)
        for cut in range(len(self.turn)):
            again = self.harness.parser()
            before = self.fed(again, self.turn[:cut])
            assert [*before, *self.fed(again, self.turn[cut:])] == whole

    def test_a_program_that_goes_leaves_nothing_open(self) -> None:
        """Cut anywhere: what began has ended, and what was asked is cancelled or answered; a second time nothing is."""
        for cut in range(len(self.turn) + 1):
            parser = self.harness.parser()
            told = [*self.fed(parser, self.turn[:cut]), *parser.lost()]
            assert names(told, TurnStarted) == names(told, TurnEnded)
            assert names(told, ApprovalAsked) == names(told, ApprovalAnswered) | names(told, ApprovalCancelled)
            assert names(told, TurnStarted) == set() or isinstance(told[-1], WorkEnded)
            assert parser.lost() == ()

    def test_it_says_that_a_turn_was_lost(self, parser: Parser) -> None:
        """A turn whose program goes away is not completed."""
        begun = next(n for n, (line, source) in enumerate(self.turn) if self.starts(self.turn[: n + 1]))
        self.fed(parser, self.turn[: begun + 1])
        assert [event.reason for event in parser.lost() if isinstance(event, TurnEnded)] == [Reason.LOST]

    @pytest.mark.parametrize("line", GARBAGE.values(), ids=GARBAGE.keys())
    @pytest.mark.parametrize("source", Source)
    def test_garbage_is_shown(self, parser: Parser, line: bytes, source: Source) -> None:
        """What cannot be read is one Unparsed with a reason, and the turn goes on after it."""
        expected = self.fed(self.harness.parser(), self.turn)
        middle = len(self.turn) // 2
        before = self.fed(parser, self.turn[:middle])
        (found,) = parser.feed(line, source)
        assert isinstance(found, Unparsed)
        assert found.why
        assert [*before, *self.fed(parser, self.turn[middle:])] == expected

    def test_half_a_surrogate_pair_can_be_kept(self, parser: Parser) -> None:
        """Escapes that no UTF-8 can hold become the sign for what cannot be shown."""
        for line, source in self.changed(rb"\uDFFF\ud800"):
            for event in parser.feed(line, source):
                recorded.kept(event)

    @pytest.mark.parametrize("words", [b"make", rb"a\nb", rb"a\u0000b", rb"\u202ea", b")(", rb"\ud800"])
    def test_every_rule_that_is_offered_can_be_answered_with(self, parser: Parser, words: bytes) -> None:
        """Whatever the command: what "always" would allow is never refused to the one who chose it."""
        asked = [event for event in self.fed(parser, self.changed(words)) if isinstance(event, ApprovalAsked)]
        assert asked
        for event in asked:
            assert json.loads(self.harness.answer(event, Answer(True, rules=event.rules)))

    def test_a_message_is_one_line(self) -> None:
        """Whatever is said, it is sent as one line of JSON that holds our id and every character."""
        for text in ("hello", "two\nlines\r\n\u2028\x00", "\ud800", "/not-a-command", "é" * 1000):
            sent = self.harness.say("c-1", text, "m-1", "r-1")
            assert b"\n" not in sent
            said = json.loads(sent)
            assert "m-1" in [value for _, value in leaves(said)]
            assert any(isinstance(value, str) and value.endswith(text) for _, value in leaves(said))

    def test_both_answers_differ(self, parser: Parser) -> None:
        """Allowed and denied are each one line of JSON, and are not the same."""
        asked = next(event for event in self.fed(parser, self.turn) if isinstance(event, ApprovalAsked))
        lines = [self.harness.answer(asked, Answer(allow)) for allow in (True, False)]
        assert json.loads(lines[0]) != json.loads(lines[1])
        assert not any(b"\n" in line for line in lines)

    def test_equal_settings_need_nothing(self) -> None:
        """Nothing is sent and nothing restarts for settings that are in force."""
        for each in (Settings(), Settings(model="m", effort="low", allowed_tools=("Bash(git:*)",), max_turns=3)):
            update = self.harness.update("c-1", each, replace(each), "r-1")
            assert (update.lines, update.restart) == ({}, ())

    def test_it_is_started_by_its_name(self) -> None:
        """Both doors have a command."""
        assert self.harness.headless(Settings(), "c-1", resume=False).argv
        assert self.harness.terminal(Settings(), "c-1", resume=True, hook="hook", directory="/w", env={}).argv

    def changed(self, words: bytes) -> Lines:
        """The turn with `words` in its commands, and in what it says to be allowed."""
        lines = tuple((_COMMAND.sub(words.replace(b"\\", rb"\\"), line), source) for line, source in self.turn)
        assert lines != self.turn
        return lines

    def fed(self, parser: Parser, lines: Lines) -> list[Event]:
        return [event for line, source in lines for event in parser.feed(line, source)]

    def starts(self, lines: Lines) -> bool:
        return any(isinstance(event, TurnStarted) for event in self.fed(self.harness.parser(), lines))


def names(events: list[Event], kind: type[Event]) -> set[str]:
    return {event.id for event in events if isinstance(event, kind)}


def leaves(value: object, key: str = "") -> Iterator[tuple[str, object]]:
    match value:
        case dict():
            for name, each in value.items():
                yield from leaves(each, name)
        case list():
            for each in value:
                yield from leaves(each, key)
        case _:
            yield key, value


assert len(GARBAGE["50 MB"]) > LONGEST
