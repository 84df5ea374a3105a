"""What hooks of Claude Code's terminal are told: its questions, and the beginnings and ends of its turns."""

from __future__ import annotations

from collections.abc import Callable

from vibespace.harness.claude_amid import Amid, Events
from vibespace.harness.claude_messages import conversation_of, trouble_of
from vibespace.harness.events import ApprovalCancelled, Reason, Where
from vibespace.harness.reading import Object, called, items, mapping, text


class Hooks:
    """Of one process."""

    def __init__(self, amid: Amid) -> None:
        self._amid = amid
        self.handlers: dict[str, Callable[[Object], Events]] = {
            "SessionStart": lambda said: amid.switch(called(said, "session_id")),
            "UserPromptSubmit": self._prompted,
            "PermissionRequest": self._hooked,
            "PermissionRequestGone": self._withdrawn,
            "PostToolUse": amid.open.used,
            "Stop": self._stopped,
            "StopFailure": self._failed,
            "SessionEnd": self._left,
        }

    def _prompted(self, said: Object) -> Events:
        started = self._amid.typed_starts(said, called(said, "prompt_id"))
        self._amid.unheard.prompted(said, begins=bool(started))
        return started

    def _hooked(self, said: Object) -> Events:
        """The program gives no id, so whoever relays the hook adds a `request_id`."""
        request = called(said, "request_id") or called(said, "prompt_id")
        where: Where = {"conversation": conversation_of(said), "turn": self._amid.typed}
        return (self._amid.open.ask(said, request, mapping(said, "tool_input"), where, terminal=True),)

    def _withdrawn(self, said: Object) -> Events:
        """Not of the program: who relays hooks tells that this one has ended without an answer."""
        asked = self._amid.open.cancel(called(said, "request_id"))
        if not asked:
            return ()  # what was decided in the dialog is told already
        where: Where = {"conversation": asked.conversation, "turn": asked.turn}
        return (ApprovalCancelled(id=asked.request, request=asked.request, **where),)

    def _stopped(self, said: Object) -> Events:
        self._amid.busy = bool(items(said, "background_tasks"))
        return self._amid.typed_ends(said, Reason.COMPLETED)

    def _failed(self, said: Object) -> Events:
        detail = text(said, "last_assistant_message") or text(said, "error")
        trouble = trouble_of(text(said, "error"))
        return () if text(said, "agent_id") else self._amid.typed_ends(said, Reason.FAILED, detail, trouble)

    def _left(self, said: Object) -> Events:
        """The person is gone, or in another conversation; with the process goes what it ran."""
        busy, self._amid.busy = self._amid.busy or self._amid.unheard.waits, False
        self._amid.unheard.left()
        idle = self._amid.idle(called(said, "request_id"), conversation_of(said)) if busy else ()
        return self._amid.typed_ends(said, Reason.INTERRUPTED) or idle
