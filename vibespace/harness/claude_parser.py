"""What Claude Code writes: stream-json on standard output, the transcript file, and what hooks are told.

Of each message all three tell the same `uuid`. The transcript has both doors; standard output adds deltas, approvals
and the ends of turns of the headless one, hooks those of the terminal.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from vibespace.harness.claude_approvals import Open
from vibespace.harness.claude_joined import Joined
from vibespace.harness.claude_messages import (
    CARRIED_OUT,
    carried_out,
    conversation_of,
    cost,
    ended,
    is_interrupt,
    is_sent_on,
    is_typed_prompt,
    merged,
    message_events,
    retried,
    spent,
    trouble_of,
    user_said,
    words_of,
)
from vibespace.harness.claude_unheard import Unheard
from vibespace.harness.events import (
    ApprovalCancelled,
    ConversationSwitched,
    Delta,
    Error,
    Event,
    MessageDropped,
    RateLimit,
    Reason,
    Replied,
    Source,
    Stream,
    Text,
    ToolProgress,
    Trouble,
    TurnEnded,
    TurnStarted,
    Unparsed,
    Where,
    WorkEnded,
)
from vibespace.harness.reading import Object, amount, called, decode, items, mapping, percent, text, true, whole

_OUTPUT = """
    keep_alive control_request_progress system/status system/permission_denied system/compact_boundary
    system/task_updated system/session_state_changed system/session_title_changed
    system/hook_started system/hook_progress system/hook_response system/thinking_tokens
"""
_RECORD = """
    agent-name api-request api-request-blob api-request-shape atis-latch cost-state custom-title
    file-history-snapshot file-history-delta last-prompt mode permission-mode summary tools-used
    system/compact_boundary system/stop_hook_summary
"""
_SILENT = {
    Source.OUTPUT: frozenset(_OUTPUT.split()),
    Source.RECORD: frozenset(_RECORD.split()),
    Source.HOOK: frozenset(),
}
"""Kinds that are known, and say nothing about the conversation."""

_DELTAS = {
    "text_delta": (Stream.TEXT, "text"),
    "thinking_delta": (Stream.REASONING, "thinking"),
    "input_json_delta": (Stream.INPUT, "partial_json"),
}

_REMEMBERED = 64
"""Turns by which the transcript may be behind the hooks."""

Events = tuple[Event, ...]


class ClaudeParser:
    """See Parser. A turn of the headless door is called by the uuid of `init`, a typed one by its prompt's id."""

    def __init__(self) -> None:
        self._conversation = ""
        self._turn = ""
        self._taken = ""
        """The message that it took last in the headless turn: one that goes to no model it does not repeat."""
        self._typed = ""
        """The terminal's turn."""
        self._over: deque[str] = deque(maxlen=_REMEMBERED)
        """The terminal's turns that have ended: the transcript may tell of them only now."""
        self._prompt = ""
        """The turn in which the transcript is: behind the hooks, it may be one before `_typed`."""
        self._trouble: Trouble | None = None
        """What went wrong last in the headless turn: the line that tells of its end does not say."""
        self._refused = ""
        """Why a hook of the user's own has not let the headless turn begin."""
        self._busy = False
        """Whether something runs in the background."""
        self._block: tuple[str, int] = ("", 0)
        """Message and place in it of what is being streamed."""
        self._open = Open()
        self._joined = Joined()
        self._unheard = Unheard()
        self._output: dict[str, Callable[[Object], Events]] = {
            "system/init": self._init,
            "system/informational": self._informed,
            "system/api_retry": lambda said: (retried(said),),
            "system/background_tasks_changed": self._background,
            "system/task_started": self._task,
            "system/task_progress": self._task,
            "system/task_notification": self._task,
            "assistant": self._message,
            "user": self._message,
            "stream_event": self._streamed,
            "result": self._result,
            "control_request": self._request,
            "control_cancel_request": self._cancelled,
            "control_response": self._response,
            "rate_limit_event": self._rate_limit,
            "tool_progress": self._progress,
            "conversation_reset": self._reset,
            "command_lifecycle": self._lifecycle,
        }
        self._record: dict[str, Callable[[Object], Events]] = {
            "assistant": self._recorded,
            "user": self._recorded,
            "attachment": self._attached,
            "queue-operation": self._queued,
            "system/local_command": lambda said: carried_out(said, text(said, "content")),
            "system/turn_duration": lambda said: self._recorded_end(said, Reason.COMPLETED),
        }
        self._hook: dict[str, Callable[[Object], Events]] = {
            "SessionStart": lambda said: self._switch(called(said, "session_id")),
            "UserPromptSubmit": self._prompted,
            "PermissionRequest": self._hooked,
            "PermissionRequestGone": self._withdrawn,
            "PostToolUse": self._open.used,
            "Stop": self._stopped,
            "StopFailure": self._failed,
            "SessionEnd": self._left,
        }

    def feed(self, line: bytes, source: Source = Source.OUTPUT) -> Events:
        said = decode(line)
        if isinstance(said, Unparsed):
            return (said,)
        if source is Source.RECORD and "forkedFrom" in said:
            return ()  # /branch begins a transcript with all of the former, which has told it
        kind = text(said, "hook_event_name") if source is Source.HOOK else text(said, "type")
        if kind == "system":
            kind = f"system/{text(said, 'subtype')}"
        handlers = {Source.OUTPUT: self._output, Source.RECORD: self._record, Source.HOOK: self._hook}[source]
        if kind in handlers:
            return handlers[kind](said)
        if kind in _SILENT[source]:
            return ()
        return (Unparsed(id=called(said, "uuid"), conversation=conversation_of(said), why="unknown kind", kind=kind),)

    def lost(self) -> Events:
        cancelled = self._open.close()
        turn, busy = self._turn or self._typed, self._busy or self._unheard.waits
        cancelled += tuple(self._unheard.lost(self._conversation))
        self._over.append(self._typed)
        self._turn = self._typed = ""
        self._busy = False
        self._block = ("", 0)
        if turn:
            over = TurnEnded(id=turn, turn=turn, conversation=self._conversation, reason=Reason.LOST)
            return (*cancelled, over, *self._idle(turn))
        return (*cancelled, *self._idle("")) if busy else cancelled

    def next(self) -> ClaudeParser:
        return ClaudeParser()

    def state(self) -> dict[str, Any] | None:
        calls = self._open.state()
        if calls is None or self._joined:
            return None
        return {
            "conversation": self._conversation,
            "turn": self._turn,
            "taken": self._taken,
            "typed": self._typed,
            "over": list(self._over),
            "prompt": self._prompt,
            "trouble": self._trouble,
            "refused": self._refused,
            "busy": self._busy,
            "block": list(self._block),
            "calls": calls,
            "unheard": self._unheard.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self._conversation, self._turn, self._typed = state["conversation"], state["turn"], state["typed"]
        self._taken = state["taken"]
        self._over.extend(state["over"])
        self._prompt, self._busy = state["prompt"], state["busy"]
        self._trouble = Trouble(state["trouble"]) if state["trouble"] else None
        self._refused = state.get("refused", "")
        message, place = state["block"]
        self._block = (message, place)
        self._open.restore(state["calls"])
        if unheard := state.get("unheard"):
            self._unheard.restore(unheard)

    # Standard output

    def _init(self, said: Object) -> Events:
        switched = self._switch(called(said, "session_id"))
        self._turn, self._trouble, self._refused = called(said, "uuid"), None, ""
        return (*switched, TurnStarted(id=self._turn, turn=self._turn, conversation=self._conversation))

    def _message(self, said: Object) -> Events:
        again = true(said, "isReplay")
        if again and not self._turn and self._joined.hold(said):
            return ()
        events = self._open.seen(said, message_events(said, self._turn, self._block))
        if again and self._joined:
            return tuple(self._joined.tell(self._turn, events))
        for event in events:
            if isinstance(event, Error) and not event.parent:
                self._trouble = event.trouble
        return events

    def _streamed(self, said: Object) -> Events:
        event = mapping(said, "event")
        match text(event, "type"):
            case "message_start":
                self._block = (called(event, "message", "id"), 0)
            case "content_block_start":
                self._block = (called(said, "api_message_id") or self._block[0], whole(event, "index") or 0)
            case "content_block_delta":
                stream, key = _DELTAS.get(text(event, "delta", "type"), (Stream.TEXT, ""))
                piece = text(event, "delta", key)
                block = f"{text(said, 'api_message_id') or self._block[0]}.{whole(event, 'index') or 0}"
                if piece:
                    where = _where(said, self._turn)
                    return (Delta(block=block, stream=stream, text=piece, **where),)
        return ()

    def _result(self, said: Object) -> Events:
        turn, taken, self._turn, self._taken = self._turn, self._taken, "", ""
        reason, detail = (Reason.FAILED, self._refused) if self._refused else ended(said)
        over = TurnEnded(
            id=turn or called(said, "uuid"),
            turn=turn,
            conversation=conversation_of(said),
            reason=reason,
            detail=detail,
            trouble=self._trouble if reason is Reason.FAILED else None,
            usage=spent(said),
            cost=cost(said),
            message=taken,
        )
        return (*self._joined.tell(turn), *self._open.close(), over, *self._idle(over.id, over.conversation))

    def _informed(self, said: Object) -> Events:
        name, where = called(said, "uuid"), _where(said, self._turn)
        if text(said, "prompt_submit_outcome", "kind") != "blocked_by_hook":
            return (Unparsed(id=name, why="unknown kind", kind="system/informational", **where),)
        self._refused, self._trouble = text(said, "content").partition("\n\n\nOriginal prompt:")[0], Trouble.OTHER
        return (Error(id=name, trouble=Trouble.OTHER, text=self._refused, **where),)

    def _request(self, said: Object) -> Events:
        request, name = mapping(said, "request"), called(said, "request_id")
        if text(request, "subtype") != "can_use_tool":
            kind = f"control_request/{text(request, 'subtype')}"
            return (Unparsed(why="unknown kind", kind=kind, request=name),)
        where: Where = {"conversation": self._conversation, "turn": self._turn}
        return (self._open.ask(request, name, mapping(request, "input"), where, terminal=False),)

    def _cancelled(self, said: Object) -> Events:
        request = called(said, "request_id")
        self._open.cancel(request)
        return (ApprovalCancelled(id=request, request=request, conversation=self._conversation),)

    def _response(self, said: Object) -> Events:
        response = mapping(said, "response")
        refused = text(response, "subtype") == "error"
        refusal = text(response, "error") or "refused" if refused else ""
        name = called(response, "request_id")
        return (Replied(id=name, request=name, refusal=refusal),)

    def _rate_limit(self, said: Object) -> Events:
        info = mapping(said, "rate_limit_info")
        used = amount(info, "utilization")
        return (
            RateLimit(
                id=called(said, "uuid"),
                window=text(info, "rateLimitType"),
                percent=percent(None if used is None else used * 100),
                resets=whole(info, "resetsAt"),
                reached=text(info, "status") == "rejected",
            ),
        )

    def _progress(self, said: Object) -> Events:
        seconds = whole(said, "elapsed_time_seconds")
        return (ToolProgress(call=called(said, "tool_use_id"), seconds=seconds, **_where(said, self._turn)),)

    def _task(self, said: Object) -> Events:
        told = text(said, "summary") or text(said, "description")
        return (ToolProgress(call=called(said, "tool_use_id"), text=told, **_where(said, self._turn)),)

    def _background(self, said: Object) -> Events:
        before = self._busy
        self._busy = any(not true(task, "ambient") for task in items(said, "tasks"))
        return self._idle(called(said, "uuid")) if before and not (self._turn or self._typed) else ()

    def _reset(self, said: Object) -> Events:
        return self._switch(text(said, "new_conversation_id"))

    def _lifecycle(self, said: Object) -> Events:
        message, state = called(said, "command_uuid"), text(said, "state")
        if state == "completed":
            return tuple(self._joined.completed(message))
        if state == "started":
            self._taken = message
        dropped = state in ("discarded", "refused")
        return (MessageDropped(id=message, conversation=conversation_of(said)),) if dropped else ()

    # The transcript

    def _recorded(self, said: Object) -> Events:
        typed = text(said, "entrypoint") == "cli"
        own = typed and not true(said, "isSidechain")
        words = user_said(said)
        if own and words is not None and is_interrupt(said, words):
            return self._recorded_end(said, Reason.INTERRUPTED)
        if own and words and words.startswith(CARRIED_OUT) and not is_typed_prompt(said):
            return carried_out(said, words)
        prompt = self._prompt_of(said) if own else ""
        self._prompt = prompt or self._prompt
        started = self._typed_starts(said, prompt)
        turn = self._recorded_turn() if typed else self._turn
        if own and words and self._unheard.written(called(said, "promptId"), words):
            return started
        events = self._open.seen(said, message_events(said, turn, ("", 0)))
        failure = next((event for event in events if isinstance(event, Error)), None)
        # No other line of the transcript tells that a turn is over whose request failed.
        over = self._recorded_end(said, Reason.FAILED, failure) if own and failure else ()
        return (*started, *merged(said), *events, *over)

    def _prompt_of(self, said: Object) -> str:
        """The turn that the line may begin; empty where it is in another's."""
        if user_said(said):
            return called(said, "promptId") or self._typed or called(said, "uuid")
        return called(said, "uuid") if is_sent_on(said) and not self._typed else ""

    def _recorded_turn(self) -> str:
        """The terminal's, that the transcript is in: hooks may have told of its end by then."""
        return self._prompt if self._prompt in self._over else self._typed

    def _recorded_end(self, said: Object, reason: Reason, failure: Error | None = None) -> Events:
        """Of a turn before the one that hooks have told of it says nothing new."""
        if self._prompt != self._typed:
            return ()
        told = (failure.text, failure.trouble) if failure else ()
        return self._typed_ends(said, reason, *told)

    def _attached(self, said: Object) -> Events:
        """A message that joined the running turn is written as an attachment to it."""
        attached = mapping(said, "attachment")
        words = words_of(attached, "prompt")
        if text(attached, "type") != "queued_command" or true(attached, "isMeta") or not words:
            return ()
        if self._unheard.written("", words):
            return ()
        name = called(attached, "source_uuid") or called(said, "uuid")
        turn = self._recorded_turn() if text(said, "entrypoint") == "cli" else self._turn
        return (Text(id=name, message=name, text=words, by_user=True, **_where(said, turn)),)

    def _queued(self, said: Object) -> Events:
        waited = self._unheard.waits
        self._unheard.queued(said)
        return self._idle("", conversation_of(said)) if waited and not self._typed else ()

    # The terminal

    def _prompted(self, said: Object) -> Events:
        started = self._typed_starts(said, called(said, "prompt_id"))
        self._unheard.prompted(said, begins=bool(started))
        return started

    def _typed_starts(self, said: Object, turn: str) -> Events:
        """A prompt that is told while another turn is open says that the other is over."""
        if turn in ("", self._typed, *self._over):
            return ()
        before = self._typed_ends(said, Reason.INTERRUPTED, by_next=True)
        self._typed = turn
        return (*before, TurnStarted(id=turn, turn=turn, conversation=conversation_of(said)))

    def _typed_ends(
        self, said: Object, reason: Reason, detail: str = "", trouble: Trouble | None = None, *, by_next: bool = False
    ) -> Events:
        turn, self._typed = self._typed, ""
        if not turn:
            return ()
        self._over.append(turn)
        if not by_next:
            self._unheard.ended()
        where: Where = {"conversation": conversation_of(said), "turn": turn}
        over = TurnEnded(id=turn, reason=reason, detail=detail, trouble=trouble, **where)
        return (*self._open.close(), over, *self._idle(turn, over.conversation))

    def _hooked(self, said: Object) -> Events:
        """The program gives no id, so whoever relays the hook adds a `request_id`."""
        request = called(said, "request_id") or called(said, "prompt_id")
        where: Where = {"conversation": conversation_of(said), "turn": self._typed}
        return (self._open.ask(said, request, mapping(said, "tool_input"), where, terminal=True),)

    def _withdrawn(self, said: Object) -> Events:
        """Not of the program: who relays hooks tells that this one has ended without an answer."""
        asked = self._open.cancel(called(said, "request_id"))
        if not asked:
            return ()  # what was decided in the dialog is told already
        where: Where = {"conversation": asked.conversation, "turn": asked.turn}
        return (ApprovalCancelled(id=asked.request, request=asked.request, **where),)

    def _stopped(self, said: Object) -> Events:
        self._busy = bool(items(said, "background_tasks"))
        return self._typed_ends(said, Reason.COMPLETED)

    def _failed(self, said: Object) -> Events:
        detail = text(said, "last_assistant_message") or text(said, "error")
        trouble = trouble_of(text(said, "error"))
        return () if text(said, "agent_id") else self._typed_ends(said, Reason.FAILED, detail, trouble)

    def _left(self, said: Object) -> Events:
        """The person is gone, or in another conversation; with the process goes what it ran."""
        busy, self._busy = self._busy or self._unheard.waits, False
        self._unheard.left()
        idle = self._idle(called(said, "request_id"), conversation_of(said)) if busy else ()
        return self._typed_ends(said, Reason.INTERRUPTED) or idle

    # Both

    def _idle(self, name: str, conversation: str = "") -> Events:
        if self._busy or self._unheard.waits:
            return ()
        return (WorkEnded(id=name, conversation=conversation or self._conversation),)

    def _switch(self, conversation: str) -> Events:
        previous, self._conversation = self._conversation, conversation or self._conversation
        if self._conversation == previous:
            return ()
        return (ConversationSwitched(id=conversation, conversation=conversation, previous=previous),)


def _where(said: Object, turn: str) -> Where:
    return {"conversation": conversation_of(said), "turn": turn, "parent": text(said, "parent_tool_use_id")}
