"""What was told of Codex's threads: of lists of what is there, that tells what is news."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any

from vibespace.harness.codex_threads import MOST_THREADS
from vibespace.harness.reading import Object, called, text

_MOST = 256
"""Items that are remembered: a list of what is there goes on behind the last of them."""


class Told:
    """Items, by turn and id: some models number their calls anew in each turn."""

    def __init__(self) -> None:
        self._items: dict[str, bool] = {}
        """Each, and whether it was told; of some nobody knows, and they only count as if they were."""
        self._listed = deque[str](maxlen=_MOST)
        """Of them, those that a list has told to this process: that each is over may be told only now."""
        self._begun = deque[str](maxlen=MOST_THREADS)
        """Threads that were seen to begin, and of which no item was told yet."""
        self._calls = deque[str](maxlen=_MOST)
        """Items that are calls, and were told to have begun."""
        self._turns = deque[str](maxlen=_MOST)
        """Those that were told to have begun, or to be over."""
        self._accepted: dict[str, str] = {}
        """The turn that each message of ours was to begin, or to join, and may have."""

    def next(self) -> Told:
        """For the process that comes after this one."""
        after = Told()
        after.restore({**self.state(), "listed": []})
        return after

    def state(self) -> dict[str, Any]:
        return {
            "items": dict(self._items),
            "listed": [*self._listed],
            "begun": [*self._begun],
            "calls": [*self._calls],
            "turns": [*self._turns],
            "accepted": dict(self._accepted),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self._items = dict(state["items"])
        self._listed.extend(state["listed"])
        self._begun.extend(state["begun"])
        self._calls.extend(state["calls"])
        self._turns.extend(state["turns"])
        self._accepted = dict(state["accepted"])

    def begin(self, thread: str) -> None:
        """Of this one all is news."""
        if thread not in self._begun:
            self._begun.append(thread)

    def is_new(self, thread: str) -> bool:
        """Whether it was seen to begin, and nothing of it was told yet."""
        return thread in self._begun

    def begin_call(self, params: Object) -> bool:
        """The call that an item is was told to have begun; whether that is news."""
        if (name := name_of(params)) in self._calls:
            return False
        self._calls.append(name)
        return True

    def is_listed(self, params: Object) -> bool:
        """Whether a list has told that item to this process."""
        return name_of(params) in self._listed

    def turn(self, name: str) -> None:
        """That one was told to have begun, or to be over."""
        if name not in self._turns:
            self._turns.append(name)

    def missed(self, turns: Iterable[str], *, is_new: bool) -> Sequence[str]:
        """Of a thread's turns, the oldest first, those that come after the last that was told; see `news`."""
        told = {*self._turns, *(name.partition(" ")[0] for name in self._items)}
        every = [*turns]
        missed = [*takewhile(lambda name: name not in told, reversed(every))]
        for name in reversed(missed):
            self.turn(name)
        return () if len(missed) == len(every) and not is_new else missed

    def accept(self, message: str, turn: str) -> None:
        """That message of ours is to begin that turn, or to join it."""
        self._accepted[message] = turn
        if len(self._accepted) > _MOST:
            del self._accepted[next(iter(self._accepted))]

    def end(self, turn: str) -> None:
        """It is over, and what it did not take up by then it never will."""
        self.turn(turn)
        self._accepted = {message: into for message, into in self._accepted.items() if into != turn}

    def is_silent(self, turn: str) -> bool:
        """Nothing is listed of that turn; whether that is news."""
        if (nothing := f"{turn} ") in self._items:
            return False
        self._keep(nothing, told=True)
        return True

    def may_have(self, message: str) -> bool:
        """Whether the model may have been told that message of ours, though no item says so."""
        return self._accepted.get(message) in self._turns

    def tell(self, thread: str, params: Object) -> str:
        """The name of the item that is over, if that is to be told: not if a list has told it."""
        if (name := name_of(params)) in self._listed:
            return ""
        self._add(thread, name)
        return name

    def find(self, thread: str, entries: list[Any], message: str) -> list[Any]:
        """Of a list of the thread that message of ours, if it was not told, or only counts as if it were."""
        return self._take(thread, [entry for entry in entries if text(entry, "item", "clientId") == message])

    def news(self, thread: str, entries: list[Any], since: Container[str], *, is_new: bool) -> list[Any]:
        """Of a list of the thread, the latest first, what is to be told, the oldest first.

        That is what comes after the last that was told before it was opened, or all of a thread that is new; never what
        was told `since` then. Where nothing of what was told before is known any more, it goes back to the oldest of
        `since`, and what is older counts as told.
        """
        names = [name_of(entry) for entry in entries]
        count = len([*takewhile(lambda name: name not in self._items or name in since, names)])
        if count == len(names) and not is_new:
            count = max((place for place, name in enumerate(names, 1) if name in since), default=0)
            for name in reversed(names[count:]):
                self._keep(name, told=False)
        missed = [entry for entry, name in zip(entries[:count], names, strict=False) if name not in since]
        return self._take(thread, missed)

    def _take(self, thread: str, missed: list[Any]) -> list[Any]:
        found = []
        for entry in reversed(missed):
            name = name_of(entry)
            if not self._items.get(name):
                self._add(thread, name)
                self._listed.append(name)
                found.append(entry)
        return found

    def _add(self, thread: str, name: str) -> None:
        self._keep(name, told=True)
        if thread in self._begun:
            self._begun.remove(thread)

    def _keep(self, name: str, *, told: bool) -> None:
        self._items[name] = told
        if len(self._items) > _MOST:
            del self._items[next(iter(self._items))]


def name_of(params: Object) -> str:
    """What an item is remembered by."""
    return f"{called(params, 'turnId')} {called(params, 'item', 'id')}"
