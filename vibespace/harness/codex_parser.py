"""What Codex's app-server writes: replies, notifications and requests of its own, each a JSON-RPC message."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from vibespace.harness.codex_approvals import TOOLS, rules, shown
from vibespace.harness.codex_items import begun, done, failure
from vibespace.harness.codex_threads import MOST_OPEN, Opening, Threads
from vibespace.harness.codex_told import Told, name_of
from vibespace.harness.codex_unheard import listed, past
from vibespace.harness.events import (
    ApprovalAnswered,
    ApprovalAsked,
    ConversationJoined,
    ConversationSwitched,
    Delta,
    Error,
    Event,
    RateLimit,
    Reason,
    Replied,
    Reverted,
    SettingsStrayed,
    Source,
    Stream,
    ToolProgress,
    Trouble,
    TurnStarted,
    Unparsed,
    Where,
)
from vibespace.harness.reading import (
    LONGEST_NAME,
    MOST_PARTS,
    NO_JSON,
    NO_UTF8,
    Object,
    amount,
    called,
    decode,
    items,
    mapping,
    percent,
    text,
    true,
    whole,
)

CLEAN = "thread/backgroundTerminals/clean"
ITEMS = "thread/items/list"
START, STEER = "turn/start", "turn/steer"
ASKS, ASKS_NOTHING = "untrusted", "never"
"""The two approval policies that an agent of ours can have."""

_KNOWN = """
    thread/status/changed thread/readState/changed thread/name/updated thread/section/changed
    thread/archived thread/unarchived thread/compacted thread/queue/changed
    turn/diff/updated turn/plan/updated item/fileChange/patchUpdated item/reasoning/summaryPartAdded
    item/commandExecution/terminalInteraction account/login/completed account/updated remoteControl/status/changed
    configWarning deprecationNotice skills/changed mcpServer/startupStatus/updated hook/started hook/completed
"""
_SILENT = frozenset(_KNOWN.split())
"""Methods that are known, and say nothing about the conversation."""
_MOST_OWN = 1000
_REPLY = re.compile(rb'\{"id":"([ -!#-\[\]-~]{1,500})","result":')
"""How a reply to a request of ours begins: app-server writes its fields in this order."""

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
_UNCLEAR = "Codex had accepted it, and does not say whether its model was told"
_REASONS = {"completed": Reason.COMPLETED, "interrupted": Reason.INTERRUPTED}

Events = tuple[Event, ...]


class CodexParser:
    """See Parser. Threads of the program's own, such as one that finds a title, are told apart by `conversation`."""

    def __init__(self, told: Told | None = None) -> None:
        """`told` is what those before it have told."""
        self._conversation = ""
        self._next = ""
        """The thread that a person has entered amid a turn of the agent's: the agent follows when that is over."""
        self._threads = Threads()
        self._own: deque[str] = deque(maxlen=_MOST_OWN)
        """Threads that are the program's own, or its helpers': never listed, so what was told of them is not kept."""
        self._told = told or Told()
        self._handlers: dict[str, Callable[[Object], Events]] = {
            "turn/started": self._turn_started,
            "turn/completed": self._turn_completed,
            "item/started": self._item_started,
            "item/completed": self._item_completed,
            "thread/started": self._thread_started,
            "thread/closed": self._thread_closed,
            "thread/goal/cleared": self._thread_entered,
            "thread/goal/updated": self._thread_entered,
            "thread/settings/updated": self._settings_updated,
            "thread/reverted": lambda params: (Reverted(conversation=called(params, "threadId")),),
            "thread/tokenUsage/updated": self._spent,
            "serverRequest/resolved": self._resolved,
            "account/rateLimits/updated": self._rate_limits,
            "error": self._error,
            "warning": self._warning,
        }

    def feed(self, line: bytes, source: Source = Source.OUTPUT) -> Events:
        said = decode(line)
        if isinstance(said, Unparsed):
            return (said,) if said.why in (NO_UTF8, NO_JSON) else (said, *self._unread(line, said.why))
        method = text(said, "method")
        if "id" in said:
            return self._asked(said, method) if method else self._replied(said)
        params = mapping(said, "params")
        if method in self._handlers:
            if self._threads.full(called(params, "threadId")):
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
        return tuple(self._threads.lost())

    def next(self) -> CodexParser:
        return CodexParser(self._told.next())

    def state(self) -> dict[str, Any] | None:
        threads = self._threads.state()
        where = {"conversation": self._conversation, "next": self._next}
        known = {"own": [*self._own], "told": self._told.state()}
        return None if threads is None else {**where, "threads": threads, **known}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._conversation, self._next = state["conversation"], state["next"]
        self._threads.restore(state["threads"])
        self._own.extend(state["own"])
        self._told.restore(state["told"])

    # Replies and requests

    def _unread(self, line: bytes, why: str) -> Events:
        """A reply that is too much to be read, such as a list with many images, is one all the same: who waits for it
        would wait for ever.
        """
        name = _REPLY.match(line)
        return self._replied({"id": name[1].decode(), "error": {"message": why}}) if name else ()

    def _replied(self, said: Object) -> Events:
        name = called(said, "id")
        method, _, rest = name.partition(" ")
        where, _, request = rest.rpartition(" ")
        conversation, _, message = where.partition(" ")
        if not request:
            return (Unparsed(why="a reply to nothing of ours"),)
        if "error" in said:
            refusal = text(said, "error", "message") or "refused"
            ends = self._list_refused(conversation) if method == ITEMS and not message else ()
            return (*ends, Replied(id=name, request=request, conversation=conversation, refusal=refusal))
        told: Events | list[Event] = ()
        refusal = ""
        if method in ("thread/start", "thread/resume"):
            told = self._opened(mapping(said, "result"))
        elif method == ITEMS:
            told, refusal = self._list(conversation, message, items(said, "result", "data"))
        elif method in (START, STEER) and not self._threads.full(conversation):
            self._accept(conversation, message, mapping(said, "result"))
        elif method == CLEAN:
            told = self._threads.clean(conversation)
        return (*told, Replied(id=name, request=request, conversation=conversation, refusal=refusal))

    def _opened(self, result: Object) -> Events:
        """Told again of the one that it is in: over another connection nothing else says that it is there."""
        thread = mapping(result, "thread")
        conversation = called(thread, "id")
        if not self._threads.full(conversation):
            is_active = text(thread, "status", "type") == "active"
            opened = self._threads.at(conversation)
            opened.joined = is_active and not opened.turn
            before = opened.opening or Opening()
            turns, is_new = past(items(result, "initialTurnsPage", "data")), self._told.is_new(conversation)
            opened.opening = Opening(turns, is_new=before.is_new or is_new, since=before.since)
        if not conversation or conversation != self._conversation:
            return self._switch(conversation)
        return (ConversationSwitched(id=conversation, conversation=conversation, previous=conversation),)

    def _accept(self, conversation: str, message: str, result: Object) -> None:
        """It is to begin a turn, or to join one."""
        thread, begun = self._threads.at(conversation), called(result, "turn", "id")
        if begun:
            thread.led = {begun: message}
        if (turn := begun or called(result, "turnId")) != thread.ended:
            self._told.accept(message, turn)

    def _list(self, conversation: str, message: str, entries: list[Any]) -> tuple[list[Event], str]:
        """The message that was looked for, or why nobody knows where it is; or what was said when nobody heard it. The
        latest come first.
        """
        is_full = self._threads.full(conversation)
        if is_full or len(entries) > MOST_PARTS:
            why = "too many threads" if is_full else f"{len(entries)} parts"
            ends = () if message else self._list_refused(conversation)
            return [Unparsed(why=why, kind=ITEMS, conversation=conversation), *ends], why
        if not message:
            return [*listed(conversation, entries, self._threads, self._told), *self._follow()], ""
        if not any(text(entry, "item", "clientId") == message for entry in entries):
            return [], _UNCLEAR if self._told.may_have(message) else ""
        found: list[Event] = []
        for entry in self._told.find(conversation, entries, message):
            self._threads.at(conversation).hear(name_of(entry))
            found += done(mapping(entry, "item"), Where(conversation=conversation, turn=called(entry, "turnId")))
        return found, ""

    def _list_refused(self, conversation: str) -> Events:
        """What was said is not known; that a turn is over is."""
        if self._threads.full(conversation):
            return ()
        return (*listed(conversation, None, self._threads, self._told), *self._follow())

    def _asked(self, said: Object, method: str) -> Events:
        request = json.dumps(said.get("id"))
        params = mapping(said, "params")
        where = _where(params)
        if method not in TOOLS:
            return (Unparsed(why="unknown kind", kind=method, request=request, **where),)
        full = self._threads.full(where["conversation"]) or self._threads.asked() >= MOST_OPEN
        if full or len(request) > LONGEST_NAME:
            return (Unparsed(why="too many questions", kind=method, request=request, **where),)
        call, joined = called(params, "itemId"), self._join(where)
        thread = self._threads.amid(where)
        asked = ApprovalAsked(
            id=called(params, "approvalId") or call,
            request=request,
            call=call,
            tool=TOOLS[method],
            input={**thread.given(call), **shown(params)},
            reason=text(params, "reason"),
            rules=rules(method, params),
            **where,
        )
        thread.asked[request] = replace(asked, input={}, reason="", rules=())
        return (*joined, asked)

    def _resolved(self, params: Object) -> Events:
        request = json.dumps(params.get("requestId"))
        thread = self._threads.at(called(params, "threadId"))
        asked = thread.asked.pop(request, None)
        name, turn = (asked.id, asked.turn) if asked else (request, thread.turn)
        return (ApprovalAnswered(id=name, request=request, conversation=called(params, "threadId"), turn=turn),)

    # Turns and items

    def _told_of(self, conversation: str) -> Told:
        """What was told of it; of threads that are never listed nothing is kept, which leaves room for the agent's."""
        return Told() if conversation in self._own else self._told

    def _turn_started(self, params: Object) -> Events:
        where = Where(conversation=called(params, "threadId"), turn=called(params, "turn", "id"))
        self._told_of(where["conversation"]).turn(where["turn"])
        return (*self._threads.passed(where), *self._threads.start(where))

    def _join(self, where: Where) -> list[Event]:
        joined = self._threads.join(where)
        if joined:
            self._told_of(where["conversation"]).turn(where["turn"])
        return joined

    def _turn_completed(self, params: Object) -> Events:
        name, conversation = called(params, "turn", "id"), called(params, "threadId")
        reason = _REASONS.get(text(params, "turn", "status"), Reason.FAILED)
        trouble, detail, _ = failure(mapping(params, "turn", "error"))
        self._told_of(conversation).end(name)
        where = Where(conversation=conversation, turn=name)
        joined = self._join(where)
        over = self._threads.end(where, reason, detail, trouble if reason is Reason.FAILED else None)
        return (*joined, *over, *self._follow())

    def _item_started(self, params: Object) -> Events:
        call, joined = begun(mapping(params, "item"), _where(params)), self._join(_where(params))
        if not call:
            return tuple(joined)
        self._threads.begin(call, _where(params))
        told = self._told_of(call.conversation)
        if told.is_listed(params):
            return tuple(joined)
        told.begin_call(params)
        return (*joined, call)

    def _item_completed(self, params: Object) -> Events:
        """What was begun too, if it was not told: what is refused at once is not."""
        item, where = mapping(params, "item"), _where(params)
        joined = self._join(where) if self._threads.runs(where) else []
        thread, call = self._threads.amid(where), self._threads.unbegun(item, where)
        finished = self._threads.finish(item, where)
        told = self._told_of(where["conversation"])
        if not (name := told.tell(where["conversation"], params)):
            return (*joined, *finished)
        thread.hear(name)
        call = call if call and told.begin_call(params) else []
        return (*joined, *call, *done(item, where), *finished)

    def _spent(self, params: Object) -> Events:
        self._threads.at(called(params, "threadId")).spend(mapping(params, "tokenUsage"))
        return ()

    # The rest

    def _thread_started(self, params: Object) -> Events:
        """A person has begun another one. Ephemeral ones are the program's own, those with a parent its helpers'."""
        thread = mapping(params, "thread")
        if true(thread, "ephemeral") or text(thread, "parentThreadId"):
            self._own.append(called(thread, "id"))
            return ()
        self._told.begin(called(thread, "id"))
        return self._switch(called(thread, "id"))

    def _thread_entered(self, params: Object) -> Events:
        """Whoever enters a thread is told its goal, or that there is none, and so are all others: a person has gone
        back to an earlier one, of which nothing else is told to who is not in it.
        """
        name = called(params, "threadId")
        return () if name in self._own else self._switch(name)

    def _settings_updated(self, params: Object) -> Events:
        """A terminal that begins a turn before it has heard of our settings tells its own policy with it, which stays;
        with our sandbox, which is none, nothing would be asked.
        """
        name, told = called(params, "threadId"), mapping(params, "threadSettings")
        ours = text(told, "approvalPolicy") in (ASKS, ASKS_NOTHING)
        if ours or text(told, "sandboxPolicy", "type") != "dangerFullAccess" or name in self._own:
            return ()
        return (SettingsStrayed(id=name, conversation=name),)

    def _thread_closed(self, params: Object) -> Events:
        return (*self._threads.close(called(params, "threadId")), *self._follow())

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
        """Not amid a turn of the agent's: who waits for that would wait for one that is told of another thread."""
        previous, entered, self._next = self._conversation, self._next, ""
        if conversation in ("", previous):
            return ()
        if self._threads.turn(previous):
            self._next = conversation
            return () if entered == conversation else (ConversationJoined(id=conversation, conversation=conversation),)
        self._conversation = conversation
        return (ConversationSwitched(id=conversation, conversation=conversation, previous=previous),)

    def _follow(self) -> Events:
        """To where the person is by now; what is at work there is told again, for now it is the agent's."""
        if not self._next or self._threads.turn(self._conversation):
            return ()
        switched, turn = self._switch(self._next), self._threads.turn(self._conversation)
        return (*switched, TurnStarted(id=turn, turn=turn, conversation=self._conversation)) if turn else switched


def _where(params: Object) -> Where:
    return {"conversation": called(params, "threadId"), "turn": called(params, "turnId")}
