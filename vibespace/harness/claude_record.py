"""Claude Code's transcript file, of both doors; of the headless one it repeats what standard output tells."""

from __future__ import annotations

from collections.abc import Callable

from vibespace.harness.claude_amid import Amid, Events, where_of
from vibespace.harness.claude_messages import (
    CARRIED_OUT,
    carried_out,
    conversation_of,
    is_interrupt,
    is_sent_on,
    is_typed_prompt,
    merged,
    message_events,
    user_said,
    words_of,
)
from vibespace.harness.events import Error, Reason, Text
from vibespace.harness.reading import Object, called, mapping, text, true


class Record:
    """Of one process."""

    def __init__(self, amid: Amid) -> None:
        self._amid = amid
        self.prompt = ""
        """The turn in which it is: behind the hooks, it may be one before the terminal's."""
        self.handlers: dict[str, Callable[[Object], Events]] = {
            "assistant": self._recorded,
            "user": self._recorded,
            "attachment": self._attached,
            "queue-operation": self._queued,
            "system/local_command": lambda said: carried_out(said, text(said, "content")),
            "system/turn_duration": lambda said: self._recorded_end(said, Reason.COMPLETED),
        }

    def _recorded(self, said: Object) -> Events:
        typed = text(said, "entrypoint") == "cli"
        own = typed and not true(said, "isSidechain")
        words = user_said(said)
        if own and words is not None and is_interrupt(said, words):
            return self._recorded_end(said, Reason.INTERRUPTED)
        if own and words and words.startswith(CARRIED_OUT) and not is_typed_prompt(said):
            return carried_out(said, words)
        prompt = self._prompt_of(said) if own else ""
        self.prompt = prompt or self.prompt
        started = self._amid.typed_starts(said, prompt)
        turn = self._recorded_turn() if typed else self._amid.turn
        if own and words and self._amid.unheard.written(called(said, "promptId"), words):
            return started
        events = self._amid.open.seen(said, message_events(said, turn, ("", 0)))
        failure = next((event for event in events if isinstance(event, Error)), None)
        # No other line of the transcript tells that a turn is over whose request failed.
        over = self._recorded_end(said, Reason.FAILED, failure) if own and failure else ()
        return (*started, *merged(said), *events, *over)

    def _prompt_of(self, said: Object) -> str:
        """The turn that the line may begin; empty where it is in another's."""
        if user_said(said):
            return called(said, "promptId") or self._amid.typed or called(said, "uuid")
        return called(said, "uuid") if is_sent_on(said) and not self._amid.typed else ""

    def _recorded_turn(self) -> str:
        """The terminal's, that the transcript is in: hooks may have told of its end by then."""
        return self.prompt if self.prompt in self._amid.over else self._amid.typed

    def _recorded_end(self, said: Object, reason: Reason, failure: Error | None = None) -> Events:
        """Of a turn before the one that hooks have told of it says nothing new."""
        if self.prompt != self._amid.typed:
            return ()
        told = (failure.text, failure.trouble) if failure else ()
        return self._amid.typed_ends(said, reason, *told)

    def _attached(self, said: Object) -> Events:
        """A message that joined the running turn is written as an attachment to it."""
        attached = mapping(said, "attachment")
        words = words_of(attached, "prompt")
        if text(attached, "type") != "queued_command" or true(attached, "isMeta") or not words:
            return ()
        if self._amid.unheard.written("", words):
            return ()
        name = called(attached, "source_uuid") or called(said, "uuid")
        turn = self._recorded_turn() if text(said, "entrypoint") == "cli" else self._amid.turn
        return (Text(id=name, message=name, text=words, by_user=True, **where_of(said, turn)),)

    def _queued(self, said: Object) -> Events:
        waited = self._amid.unheard.waits
        self._amid.unheard.queued(said)
        return self._amid.idle("", conversation_of(said)) if waited and not self._amid.typed else ()
