"""What Codex's app-server writes: replies, notifications and requests of its own, each a JSON-RPC message."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, astuple, dataclass, field, replace
from typing import Any

from vibespace.harness.codex_items import begun, done, failure
from vibespace.harness.events import (
    ApprovalAnswered,
    ApprovalAsked,
    ApprovalCancelled,
    ConversationSwitched,
    Delta,
    Error,
    Event,
    RateLimit,
    Reason,
    Replied,
    Source,
    Stream,
    ToolCall,
    ToolProgress,
    Trouble,
    TurnEnded,
    TurnStarted,
    Unparsed,
    Usage,
    Where,
    WorkEnded,
)
from vibespace.harness.reading import (
    LARGEST,
    LONGEST_NAME,
    MOST_PARTS,
    Object,
    amount,
    called,
    count,
    decode,
    encode,
    items,
    mapping,
    percent,
    text,
    true,
    whole,
)

CLEAN = "thread/backgroundTerminals/clean"
ITEMS = "thread/items/list"
PERMISSIONS = "Permissions"
"""The tool of an approval that asks for more than one call."""

_KNOWN = """
    thread/status/changed thread/readState/changed thread/name/updated thread/goal/updated thread/goal/cleared
    thread/settings/updated thread/archived thread/unarchived thread/compacted thread/queue/changed
    turn/diff/updated turn/plan/updated item/fileChange/patchUpdated item/reasoning/summaryPartAdded
    item/commandExecution/terminalInteraction account/login/completed account/updated remoteControl/status/changed
    configWarning deprecationNotice skills/changed mcpServer/startupStatus/updated hook/started hook/completed
"""
_SILENT = frozenset(_KNOWN.split())
"""Methods that are known, and say nothing about the conversation."""

_DELTAS = {
    "item/agentMessage/delta": Stream.TEXT,
    "item/plan/delta": Stream.TEXT,
    "item/reasoning/textDelta": Stream.REASONING,
    "item/reasoning/summaryTextDelta": Stream.REASONING,
}
_PROGRESS = {
    "item/commandExecution/outputDelta": "delta",
    "item/fileChange/outputDelta": "delta",
    "item/mcpToolCall/progress": "message",
}
_APPROVALS = {
    "item/commandExecution/requestApproval": "Bash",
    "item/fileChange/requestApproval": "Edit",
    "item/permissions/requestApproval": PERMISSIONS,
}
_REASONS = {"completed": Reason.COMPLETED, "interrupted": Reason.INTERRUPTED}

MOST_THREADS = 100
"""That are under way at once; each helper of an agent is one."""

MOST_OPEN = 300
"""Calls, and questions, of all threads at once."""

_KEPT = 1 << 20
"""Bytes of a call's input that are kept until it is asked about."""

Events = tuple[Event, ...]


@dataclass
class _Thread:
    """What is under way in one of the program's conversations."""

    turn: str = ""
    ended: str = ""
    """The turn before."""
    running: dict[str, ToolCall] = field(default_factory=dict)
    asked: dict[str, ApprovalAsked] = field(default_factory=dict)
    """Without what was shown."""
    total: Usage = field(default_factory=Usage)
    """What it last said to have spent altogether."""
    usage: Usage = field(default_factory=Usage)


class CodexParser:
    """See Parser. Threads of the program's own, such as one that finds a title, are told apart by `conversation`."""

    def __init__(self) -> None:
        self._conversation = ""
        self._threads: dict[str, _Thread] = {}
        self._handlers: dict[str, Callable[[Object], Events]] = {
            "turn/started": self._turn_started,
            "turn/completed": self._turn_completed,
            "item/started": self._item_started,
            "item/completed": self._item_completed,
            "thread/started": self._thread_started,
            "thread/closed": self._thread_closed,
            "thread/tokenUsage/updated": self._spent,
            "serverRequest/resolved": self._resolved,
            "account/rateLimits/updated": self._rate_limits,
            "error": self._error,
            "warning": self._warning,
        }

    def feed(self, line: bytes, source: Source = Source.OUTPUT) -> Events:
        said = decode(line)
        if isinstance(said, Unparsed):
            return (said,)
        method = text(said, "method")
        if "id" in said:
            return self._asked(said, method) if method else self._replied(said)
        params = mapping(said, "params")
        if method in self._handlers:
            if self._full(called(params, "threadId")):
                return (Unparsed(why="too many threads", kind=method, **_where(params)),)
            return self._handlers[method](params)
        if method in _DELTAS:
            stream, piece = _DELTAS[method], text(params, "delta")
            return (Delta(block=called(params, "itemId"), stream=stream, text=piece, **_where(params)),)
        if method in _PROGRESS:
            return (
                ToolProgress(call=called(params, "itemId"), text=text(params, _PROGRESS[method]), **_where(params)),
            )
        return () if method in _SILENT else (Unparsed(why="unknown kind", kind=method, **_where(params)),)

    def lost(self) -> Events:
        threads, self._threads = self._threads, {}
        return tuple(event for name, thread in threads.items() for event in _gone(name, thread))

    def state(self) -> dict[str, Any] | None:
        if any(thread.asked for thread in self._threads.values()):
            return None
        threads = {name: asdict(thread) for name, thread in self._threads.items()}
        return {"conversation": self._conversation, "threads": threads}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._conversation = state["conversation"]
        for name, told in state["threads"].items():
            running = {call: ToolCall(**each) for call, each in told["running"].items()}
            usage, total = Usage(**told["usage"]), Usage(**told["total"])
            self._threads[name] = _Thread(told["turn"], told["ended"], running, total=total, usage=usage)

    # Replies and requests

    def _replied(self, said: Object) -> Events:
        name = called(said, "id")
        method, _, rest = name.partition(" ")
        conversation, _, request = rest.rpartition(" ")
        if not request:
            return (Unparsed(why="a reply to nothing of ours"),)
        if "error" in said:
            refusal = text(said, "error", "message") or "refused"
            return (Replied(id=name, request=request, conversation=conversation, refusal=refusal),)
        told: Events = ()
        if method in ("thread/start", "thread/resume"):
            told = self._switch(called(said, "result", "thread", "id"))
        elif method == ITEMS:
            told = self._listed(conversation, items(said, "result", "data"))
        elif method == CLEAN:
            told = self._cleaned(conversation)
        return (*told, Replied(id=name, request=request, conversation=conversation))

    def _listed(self, conversation: str, entries: list[Any]) -> Events:
        """The messages that it has, oldest first, for they are asked for newest first. The rest was told when it was
        said.
        """
        if len(entries) > MOST_PARTS:
            return (Unparsed(why=f"{len(entries)} parts", kind=ITEMS, conversation=conversation),)
        found: list[Event] = []
        for entry in sorted(reversed(entries), key=lambda entry: count(entry, "startedAtMs")):
            item = mapping(entry, "item")
            if text(item, "clientId"):
                found += done(item, {"conversation": conversation, "turn": called(entry, "turnId")})
        return tuple(found)

    def _cleaned(self, conversation: str) -> Events:
        thread = self._threads.get(conversation)
        if not (thread and thread.running):
            return ()
        thread.running = {}
        return () if thread.turn else (WorkEnded(conversation=conversation),)

    def _asked(self, said: Object, method: str) -> Events:
        request = json.dumps(said.get("id"))
        params = mapping(said, "params")
        where = _where(params)
        if method not in _APPROVALS:
            return (Unparsed(why="unknown kind", kind=method, request=request, **where),)
        asked_so_far = sum(len(each.asked) for each in self._threads.values())
        if self._full(where["conversation"]) or asked_so_far >= MOST_OPEN or len(request) > LONGEST_NAME:
            return (Unparsed(why="too many questions", kind=method, request=request, **where),)
        call = called(params, "itemId")
        thread = self._amid(where)
        asked = ApprovalAsked(
            id=called(params, "approvalId") or call,
            request=request,
            call=call,
            tool=_APPROVALS[method],
            input=_shown(params, thread.running.get(call)),
            reason=text(params, "reason"),
            rules=_rules(method, params),
            **where,
        )
        thread.asked[request] = replace(asked, input={}, reason="", rules=())
        return (asked,)

    def _resolved(self, params: Object) -> Events:
        request = json.dumps(params.get("requestId"))
        thread = self._thread(called(params, "threadId"))
        asked = thread.asked.pop(request, None)
        name, turn = (asked.id, asked.turn) if asked else (request, thread.turn)
        return (ApprovalAnswered(id=name, request=request, conversation=called(params, "threadId"), turn=turn),)

    # Turns and items

    def _turn_started(self, params: Object) -> Events:
        name, conversation = called(params, "turn", "id"), called(params, "threadId")
        thread = self._thread(conversation)
        thread.turn, thread.usage = name, Usage()
        return (TurnStarted(id=name, turn=name, conversation=conversation),)

    def _turn_completed(self, params: Object) -> Events:
        name, conversation = called(params, "turn", "id"), called(params, "threadId")
        thread = self._thread(conversation)
        cancelled = _cancelled(thread)
        thread.turn, thread.ended = "", name
        reason = _REASONS.get(text(params, "turn", "status"), Reason.FAILED)
        trouble, detail, _ = failure(mapping(params, "turn", "error"))
        over = TurnEnded(
            id=name,
            turn=name,
            conversation=conversation,
            reason=reason,
            detail=detail,
            trouble=trouble if reason is Reason.FAILED else None,
            usage=thread.usage,
        )
        idle = () if thread.running else (WorkEnded(id=name, conversation=conversation),)
        return (*cancelled, over, *idle)

    def _item_started(self, params: Object) -> Events:
        call = begun(mapping(params, "item"), _where(params))
        if not call:
            return ()
        thread = self._amid(_where(params))
        if sum(len(each.running) for each in self._threads.values()) < MOST_OPEN:
            thread.running[call.call] = _small(call)
        return (call,)

    def _item_completed(self, params: Object) -> Events:
        """What was begun too, if it was not told: what is refused at once is not."""
        item, where = mapping(params, "item"), _where(params)
        thread = self._amid(where)
        call = None if called(item, "id") in thread.running else begun(item, where)
        was_running = thread.running.pop(called(item, "id"), None)
        idle = was_running and not thread.running and not thread.turn
        last = (WorkEnded(id=called(item, "id"), conversation=where["conversation"]),) if idle else ()
        return (*((call,) if call else ()), *done(item, where), *last)

    def _spent(self, params: Object) -> Events:
        """After an interrupt it tells the same sum once more."""
        thread = self._thread(called(params, "threadId"))
        total, last = (_usage(mapping(params, "tokenUsage", key)) for key in ("total", "last"))
        if total != thread.total:
            thread.total, thread.usage = total, _sum(thread.usage, last)
        return ()

    # The rest

    def _thread_started(self, params: Object) -> Events:
        """A person has begun another one. Ephemeral ones are the program's own, those with a parent its helpers'."""
        thread = mapping(params, "thread")
        own = true(thread, "ephemeral") or bool(text(thread, "parentThreadId"))
        return () if own else self._switch(called(thread, "id"))

    def _thread_closed(self, params: Object) -> Events:
        name = called(params, "threadId")
        thread = self._threads.pop(name, None)
        return tuple(_gone(name, thread)) if thread else ()

    def _rate_limits(self, params: Object) -> Events:
        limits = mapping(params, "rateLimits")
        reached = bool(text(limits, "rateLimitReachedType"))
        found = []
        for window in ("primary", "secondary"):
            used = amount(limits, window, "usedPercent")
            if used is not None:
                name = f"{text(limits, 'limitId')} {window}".strip()
                resets = whole(limits, window, "resetsAt")
                found.append(
                    RateLimit(window=name, percent=percent(used), resets=resets, reached=reached or used >= 100)
                )
        return tuple(found)

    def _error(self, params: Object) -> Events:
        trouble, words, status = failure(mapping(params, "error"))
        return (
            Error(trouble=trouble, text=words, status=status, retrying=true(params, "willRetry"), **_where(params)),
        )

    def _warning(self, params: Object) -> Events:
        return (Error(trouble=Trouble.WARNING, text=text(params, "message"), **_where(params)),)

    def _switch(self, conversation: str) -> Events:
        previous, self._conversation = self._conversation, conversation or self._conversation
        if self._conversation == previous:
            return ()
        return (ConversationSwitched(id=conversation, conversation=conversation, previous=previous),)

    def _amid(self, where: Where) -> _Thread:
        """After a resume amid a turn nothing tells that it had started."""
        thread = self._thread(where["conversation"])
        if not (thread.turn or thread.ended):
            thread.turn = where["turn"]
        return thread

    def _full(self, name: str) -> bool:
        """Whether one more thread is too many, though those with nothing under way are forgotten for it."""
        if not name or name in self._threads or len(self._threads) < MOST_THREADS:
            return False
        self._threads = {
            each: thread for each, thread in self._threads.items() if thread.turn or thread.running or thread.asked
        }
        return len(self._threads) >= MOST_THREADS

    def _thread(self, name: str) -> _Thread:
        return self._threads.setdefault(name, _Thread())


def _where(params: Object) -> Where:
    return {"conversation": called(params, "threadId"), "turn": called(params, "turnId")}


def _gone(name: str, thread: _Thread) -> list[Event]:
    """What ends with a thread, whatever was under way in it."""
    found = _cancelled(thread)
    if thread.turn:
        found.append(TurnEnded(id=thread.turn, turn=thread.turn, conversation=name, reason=Reason.LOST))
    if thread.turn or thread.running:
        found.append(WorkEnded(id=thread.turn, conversation=name))
    return found


def _small(call: ToolCall) -> ToolCall:
    """To be kept until it is asked about, for of a change to files only the call says what would change."""
    return replace(call, tool="", input=call.input if len(encode(call.input)) <= _KEPT else {})


def _usage(said: Object) -> Usage:
    return Usage(
        input=max(count(said, "inputTokens"), 0),
        output=max(count(said, "outputTokens"), 0),
        cache_read=max(count(said, "cachedInputTokens"), 0),
        cache_write=max(count(said, "cacheWriteInputTokens"), 0),
        reasoning=max(count(said, "reasoningOutputTokens"), 0),
    )


def _sum(before: Usage, spent: Usage) -> Usage:
    """However often and much is told, numbers that can be kept."""
    return Usage(*(min(sum(pair), LARGEST) for pair in zip(astuple(before), astuple(spent), strict=True)))


def _cancelled(thread: _Thread) -> list[Event]:
    asked, thread.asked = thread.asked, {}
    return [
        ApprovalCancelled(id=each.id, request=name, conversation=each.conversation, turn=each.turn)
        for name, each in asked.items()
    ]


def _shown(params: Object, call: ToolCall | None) -> dict[str, Any]:
    """What is to be decided: of a command the frame says it, of a change to files the call that waits."""
    keys = ("command", "cwd", "permissions", "grantRoot", "networkApprovalContext", "additionalPermissions")
    told = {key: params[key] for key in keys if params.get(key) is not None}
    return {**(call.input if call else {}), **told}


def _rules(method: str, params: Object) -> tuple[str, ...]:
    """For longer the program allows the very same again, and no more."""
    if _APPROVALS[method] == "Bash":
        return (f"Bash({text(params, 'command')})",) if text(params, "command") else ()
    return ("Edit",) if _APPROVALS[method] == "Edit" else (PERMISSIONS,)
