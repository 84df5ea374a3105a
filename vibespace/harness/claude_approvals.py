"""Which tool calls of Claude Code wait, and by what it is seen that one was decided."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vibespace.errors import InvalidArgument
from vibespace.harness.events import (
    ApprovalAnswered,
    ApprovalAsked,
    ApprovalCancelled,
    Event,
    ToolCall,
    ToolResult,
    Unparsed,
    Where,
)
from vibespace.harness.reading import Object, called, items, mapping, text, true
from vibespace.harness.rules import parse_rule

MOST_OPEN = 300
"""Questions, and calls without a result, of one turn."""


class Open:
    """What is asked, and the calls without a result, of the running turn."""

    def __init__(self) -> None:
        self._asked: dict[str, tuple[ApprovalAsked, bytes]] = {}
        """Without what was shown, which the digest stands for."""
        self._calls: dict[str, bytes] = {}
        """Digests, of the latest."""

    def ask(
        self, said: Object, request: str, given: dict[str, Any], where: Where, *, terminal: bool
    ) -> ApprovalAsked | Unparsed:
        if not request:
            return Unparsed(why="a question without an id", kind=text(said, "tool_name"), **where)
        if len(self._asked) >= MOST_OPEN:
            return Unparsed(why="too many questions", kind=text(said, "tool_name"), request=request, **where)
        asked = ApprovalAsked(
            id=request,
            request=request,
            call=called(said, "tool_use_id"),
            tool=text(said, "tool_name"),
            input=given,
            reason=text(said, "decision_reason"),
            rules=() if true(said, "suppress_always_allow_rule") else tuple(_suggested(said)),
            terminal=terminal,
            **where,
        )
        self._asked[request] = replace(asked, tool="", input={}, reason="", rules=()), _digest(asked.tool, given)
        return asked

    def cancel(self, request: str) -> ApprovalAsked | None:
        """What nobody waits for any more, if it was still open."""
        asked, _ = self._asked.pop(request, (None, b""))
        return asked

    def seen(self, said: Object, events: tuple[Event, ...]) -> tuple[Event, ...]:
        """`events`, and that an approval was answered if a result among them says so."""
        found: list[Event] = []
        for event in events:
            if isinstance(event, ToolCall):
                self._calls[event.call] = _digest(event.tool, event.input)
                if len(self._calls) > MOST_OPEN:
                    del self._calls[next(iter(self._calls))]
            if isinstance(event, ToolResult):
                digest = self._calls.pop(event.call, b"")
                found += self._settled(event.call, digest, _allowed(said, event.call))
            found.append(event)
        return tuple(found)

    def used(self, said: Object) -> tuple[Event, ...]:
        """A hook tells that a tool has run, so that it was allowed; sooner than the transcript does."""
        digest = _digest(text(said, "tool_name"), mapping(said, "tool_input"))
        return tuple(self._settled(called(said, "tool_use_id"), digest, True))

    def close(self) -> tuple[Event, ...]:
        """The turn is over, and nobody waits any more for what it asked."""
        asked, self._asked, self._calls = self._asked, {}, {}
        return tuple(
            ApprovalCancelled(id=name, request=name, conversation=each.conversation, turn=each.turn)
            for name, (each, _) in asked.items()
        )

    def state(self) -> dict[str, str] | None:
        """See Parser.state."""
        return None if self._asked else {call: digest.hex() for call, digest in self._calls.items()}

    def restore(self, state: Mapping[str, str]) -> None:
        self._calls = {call: bytes.fromhex(digest) for call, digest in state.items()}

    def _settled(self, call: str, digest: bytes, allowed: bool | None) -> list[Event]:
        """On the terminal it is asked without the call's id, so that what was asked has to do."""
        for name, (asked, about) in list(self._asked.items()):
            if (asked.call and asked.call == call) or (asked.terminal and not asked.call and about == digest):
                del self._asked[name]
                where: Where = {"conversation": asked.conversation, "turn": asked.turn}
                return [ApprovalAnswered(id=name, request=name, allowed=allowed, **where)]
        return []


def _digest(tool: str, given: Mapping[str, Any]) -> bytes:
    """The same for the same call, and small, however large that is."""
    return hashlib.sha256(json.dumps([tool, given], sort_keys=True).encode()).digest()


def _allowed(said: Object, call: str) -> bool | None:
    told = [
        mapping(each, "permission_decision") for each in items(said, "tool_result_meta") if called(each, "id") == call
    ]
    decision = text(told[0] if told else mapping(said, "permissionDecision"), "decision")
    return {"accept": True, "reject": False}.get(decision)


def _suggested(said: Object) -> list[str]:
    """Rules that the program itself proposes to allow for longer, of those that an answer can name."""
    found = []
    for suggestion in items(said, "permission_suggestions"):
        if text(suggestion, "type") == "addRules" and text(suggestion, "behavior") == "allow":
            for rule in items(suggestion, "rules"):
                tool, content = text(rule, "toolName"), text(rule, "ruleContent")
                found.append(f"{tool}({content})" if content else tool)
    return [rule for rule in found if _readable(rule)]


def _readable(rule: str) -> bool:
    try:
        parse_rule(rule, "rules")
    except InvalidArgument:
        return False
    return True
