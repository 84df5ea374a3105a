"""A third agent program, as small as one can be: it says what it is told. Its harness is this file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vibespace.harness.base import NOTHING, Answer, Command, Kept, OwnLogin, Settings, Update
from vibespace.harness.events import (
    ApprovalAnswered,
    ApprovalAsked,
    ApprovalCancelled,
    Delta,
    Event,
    Reason,
    Replied,
    Source,
    Stream,
    Text,
    ToolCall,
    ToolResult,
    Trouble,
    TurnEnded,
    TurnStarted,
    Unparsed,
    WorkEnded,
)
from vibespace.harness.reading import decode, encode, mapping, text, true


class EchoParser:
    def __init__(self) -> None:
        self._turn = ""
        self._asked = ""

    def feed(self, line: bytes, source: Source = Source.OUTPUT) -> tuple[Event, ...]:
        said = decode(line)
        if isinstance(said, Unparsed):
            return (said,)
        name = text(said, "id")
        match text(said, "is"):
            case "begin":
                self._turn = name
                return (TurnStarted(id=name, turn=name),)
            case "heard":
                return (Text(id=name, text=text(said, "text"), by_user=True, message=name, turn=self._turn),)
            case "said":
                return (Text(id=name, text=text(said, "text"), turn=self._turn, block=text(said, "block")),)
            case "saying":
                block, words = text(said, "block"), text(said, "text")
                return (Delta(id=name, turn=self._turn, block=block, stream=Stream.TEXT, text=words),)
            case "call":
                given = mapping(said, "input")
                return (ToolCall(id=name, call=name, tool=text(said, "tool"), input=given, turn=self._turn),)
            case "may":
                self._asked = name
                tool, given = text(said, "tool"), mapping(said, "input")
                return (ApprovalAsked(id=name, request=name, call=name, tool=tool, input=given, turn=self._turn),)
            case "did":
                answered = [ApprovalAnswered(id=name, request=name, turn=self._turn)] if self._asked == name else []
                self._asked = "" if answered else self._asked
                failed = true(said, "failed")
                return (*answered, ToolResult(id=name, call=name, text=text(said, "text"), failed=failed))
            case "end" if text(said, "failed"):
                return self._ended(Reason.FAILED, text(said, "failed"), Trouble(text(said, "trouble")))
            case "end":
                return self._ended(Reason.COMPLETED)
            case "done":
                return (Replied(id=name, request=name),)
            case "what":
                return (Unparsed(why="unknown kind", kind="what", request=name),)
            case kind:
                return (Unparsed(why="unknown kind", kind=kind),)

    def lost(self) -> tuple[Event, ...]:
        return self._ended(Reason.LOST) if self._turn else ()

    def next(self) -> EchoParser:
        return EchoParser()

    def state(self) -> dict[str, Any] | None:
        return None if self._asked else {"turn": self._turn}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._turn = state["turn"]

    def _ended(self, reason: Reason, detail: str = "", trouble: Trouble | None = None) -> tuple[Event, ...]:
        turn, asked, self._turn, self._asked = self._turn, self._asked, "", ""
        cancelled = (ApprovalCancelled(id=asked, request=asked, turn=turn),) if asked else ()
        over = TurnEnded(id=turn, turn=turn, reason=reason, detail=detail, trouble=trouble)
        return (*cancelled, over, WorkEnded(id=turn))


class Echo:
    shares = False
    counted = frozenset({"max_turns"})

    def check(self, settings: Settings) -> None:
        pass

    def login(self, env: Mapping[str, str], request: str) -> tuple[bytes, ...]:
        return ()

    def own_login(self) -> OwnLogin:
        return OwnLogin(("echo-agent", "--login"), ".echo", "login", "ECHO_HOME")

    def headless(
        self, settings: Settings, conversation: str, *, resume: bool, env: Mapping[str, str] = NOTHING
    ) -> Command:
        return Command(("echo-agent", conversation))

    def record(self, conversation: str, directory: str) -> Kept | None:
        return None

    def named(self, line: bytes) -> Sequence[str]:
        return ()

    def terminal(
        self, settings: Settings, conversation: str, *, resume: bool, hook: str, directory: str, env: Mapping[str, str]
    ) -> Command:
        return Command(("echo-agent", "--terminal", conversation))

    def parser(self) -> EchoParser:
        return EchoParser()

    def greet(self, request: str) -> tuple[bytes, ...]:
        return ()

    def open(self, settings: Settings, conversation: str, directory: str, request: str) -> tuple[bytes, ...]:
        return ()

    def has_lost(self, refusal: str) -> bool:
        return False

    def is_busy(self, refusal: str) -> bool:
        return False

    def name(self, conversation: str, name: str, request: str) -> tuple[bytes, ...]:
        return ()

    def say(
        self, conversation: str, text: str, message: str, request: str, *, turn: str = "", command: bool = False
    ) -> bytes:
        return encode({"do": "say", "id": message, "text": text})

    def look_up(self, conversation: str, message: str, request: str) -> tuple[bytes, ...]:
        return ()

    def interrupt(self, conversation: str, turn: str, request: str) -> tuple[bytes, ...]:
        return (encode({"do": "stop", "id": request}),)

    def answer(self, asked: ApprovalAsked, answer: Answer) -> bytes:
        return encode({"do": "answer", "id": asked.request, "allow": answer.allow})

    def decline(self, request: str) -> bytes:
        return encode({"do": "answer", "id": request, "allow": False})

    def update(self, conversation: str, old: Settings, new: Settings, request: str) -> Update:
        return Update({request: encode({"do": "set", "id": request, "model": new.model})} if old != new else {})
