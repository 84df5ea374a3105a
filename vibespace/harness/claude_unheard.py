"""What a person has typed on Claude's terminal that the transcript does not have yet.

A hook tells it at once. Claude Code writes it down when it begins with it: a moment later, or, of what is typed while
it works, when its queue comes to it, what waited there by then as one. The transcript tells what comes into that queue
and leaves it; nothing of it outlives the program. Of what else waits there no hook tells, such as a command for the
shell, or that something in the background is over: it has its place in the queue, and is not told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from vibespace.harness.events import Event, Text
from vibespace.harness.reading import Object, called, text

MOST = 64
"""Prompts that wait, and that are remembered."""
LONGEST = 1 << 20
"""Characters of one that are kept."""
_ENDS = 4
"""Of turns, after which one that waits is not going to be taken up: the queue goes on at each."""


@dataclass
class _Typed:
    """One prompt."""

    words: str
    turn: str
    """That it begins; empty for one that is to wait."""
    hooked: bool = True
    """A hook has told it."""
    queued: bool = False
    """The transcript has told that it came into the queue."""
    taken: bool = False
    """It has left the queue, and is about to be written down."""
    ends: int = 0
    """Of turns that it has seen."""


class Unheard:
    """Of one life of the terminal."""

    def __init__(self) -> None:
        self._typed: list[_Typed] = []
        self._told: list[str] = []
        """What was told at the end of the program: the transcript may yet have it."""

    @property
    def waits(self) -> bool:
        """Whether the program is about to go on with something of its queue."""
        return any(each.hooked and each.queued for each in self._typed)

    def prompted(self, said: Object, *, begins: bool) -> None:
        """A hook tells what was typed; of one that is to wait, by the prompt that is at work."""
        if words := text(said, "prompt")[:LONGEST]:
            self._add(_Typed(words, called(said, "prompt_id") if begins else ""))

    def queued(self, said: Object) -> None:
        """The transcript tells of the queue: each leaves it at its front, but for one that joins the turn."""
        words = text(said, "content")[:LONGEST]
        match text(said, "operation"):
            case "enqueue":
                self._comes(words)
            case "remove":
                self._leaves(lambda each: each.words == words)
            case "dequeue":
                self._leaves(lambda _: True)
            case "popAll":
                self._typed = [each for each in self._typed if not each.queued or each.taken]

    def _comes(self, words: str) -> None:
        told = (each for each in self._typed if each.words == words and not (each.turn or each.queued))
        if found := next(told, None):
            found.queued = True
        else:
            self._add(_Typed(words, "", hooked=False, queued=True))

    def _leaves(self, wanted: Callable[[_Typed], bool]) -> None:
        for each in self._typed:
            if each.queued and not each.taken and wanted(each):
                each.taken = True
                return

    def _add(self, typed: _Typed) -> None:
        if len(self._typed) < MOST:
            self._typed.append(typed)

    def written(self, prompt: str, words: str) -> bool:
        """The transcript has it. Whether it was told already."""
        left, own = words, [each for each in self._typed if each.turn and each.turn == prompt]
        for each in own or [*self._typed]:
            if each in own or _begins_with(left, each.words):
                self._typed.remove(each)
                left = left[len(each.words) + 1 :]
        left = words
        for told in self._told:
            if _begins_with(left, told):
                left = left[len(told) + 1 :]
        return not left

    def ended(self) -> None:
        """A turn is over: what was to be written down in it has been, or never will be."""
        for each in self._typed:
            each.ends += 1
        self._typed = [each for each in self._typed if each.ends < _ENDS and not (each.turn or each.taken)]

    def left(self) -> None:
        """The person is gone, or elsewhere: nobody goes on with what waits."""
        for each in self._typed:
            each.queued = False

    def lost(self, conversation: str) -> list[Event]:
        """The program is over: what it was told, and told nobody."""
        lost, self._typed = [each for each in self._typed if each.hooked], []
        self._told = [each.words for each in lost]
        return [
            Text(id=each.turn, text=each.words, by_user=True, conversation=conversation, turn=each.turn)
            for each in lost
        ]

    def state(self) -> dict[str, Any]:
        """See Parser.state."""
        return {"typed": [asdict(each) for each in self._typed], "told": list(self._told)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See Parser.restore."""
        self._typed, self._told = [_Typed(**each) for each in state["typed"]], list(state["told"])


def _begins_with(words: str, part: str) -> bool:
    """Those that are taken up together stand each on lines of their own."""
    return words == part or words.startswith(f"{part}\n")
