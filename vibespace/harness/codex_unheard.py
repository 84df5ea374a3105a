"""What Codex lists of a conversation when it is opened: what was said, and begun and ended, when nobody heard it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vibespace.harness.codex_items import done
from vibespace.harness.codex_threads import Threads
from vibespace.harness.codex_told import Told
from vibespace.harness.events import Error, Event, Reason, Trouble, Where
from vibespace.harness.reading import called, mapping, text, whole

LATEST = 100
"""Turns, and items, to look through: of items more than a turn was seen to have."""
_NOTHING = "Codex was ended when it had just begun with this, and does not say what it was told."


def past(turns: Iterable[Any]) -> dict[str, str]:
    """Of a list of turns, the latest first, why each is over, the oldest first; empty while it is at work."""
    return {called(turn, "id"): _reason(turn) for turn in [*turns][LATEST - 1 :: -1] if called(turn, "id")}


def _reason(turn: Any) -> str:
    match text(turn, "status"):
        case "inProgress":
            return ""
        case "completed":
            return Reason.COMPLETED
        case "interrupted":  # of one that went on until its process was ended, nothing says when that was
            return Reason.LOST if whole(turn, "completedAt") is None else Reason.INTERRUPTED
    return Reason.FAILED


def listed(conversation: str, entries: list[Any], threads: Threads, told: Told) -> list[Event]:
    """What to tell of a list of items, the latest first, turn by turn; and that a turn which nobody heard of, or not to
    its end, was begun, and is over.
    """
    thread = threads.at(conversation)
    turns, since, is_new = thread.past, thread.since or (), thread.new or told.is_new(conversation)
    thread.past, thread.since, thread.new = {}, None, False
    newest, latest = next(reversed(turns), ""), called(entries[0], "turnId") if entries else ""
    missed = told.missed(turns, is_new=is_new)
    there: dict[str, list[Any]] = {called(entry, "turnId"): [] for entry in reversed(entries)}
    """What is news of each turn that is in the list."""
    for entry in told.news(conversation, entries, since, is_new=is_new):
        there[called(entry, "turnId")].append(entry)
    is_whole = len(entries) < LATEST
    """The list has all of the turn that is looked at."""
    found: list[Event] = []
    for name in [*turns, *(each for each in there if each not in turns)]:
        where, reason = Where(conversation=conversation, turn=name), turns.get(name)
        if reason == "":
            thread.joined = not thread.turn and name != thread.ended
        if reason and name in missed and not thread.turn:
            found += threads.start(where)
        elif reason == "" or (reason is None and is_new and name == latest):  # in others that may be a turn before
            found += threads.join(where)
            told.turn(name)
        is_silent = reason == Reason.LOST and is_whole and name not in there and name in (thread.turn, newest)
        if is_silent and told.is_silent(name):
            found.append(Error(trouble=Trouble.WARNING, text=_NOTHING, **where))
        for entry in there.get(name, ()):
            item = mapping(entry, "item")
            found += [*threads.unbegun(item, where), *done(item, where), *threads.finish(item, where)]
        if reason and reason != Reason.LOST and is_whole:
            told.end(name)
        if reason and name == thread.turn:
            found += threads.end(where, Reason(reason))
        is_whole = is_whole or name in there
    return found
