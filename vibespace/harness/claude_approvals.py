"""Which tool calls of Claude Code wait, and by what it is seen that one was decided."""

from __future__ import annotations

from typing import Any

from vibespace.harness.events import (
    ApprovalAnswered,
    ApprovalAsked,
    ApprovalCancelled,
    Event,
    ToolCall,
    ToolResult,
    Where,
)
from vibespace.harness.reading import Object, items, mapping, text, true


class Open:
    """What is asked, and the calls without a result, of the running turn."""

    def __init__(self) -> None:
        self._asked: dict[str, ApprovalAsked] = {}
        self._calls: dict[str, ToolCall] = {}

    def ask(self, said: Object, request: str, given: dict[str, Any], where: Where, *, terminal: bool) -> ApprovalAsked:
        asked = ApprovalAsked(
            id=request,
            request=request,
            call=text(said, "tool_use_id"),
            tool=text(said, "tool_name"),
            input=given,
            reason=text(said, "decision_reason"),
            rules=() if true(said, "suppress_always_allow_rule") else tuple(_suggested(said)),
            terminal=terminal,
            **where,
        )
        self._asked[request] = asked
        return asked

    def cancel(self, request: str) -> None:
        self._asked.pop(request, None)

    def seen(self, said: Object, events: tuple[Event, ...]) -> tuple[Event, ...]:
        """`events`, and that an approval was answered if a result among them says so."""
        found: list[Event] = []
        for event in events:
            if isinstance(event, ToolCall):
                self._calls[event.call] = event
            if isinstance(event, ToolResult):
                call = self._calls.pop(event.call, None)
                found += self._settled(call or event, _allowed(said, event.call))
            found.append(event)
        return tuple(found)

    def used(self, said: Object) -> tuple[Event, ...]:
        """A hook tells that a tool has run, so that it was allowed; sooner than the transcript does."""
        return tuple(self._settled(_by_hook(said), True))

    def close(self) -> tuple[Event, ...]:
        """The turn is over, and nobody waits any more for what it asked."""
        asked, self._asked, self._calls = self._asked, {}, {}
        return tuple(
            ApprovalCancelled(id=name, request=name, conversation=each.conversation, turn=each.turn)
            for name, each in asked.items()
        )

    def _settled(self, done: ToolCall | ToolResult, allowed: bool | None) -> list[Event]:
        """On the terminal it is asked without the call's id, so that what was asked has to do."""
        for name, asked in list(self._asked.items()):
            same = isinstance(done, ToolCall) and (asked.tool, asked.input) == (done.tool, done.input)
            if (asked.call and asked.call == done.call) or (asked.terminal and not asked.call and same):
                del self._asked[name]
                where: Where = {"conversation": asked.conversation, "turn": asked.turn}
                return [ApprovalAnswered(id=name, request=name, allowed=allowed, **where)]
        return []


def _by_hook(said: Object) -> ToolCall:
    given = mapping(said, "tool_input")
    return ToolCall(call=text(said, "tool_use_id"), tool=text(said, "tool_name"), input=given)


def _allowed(said: Object, call: str) -> bool | None:
    told = [
        mapping(each, "permission_decision") for each in items(said, "tool_result_meta") if text(each, "id") == call
    ]
    decision = text(told[0] if told else mapping(said, "permissionDecision"), "decision")
    return {"accept": True, "reject": False}.get(decision)


def _suggested(said: Object) -> list[str]:
    """Rules that the program itself proposes to allow for longer."""
    found = []
    for suggestion in items(said, "permission_suggestions"):
        if text(suggestion, "type") == "addRules" and text(suggestion, "behavior") == "allow":
            for rule in items(suggestion, "rules"):
                tool, content = text(rule, "toolName"), text(rule, "ruleContent")
                found.append(f"{tool}({content})" if content else tool)
    return [rule for rule in found if rule]
