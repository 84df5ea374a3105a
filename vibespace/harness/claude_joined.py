"""Messages that Claude Code repeats while no turn is open: what it means by them shows in the line after.

Those that waited for the end of a turn it takes into the next one together: it repeats each but the last, begins the
turn, and then tells all of them as one, under the id of the last. One that it had already, from before it was started,
it repeats and calls completed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vibespace.harness.claude_messages import message_events, user_said
from vibespace.harness.events import Event, Text
from vibespace.harness.reading import Object, called

MOST = 100
"""That are held at once."""


class Joined:
    """Those whose meaning is not known yet."""

    def __init__(self) -> None:
        self._held: list[Object] = []

    def __bool__(self) -> bool:
        return bool(self._held)

    def hold(self, said: Object) -> bool:
        """Whether it is kept for what comes; else it is to be told as it is."""
        if len(self._held) < MOST:
            self._held.append(said)
        return self._held[-1] is said

    def completed(self, message: str) -> Sequence[Event]:
        """The one of that id is in no turn of this process."""
        found = [said for said in self._held if called(said, "uuid") == message]
        self._held = [said for said in self._held if said not in found]
        return [event for said in found for event in message_events(said, "", ("", 0))]

    def tell(self, turn: str, last: Sequence[Event] = ()) -> Sequence[Event]:
        """All of them in that turn, and then the `last`, which has the words of the others before its own."""
        held, self._held = self._held, []
        before = "".join(f"{user_said(said) or ''}\n" for said in held)
        return [
            *(event for said in held for event in message_events(said, turn, ("", 0))),
            *(
                replace(event, text=event.text.removeprefix(before)) if isinstance(event, Text) else event
                for event in last
            ),
        ]
