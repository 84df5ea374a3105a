"""What Claude Code writes: stream-json on standard output, the transcript file, and what hooks are told.

Of each message all three tell the same `uuid`. The transcript has both doors; standard output adds deltas, approvals
and the ends of turns of the headless one, hooks those of the terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vibespace.harness.claude_amid import Amid, Events
from vibespace.harness.claude_hooks import Hooks
from vibespace.harness.claude_messages import conversation_of
from vibespace.harness.claude_output import Output
from vibespace.harness.claude_record import Record
from vibespace.harness.events import Source, Unparsed
from vibespace.harness.reading import Object, called, decode, text

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


class ClaudeParser:
    """See Parser."""

    def __init__(self) -> None:
        self._amid = Amid()
        self._output, self._record = Output(self._amid), Record(self._amid)
        self._handlers: dict[Source, dict[str, Callable[[Object], Events]]] = {
            Source.OUTPUT: self._output.handlers,
            Source.RECORD: self._record.handlers,
            Source.HOOK: Hooks(self._amid).handlers,
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
        handlers = self._handlers[source]
        if kind in handlers:
            return handlers[kind](said)
        if kind in _SILENT[source]:
            return ()
        return (Unparsed(id=called(said, "uuid"), conversation=conversation_of(said), why="unknown kind", kind=kind),)

    def lost(self) -> Events:
        self._output.lost()
        return self._amid.lost()

    def next(self) -> ClaudeParser:
        return ClaudeParser()

    def state(self) -> dict[str, Any] | None:
        amid, output = self._amid.state(), self._output.state()
        if amid is None or output is None:
            return None
        return {"amid": amid, "output": output, "prompt": self._record.prompt}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._amid.restore(state["amid"])
        self._output.restore(state["output"])
        self._record.prompt = state["prompt"]
