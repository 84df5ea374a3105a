"""What was told of Codex's threads: of a list of what is there, that tells what is news."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from itertools import takewhile
from typing import Any

from vibespace.harness.codex_threads import MOST_THREADS
from vibespace.harness.reading import Object, called, text

_MOST = 256
"""Items that are remembered: a list of what is there goes on behind the last of them."""


class Told:
    """Items, by turn and id: some models number their calls anew in each turn."""

    def __init__(self, items: Iterable[str] = (), begun: Iterable[str] = ()) -> None:
        self._items = deque(items, maxlen=_MOST)
        self._listed = deque[str](maxlen=_MOST)
        """Of them, those that a list has told to this process: that each is over may be told only now."""
        self._begun = deque(begun, maxlen=MOST_THREADS)
        """Threads that were seen to begin, and of which no item was told yet."""

    def next(self) -> Told:
        """For the process that comes after this one."""
        return Told(self._items, self._begun)

    def state(self) -> dict[str, Any]:
        return {"items": [*self._items], "listed": [*self._listed], "begun": [*self._begun]}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._items.extend(state["items"])
        self._listed.extend(state["listed"])
        self._begun.extend(state["begun"])

    def begin(self, thread: str) -> None:
        """Of this one all is news."""
        if thread not in self._begun:
            self._begun.append(thread)

    def is_new(self, thread: str) -> bool:
        """Whether it was seen to begin, and nothing of it was told yet."""
        return thread in self._begun

    def tell(self, thread: str, params: Object) -> bool:
        """Whether the item that is over is to be told: not if a list has told it."""
        name = _name(params)
        if name in self._listed:
            return False
        self._add(thread, name)
        return True

    def news(self, thread: str, entries: list[Any], message: str = "") -> list[Any]:
        """Of a list of the thread, the latest first, what is to be told, the oldest first.

        That is the message that was looked for, where it is there; else what comes after the last that was told, or all
        of a thread of which nothing was. Of any other nobody knows what was told: all of it counts as if it were.
        """
        if message:
            missed = [entry for entry in entries if text(entry, "item", "clientId") == message]
        else:
            missed = [*takewhile(lambda entry: _name(entry) not in self._items, entries)]
            if len(missed) == len(entries) and thread not in self._begun:
                self._items.extend(_name(entry) for entry in reversed(entries))
                return []
        found = []
        for entry in reversed(missed):
            if (name := _name(entry)) not in self._items:
                self._add(thread, name)
                self._listed.append(name)
                found.append(entry)
        return found

    def _add(self, thread: str, name: str) -> None:
        self._items.append(name)
        if thread in self._begun:
            self._begun.remove(thread)


def _name(params: Object) -> str:
    return f"{called(params, 'turnId')} {called(params, 'item', 'id')}"
