"""Any response for a person: lists of resources as tables, one resource as its fields."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from vibespace import amounts
from vibespace_cli import cells, human, names, table
from vibespace_cli.output import Output
from vibespace_cli.shape import Leaf, is_message, leaves, text, words

_PLUMBING = frozenset({"cursor", "next_page_token"})
"""Response fields for the next call, not for reading."""

_MACHINERY = frozenset({"name", "generation", "observed_generation", "position"})
"""Resource fields that programs compare; shown with --verbose."""

_DETAILS = frozenset({"uid", "data_uid", "upload", "private"})
"""Resource fields that a person seldom asks for; shown with --verbose and --plain."""

_ON_REQUEST = frozenset({"usage", "worktree"})
"""What is told of a resource only when it was asked for."""

_COLOURS = {"running": "green", "ready": "green", "failed": "red", "starting": "yellow", "stopping": "yellow"}


def render(output: Output, response: Any) -> None:
    """Write `response` to stdout as the flags say, JSON excepted."""
    every = [f for f in response.DESCRIPTOR.fields if f.name not in _PLUMBING]
    things = [f for f in every if is_message(f) and any(leaf.summary for leaf in leaves(f.message_type))]
    if output.quiet and not output.plain:  # of what has no name, such as the machine, nothing is told
        for field in things:
            value = getattr(response, field.name)
            for each in value if field.is_repeated else [value]:
                output.line(_name(each))
        return
    # Of several lists only those that have something; one alone says that it has nothing.
    parts = [f for f in every if not f.is_repeated or getattr(response, f.name)] or every[:1]
    alone = len(parts) == 1
    if output.plain and output.header and any(not (is_message(f) and f.is_repeated) for f in parts):
        output.line("FIELD\tVALUE")
    _pairs(output, [_top(output, response, f) for f in parts if not (is_message(f) or f.is_repeated)], "")
    for field in parts:
        value, title = getattr(response, field.name), "" if alone else field.name
        if not is_message(field):
            _list_of_words(output, field, value)
        elif field.is_repeated:
            _list(output, field.message_type, value, title, [f.message_type for f in parts if not f.is_repeated])
        elif response.HasField(field.name):
            _detail(output, value, title)


def _name(message: Any) -> str:
    """What it is called where a name is typed; of what has none, what tells it from the others."""
    if "name" in message.DESCRIPTOR.fields_by_name:
        return names.short(message.name)
    return text(message, columns(message.DESCRIPTOR)[0]) or ""


def columns(descriptor: Any) -> list[Leaf]:
    """What tells one resource from another: the (summary) leaves, or all when there are none."""
    found = list(leaves(descriptor))
    return [leaf for leaf in found if leaf.summary] or found


def unmeasured(descriptor: Any) -> list[Leaf]:
    """The columns but for what is used, which changes all the time: for tables that have no --usage."""
    return [leaf for leaf in columns(descriptor) if "usage" not in leaf.path]


def rows(output: Output, messages: Sequence[Any], shown: Sequence[Leaf]) -> list[list[str]]:
    """A row a message."""
    if output.plain:
        return [[text(m, leaf) or "" for leaf in shown] for m in messages]
    return [[_cell(m, leaf) for leaf in shown] for m in messages]


def _cell(message: Any, leaf: Leaf) -> str:
    """One value. Of what is counted, and told by a field beside how many of it run, both where not all do: `2/3`."""
    value = _brief(_label(leaf.path[-1:]), text(message, leaf, local=True) or "")[1]
    holder = leaf.field.containing_type
    part = holder.fields_by_name.get(f"{leaf.path[-1]}_running") if holder else None
    running = text(message, Leaf((*leaf.path[:-1], part.name), part, summary=False)) if part else value
    return value if running == value else f"{running}/{value}"


def header(shown: Sequence[Leaf]) -> list[str]:
    """Names of columns: VIBESPACE for `vibespace_id`, STATE for `status.state`."""
    return [leaf.path[-1].removesuffix("_id").replace("_", " ").upper() for leaf in shown]


def write_table(
    output: Output,
    titles: Sequence[str],
    found: Sequence[Sequence[str]],
    indent: str = "",
    *,
    prose: bool = False,
) -> None:
    """Write rows as the flags say. With `prose` the last column is sentences."""
    if output.plain:
        lines = table.tabbed(titles if output.header else (), found)
        for line in lines:
            output.line(line)
        return
    for line in table_lines(output, titles, found, indent, prose=prose):
        output.line(line)


def table_lines(
    output: Output, titles: Sequence[str], found: Sequence[Sequence[str]], indent: str = "", *, prose: bool = False
) -> Sequence[str]:
    """A header and rows for a person, as wide as the terminal at most."""
    first, *others = table.lines(titles, found, table.terminal_width() - len(indent), prose=prose)
    head = [indent + output.paint(line, "bold") for line in first]
    return [*head, *((indent + _coloured(output, line)).rstrip() for row in others for line in row)]


def _list(output: Output, descriptor: Any, messages: Sequence[Any], title: str, beside: Sequence[Any]) -> None:
    """`beside` are the types of the resources that the list is part of."""
    shown = [
        leaf
        for leaf in columns(descriptor)
        if not messages or _stays(output, leaf) or (_anywhere(messages, leaf) and not _is_told(leaf, beside))
    ]
    if output.quiet:
        for message in messages:
            output.line(_name(message))
        return
    if title and not output.plain:
        output.line(output.paint(f"{title}:", "bold"))
    if messages:
        found = rows(output, messages, shown)
        write_table(output, _titles(output, shown), found, "  " if title else "", prose=_is_prose(shown[-1]))
    elif output.plain and output.header:
        write_table(output, header(shown), [])
    else:
        output.note(f"No {title or descriptor.name.lower() + 's'}.")


def _is_prose(leaf: Leaf) -> bool:
    """A text that names nothing is sentences; states are no texts."""
    return leaf.field.type == leaf.field.TYPE_STRING and not leaf.field.is_repeated


def _titles(output: Output, shown: Sequence[Leaf]) -> list[str]:
    """Amounts that are shown as people read them have their unit beside them."""
    titles = header(shown)
    return titles if output.plain else [each.removesuffix(" BYTES").removesuffix(" SECONDS") for each in titles]


def _stays(output: Output, leaf: Leaf) -> bool:
    """Columns that scripts count do not come and go with what somebody has set, only with what was asked for."""
    return output.plain and _ON_REQUEST.isdisjoint(leaf.path)


def _is_told(leaf: Leaf, beside: Sequence[Any]) -> bool:
    """What the resource above the table is called, its rows need not say again."""
    return len(leaf.path) == 1 and any(type and leaf.path[0] in type.fields_by_name for type in beside)


def _anywhere(messages: Sequence[Any], leaf: Leaf) -> bool:
    """A column that no row has a value for, because nobody asked for it, is left out."""
    return any(text(message, leaf) is not None for message in messages)


def _detail(output: Output, message: Any, title: str) -> None:
    found = list(leaves(message.DESCRIPTOR))
    twice = Counter(leaf.path[-1] for leaf in found)
    shallow: dict[str, int] = {}
    for leaf in found:
        shallow[leaf.path[-1]] = min(len(leaf.path), shallow.get(leaf.path[-1], 99))
    pairs = []
    for leaf in found:
        if leaf.path[-1] in _MACHINERY and not output.verbose:
            continue
        brief = not (output.plain or output.verbose)
        value = text(message, leaf, local=not output.plain)
        if value is None or value in ("", "unspecified") or (brief and leaf.path[-1] in _DETAILS):
            continue
        short = twice[leaf.path[-1]] == 1 or len(leaf.path) == shallow[leaf.path[-1]]
        label = ".".join(leaf.path) if output.plain else _label(leaf.path[-1:] if short else leaf.path[-2:])
        said, shown = _brief(label, value) if brief else (label, value)
        pairs.append((said if output.plain else said + _used(leaf), shown))
    _pairs(output, pairs, title)


def _used(leaf: Leaf) -> str:
    """What tells an amount that is used from one that was asked for by the same name."""
    return " used" if "usage" in leaf.path and leaf.path[-1].endswith(("_bytes", "_seconds")) else ""


def _brief(label: str, value: str) -> tuple[str, str]:
    """A field as it is read, not computed with; its unit is told by its name."""
    if value and label.endswith(" seconds"):
        return label.removesuffix(" seconds"), human.duration(int(value))
    if value and label.endswith(" bytes"):
        return label.removesuffix(" bytes"), amounts.size(int(value))
    return label, human.digest(value)


def _top(output: Output, response: Any, field: Any) -> tuple[str, str]:
    value = text(response, Leaf((field.name,), field, summary=False), local=not output.plain)
    return field.name if output.plain else _label([field.name]), value or ""


def _pair(output: Output, field: Any, value: Any) -> tuple[str, str]:
    return field.name if output.plain else _label([field.name]), words(value)


def _list_of_words(output: Output, field: Any, values: Any) -> None:
    if not field.is_repeated or not values:
        return
    if output.plain:
        _pairs(output, [_pair(output, field, v) for v in values], "")
        return
    output.line(output.paint(f"{_label([field.name])}:", "bold"))
    for each in values:
        output.sentence(f"  {words(each)}", hang=2)


def _pairs(output: Output, pairs: Sequence[tuple[str, str]], title: str) -> None:
    if output.plain:
        for line in table.tabbed((), [(f"{title}.{label}".strip("."), value) for label, value in pairs]):
            output.line(line)
        return
    if title:
        output.line(output.paint(f"{title}:", "bold"))
    indent = "  " if title else ""
    head = max((len(label) for label, _ in pairs), default=0) + len(table.GAP)
    room = table.terminal_width() - len(indent) - head if sys.stdout.isatty() else sys.maxsize
    for label, value in pairs:
        for at, part in enumerate(cells.wrap(table.one_line(value), max(room, 1))):
            before = (label if at == 0 else "").ljust(head)
            output.line(f"{indent}{before}{output.paint(part, _COLOURS.get(value, ''))}".rstrip())


def _label(path: Sequence[str]) -> str:
    return " ".join(path).removesuffix("_id").replace("_", " ")


def _coloured(output: Output, line: str) -> str:
    for word, colour in _COLOURS.items():
        if f" {word}" in line:
            return line.replace(f" {word}", " " + output.paint(word, colour))
    return line
