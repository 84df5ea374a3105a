"""What Codex lists of a conversation when it is opened: what was said, and begun and ended, when nobody heard it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vibespace.harness.codex_items import done, failure
from vibespace.harness.codex_threads import LATEST, Opening, Over, Threads
from vibespace.harness.codex_told import Told
from vibespace.harness.events import Error, Event, Reason, Trouble, Where
from vibespace.harness.reading import called, mapping, text, whole

_LONGEST = 1000
"""Characters of the words by which a turn has failed."""
_NOTHING = "Codex was ended when it had just begun with this, and does not say what it was told."


def past(turns: Iterable[Any]) -> dict[str, Over | None]:
    """Of a list of turns, the latest first, what `Opening.turns` is to have."""
    return {called(turn, "id"): _over(turn) for turn in [*turns][LATEST - 1 :: -1] if called(turn, "id")}


def _over(turn: Any) -> Over | None:
    match text(turn, "status"):
        case "inProgress":
            return None
        case "completed":
            return Over(Reason.COMPLETED)
        case "interrupted":  # of one that went on until its process was ended, nothing says when that was
            return Over(Reason.LOST if whole(turn, "completedAt") is None else Reason.INTERRUPTED)
    trouble, words, _ = failure(mapping(turn, "error"))
    return Over(Reason.FAILED, words[:_LONGEST], trouble)


def listed(conversation: str, entries: list[Any] | None, threads: Threads, told: Told) -> list[Event]:
    """What to tell of a list of items, the latest first, turn by turn; and that a turn which nobody heard of, or not to
    its end, was begun, and is over. Without a list, because it was refused, no more than that.
    """
    thread = threads.at(conversation)
    opening, thread.opening = thread.opening or Opening(), None
    turns, is_new = opening.turns, opening.is_new or told.is_new(conversation)
    if entries is None:
        thread.opening = Opening(is_new=is_new, since=opening.since)
    is_whole, entries = entries is not None and len(entries) < LATEST, entries or []
    """The list has all of the turn that is looked at."""
    newest, latest = next(reversed(turns), ""), called(entries[0], "turnId") if entries else ""
    missed = told.missed(turns, is_new=is_new)
    there: dict[str, list[Any]] = {called(entry, "turnId"): [] for entry in reversed(entries)}
    """What is news of each turn that is in the list."""
    for entry in told.news(conversation, entries, opening.since, is_new=is_new):
        there[called(entry, "turnId")].append(entry)
    found: list[Event] = []
    for name in [*turns, *(each for each in there if each not in turns)]:
        where, over = Where(conversation=conversation, turn=name), turns.get(name)
        runs = name in turns and over is None
        if runs:
            thread.joined = not thread.turn and name != thread.ended
        if over and name in missed and not thread.turn:
            found += threads.start(where)
        elif runs or (name not in turns and is_new and name == latest):  # in others that may be a turn before
            found += threads.join(where)
            told.turn(name)
        is_lost = over == Over(Reason.LOST)
        is_silent = is_lost and is_whole and name not in there and name in (thread.turn, newest)
        if is_silent and told.is_silent(name):
            found.append(Error(trouble=Trouble.WARNING, text=_NOTHING, **where))
        for entry in there.get(name, ()):
            item = mapping(entry, "item")
            call = threads.unbegun(item, where)
            call = call if call and told.begin_call(entry) else []
            found += [*call, *done(item, where), *threads.finish(item, where)]
        if over and not is_lost and is_whole:
            told.end(name)
        if over and name == thread.turn:
            found += threads.close_turn(where, over)
        is_whole = is_whole or name in there
    return found
