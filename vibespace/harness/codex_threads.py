"""What is under way in Codex's conversations, which it calls threads, and what each has spent: as much as is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass, field
from typing import Any, NamedTuple

from vibespace.harness.codex_items import begun
from vibespace.harness.events import (
    ApprovalAsked,
    ApprovalCancelled,
    Event,
    Reason,
    ToolCall,
    Trouble,
    TurnEnded,
    TurnStarted,
    Usage,
    Where,
    WorkEnded,
)
from vibespace.harness.reading import LARGEST, Object, called, count, encode, mapping

LATEST = 100
"""Turns, and items, of a list to look through: of items more than a turn was seen to have."""

MOST_THREADS = 100
"""That are under way at once; each helper of an agent is one."""

MOST_OPEN = 300
"""Calls, and questions, of all threads at once."""

MOST_KEPT = 4 << 20
"""Characters of the inputs of all open calls at once; what one has beyond that is not shown when it is asked about."""


class Over(NamedTuple):
    """Why a turn is over, in which words, and what those are about."""

    reason: str
    words: str = ""
    trouble: str = ""


@dataclass
class Opening:
    """Of a thread that was opened, or begun by us, until its items are listed."""

    turns: dict[str, Over | None] = field(default_factory=dict)
    """Those that it had then, the oldest first, and how each was over; none while it is at work."""
    is_new: bool = False
    """It was seen to begin, and nothing of it was told yet."""
    since: list[str] = field(default_factory=list)
    """Items that were told since, the latest; also since one before whose list was refused, or did not come."""


@dataclass
class Thread:
    """What is under way in one."""

    turn: str = ""
    ended: str = ""
    """The turn before."""
    joined: bool = False
    """It was opened amid a turn, and nobody has told which that is."""
    opening: Opening | None = None
    led: dict[str, str] = field(default_factory=dict)
    """Our message that led to a turn, the latest one."""
    running: dict[str, str] = field(default_factory=dict)
    """The input of each open call, as JSON: of a change to files only the call says what would change."""
    cleaned: list[str] = field(default_factory=list)
    """Calls that were open when all was ended: that each is over may be told later."""
    asked: dict[str, ApprovalAsked] = field(default_factory=dict)
    """Without what was shown."""
    total: Usage = field(default_factory=Usage)
    """What it last said to have spent altogether."""
    usage: Usage = field(default_factory=Usage)
    """What its turn has spent."""

    def given(self, call: str) -> dict[str, Any]:
        """The input of an open call; empty where it is not known."""
        found: dict[str, Any] = json.loads(self.running.get(call, "{}"))
        return found

    def hear(self, item: str) -> None:
        """It was told, before all of them are listed."""
        if self.opening:
            self.opening.since = [*self.opening.since[1 - LATEST :], item]

    def spend(self, said: Object) -> None:
        """After an interrupt it tells the same sum once more."""
        total, last = (_usage(mapping(said, key)) for key in ("total", "last"))
        if total != self.total:
            self.total, self.usage = total, _sum(self.usage, last)

    def cancel(self, turn: str = "") -> list[Event]:
        """Nobody waits any more for what it asked, or what that turn did."""
        asked = {name: each for name, each in self.asked.items() if not turn or each.turn in ("", turn)}
        self.asked = {name: each for name, each in self.asked.items() if name not in asked}
        return [
            ApprovalCancelled(id=each.id, request=name, conversation=each.conversation, turn=each.turn)
            for name, each in asked.items()
        ]


class Threads:
    """All of one program."""

    def __init__(self) -> None:
        self._threads: dict[str, Thread] = {}

    def at(self, name: str) -> Thread:
        """The one that is called so, begun if need be: only where they are not `full`."""
        return self._threads.setdefault(name, Thread())

    def turn(self, name: str) -> str:
        """What is under way in the one that is called so; empty where nothing is."""
        return self._threads[name].turn if name in self._threads else ""

    def amid(self, where: Where) -> Thread:
        """As `at`. After a resume amid a turn nothing tells that it had started."""
        thread = self.at(where["conversation"])
        if not (thread.turn or thread.ended):
            thread.turn = where["turn"]
        return thread

    def join(self, where: Where) -> list[Event]:
        """What is at work in a thread that was opened amid it."""
        passed = self.passed(where)
        thread = self._threads.get(where["conversation"])
        if not (thread and (thread.joined or passed) and where["turn"]):
            return passed
        thread.joined, thread.turn = False, where["turn"]
        return [*passed, TurnStarted(id=where["turn"], **where)]

    def passed(self, where: Where) -> list[Event]:
        """The end of a turn that is over by what the thread had when it was opened: now another one is at work."""
        thread = self._threads.get(where["conversation"])
        if thread is None or thread.turn == where["turn"]:
            return []
        over = thread.opening.turns.get(thread.turn) if thread.opening else None
        return self.close_turn({**where, "turn": thread.turn}, over) if over else []

    def close_turn(self, where: Where, over: Over) -> list[Event]:
        """The end of a turn that nobody heard."""
        return self.end(where, Reason(over.reason), over.words, Trouble(over.trouble) if over.trouble else None)

    def runs(self, where: Where) -> bool:
        """Whether that turn was at work when its thread was opened."""
        thread = self._threads.get(where["conversation"])
        turns = thread.opening.turns if thread and thread.opening else {}
        return turns.get(where["turn"], ...) is None

    def start(self, where: Where) -> list[Event]:
        """A turn begins, and has spent nothing yet."""
        thread = self.at(where["conversation"])
        thread.turn, thread.usage, thread.joined = where["turn"], Usage(), False
        return [TurnStarted(id=where["turn"], **where)]

    def full(self, name: str) -> bool:
        """Whether one more thread is too many, though those with nothing under way are forgotten for it."""
        if not name or name in self._threads or len(self._threads) < MOST_THREADS:
            return False
        self._threads = {
            each: thread
            for each, thread in self._threads.items()
            if thread.turn or thread.running or thread.asked or (thread.opening and thread.opening.turns)
        }
        return len(self._threads) >= MOST_THREADS

    def asked(self) -> int:
        """Questions that wait."""
        return sum(len(each.asked) for each in self._threads.values())

    def begin(self, call: ToolCall, where: Where) -> None:
        """A call is open."""
        thread = self.amid(where)
        kept = [given for each in self._threads.values() for given in each.running.values()]
        if len(kept) < MOST_OPEN:
            given = encode(call.input).decode()
            thread.running[call.call] = given if sum(map(len, kept)) + len(given) <= MOST_KEPT else "{}"

    def unbegun(self, item: Object, where: Where) -> list[Event]:
        """The call that `item` is, if that was not told."""
        thread = self.at(where["conversation"])
        is_told = called(item, "id") in (*thread.running, *thread.cleaned)
        call = None if is_told else begun(item, where)
        return [call] if call else []

    def finish(self, item: Object, where: Where) -> list[Event]:
        """The work is over too, if that was the last of it."""
        thread = self.at(where["conversation"])
        was_running = thread.running.pop(called(item, "id"), None)
        idle = was_running and not thread.running and not thread.turn
        return [WorkEnded(id=called(item, "id"), conversation=where["conversation"])] if idle else []

    def end(self, where: Where, reason: Reason, detail: str = "", trouble: Trouble | None = None) -> list[Event]:
        """A turn is over, with what it asked, and the work too if nothing of it is left."""
        name, conversation = where["turn"], where["conversation"]
        thread = self.at(conversation)
        cancelled = thread.cancel(name)
        thread.turn, thread.ended = "", name
        if thread.opening and name in thread.opening.turns:
            thread.opening.turns[name] = Over(reason)
        usage, thread.usage, message = thread.usage, Usage(), thread.led.pop(name, "")
        over = TurnEnded(id=name, reason=reason, detail=detail, trouble=trouble, usage=usage, message=message, **where)
        idle = [] if thread.running else [WorkEnded(id=name, conversation=conversation)]
        return [*cancelled, over, *idle]

    def clean(self, name: str) -> list[Event]:
        """What ran in one is ended, and with it its work if its turn is over."""
        thread = self._threads.get(name)
        if not (thread and thread.running):
            return []
        thread.running, thread.cleaned = {}, [*thread.running]
        return [] if thread.turn else [WorkEnded(conversation=name)]

    def close(self, name: str) -> list[Event]:
        """What ends with one, whatever was under way in it."""
        thread = self._threads.pop(name, None)
        if thread is None:
            return []
        found = thread.cancel()
        if thread.turn:
            found.append(TurnEnded(id=thread.turn, turn=thread.turn, conversation=name, reason=Reason.LOST))
        if thread.turn or thread.running:
            found.append(WorkEnded(id=thread.turn, conversation=name))
        return found

    def lost(self) -> list[Event]:
        """What ends with all of them."""
        return [event for name in list(self._threads) for event in self.close(name)]

    def state(self) -> dict[str, Any] | None:
        """See Parser.state."""
        return None if self.asked() else {name: asdict(thread) for name, thread in self._threads.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See Parser.restore."""
        self._threads = {name: Thread(**{**told, **_built(told)}) for name, told in state.items()}


def _built(told: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a thread that are more than JSON is."""
    opening = told["opening"]
    if opening:
        turns = {name: over and Over(*over) for name, over in opening["turns"].items()}
        opening = Opening(**{**opening, "turns": turns})
    return {"opening": opening, "total": Usage(**told["total"]), "usage": Usage(**told["usage"])}


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
