"""What is different between two moments of the history: which things came and went, and which fields of the others."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

from vibespace_cli import names
from vibespace_cli.shape import to_data

_COUNTS = frozenset({"name", "position", "generation", "observed_generation"})
"""Fields that follow from the others having changed."""
_PASSING = frozenset({"conversations", "messages", "approvals"})
"""What nobody deletes, and has its end all the same."""

Field = tuple[str, Any, Any]
"""Path, then value and later one; None where it is not set."""


class Difference(NamedTuple):
    """One thing that is not as it was."""

    name: str
    """Resource name, or `host`."""
    change: str
    """`created`, `deleted`, `ended` or `changed`; deleted and made anew under one name is both."""
    fields: list[Field]
    """Of what has changed."""

    def as_data(self) -> dict[str, Any]:
        """As JSON can hold it."""
        fields = [{"field": path, "from": before, "to": after} for path, before, after in self.fields]
        return {"name": self.name, "change": self.change, "fields": fields}


def between(then: Any, now: Any) -> list[Difference]:
    """Of two responses of Replay: the machine, then by name."""
    before, after = _things(then), _things(now)
    found: list[Difference] = []
    for name in sorted(before.keys() | after.keys(), key=lambda name: (name != "host", name)):
        old, new = before.get(name), after.get(name)
        if old and new and old.get("uid") == new.get("uid"):
            if fields := list(_fields(old, new)):
                found.append(Difference(name, "changed", fields))
            continue
        over = "ended" if names.kind(name) in _PASSING else "deleted"
        found += [Difference(name, over, [])] if old else []
        found += [Difference(name, "created", [])] if new else []
    return found


def _things(response: Any) -> dict[str, dict[str, Any]]:
    lists = (getattr(response, field.name) for field in response.DESCRIPTOR.fields if field.is_repeated)
    things = {found.name: to_data(found) for found in chain.from_iterable(lists)}
    return {"host": to_data(response.host), **things}


def _fields(old: Any, new: Any, path: str = "") -> Iterator[Field]:
    if isinstance(old, dict) or isinstance(new, dict):
        old, new = old or {}, new or {}
        for key in {**old, **new}:
            if key not in _COUNTS or path == "engine":
                yield from _fields(old.get(key), new.get(key), f"{path}.{key}".strip("."))
    elif old != new:
        yield path, old, new
