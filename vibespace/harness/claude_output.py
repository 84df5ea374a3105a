"""Claude Code's standard output: stream-json of the headless door, with its deltas, questions and ends of turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vibespace.harness.claude_amid import Amid, Events, where_of
from vibespace.harness.claude_joined import Joined
from vibespace.harness.claude_messages import conversation_of, cost, ended, message_events, retried, spent
from vibespace.harness.events import (
    ApprovalCancelled,
    Delta,
    Error,
    MessageDropped,
    RateLimit,
    Reason,
    Replied,
    Stream,
    ToolProgress,
    Trouble,
    TurnEnded,
    TurnStarted,
    Unparsed,
    Where,
)
from vibespace.harness.reading import Object, amount, called, items, mapping, percent, text, true, whole

_DELTAS = {
    "text_delta": (Stream.TEXT, "text"),
    "thinking_delta": (Stream.REASONING, "thinking"),
    "input_json_delta": (Stream.INPUT, "partial_json"),
}


class Output:
    """Of one process."""

    def __init__(self, amid: Amid) -> None:
        self._amid = amid
        self._taken = ""
        """The message that it took last in the turn: one that goes to no model it does not repeat."""
        self._trouble: Trouble | None = None
        """What went wrong last in the turn: the line that tells of its end does not say."""
        self._refused = ""
        """Why a hook of the user's own has not let the turn begin."""
        self._block: tuple[str, int] = ("", 0)
        """Message and place in it of what is being streamed."""
        self._joined = Joined()
        self.handlers: dict[str, Callable[[Object], Events]] = {
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

    def lost(self) -> None:
        """The process is gone."""
        self._block = ("", 0)

    def state(self) -> dict[str, Any] | None:
        """As Parser.state."""
        if self._joined:
            return None
        block = list(self._block)
        return {"taken": self._taken, "trouble": self._trouble, "refused": self._refused, "block": block}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._taken, self._refused = state["taken"], state["refused"]
        self._trouble = Trouble(state["trouble"]) if state["trouble"] else None
        message, place = state["block"]
        self._block = (message, place)

    def _init(self, said: Object) -> Events:
        switched = self._amid.switch(called(said, "session_id"))
        self._amid.turn, self._trouble, self._refused = called(said, "uuid"), None, ""
        return (*switched, TurnStarted(id=self._amid.turn, turn=self._amid.turn, conversation=self._amid.conversation))

    def _message(self, said: Object) -> Events:
        again = true(said, "isReplay")
        if again and not self._amid.turn and self._joined.hold(said):
            return ()
        events = self._amid.open.seen(said, message_events(said, self._amid.turn, self._block))
        if again and self._joined:
            return tuple(self._joined.tell(self._amid.turn, events))
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
                    where = where_of(said, self._amid.turn)
                    return (Delta(block=block, stream=stream, text=piece, **where),)
        return ()

    def _result(self, said: Object) -> Events:
        turn, taken, self._amid.turn, self._taken = self._amid.turn, self._taken, "", ""
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
        return (*self._joined.tell(turn), *self._amid.open.close(), over, *self._amid.idle(over.id, over.conversation))

    def _informed(self, said: Object) -> Events:
        name, where = called(said, "uuid"), where_of(said, self._amid.turn)
        if text(said, "prompt_submit_outcome", "kind") != "blocked_by_hook":
            return (Unparsed(id=name, why="unknown kind", kind="system/informational", **where),)
        self._refused, self._trouble = text(said, "content").partition("\n\n\nOriginal prompt:")[0], Trouble.OTHER
        return (Error(id=name, trouble=Trouble.OTHER, text=self._refused, **where),)

    def _request(self, said: Object) -> Events:
        request, name = mapping(said, "request"), called(said, "request_id")
        if text(request, "subtype") != "can_use_tool":
            kind = f"control_request/{text(request, 'subtype')}"
            return (Unparsed(why="unknown kind", kind=kind, request=name),)
        where: Where = {"conversation": self._amid.conversation, "turn": self._amid.turn}
        return (self._amid.open.ask(request, name, mapping(request, "input"), where, terminal=False),)

    def _cancelled(self, said: Object) -> Events:
        request = called(said, "request_id")
        self._amid.open.cancel(request)
        return (ApprovalCancelled(id=request, request=request, conversation=self._amid.conversation),)

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
        return (ToolProgress(call=called(said, "tool_use_id"), seconds=seconds, **where_of(said, self._amid.turn)),)

    def _task(self, said: Object) -> Events:
        told = text(said, "summary") or text(said, "description")
        return (ToolProgress(call=called(said, "tool_use_id"), text=told, **where_of(said, self._amid.turn)),)

    def _background(self, said: Object) -> Events:
        before = self._amid.busy
        self._amid.busy = any(not true(task, "ambient") for task in items(said, "tasks"))
        return self._amid.idle(called(said, "uuid")) if before and not (self._amid.turn or self._amid.typed) else ()

    def _reset(self, said: Object) -> Events:
        return self._amid.switch(text(said, "new_conversation_id"))

    def _lifecycle(self, said: Object) -> Events:
        message, state = called(said, "command_uuid"), text(said, "state")
        if state == "completed":
            return tuple(self._joined.completed(message))
        if state == "started":
            self._taken = message
        dropped = state in ("discarded", "refused")
        return (MessageDropped(id=message, conversation=conversation_of(said)),) if dropped else ()
