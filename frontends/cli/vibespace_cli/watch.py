"""What `list --watch` shows: vibespaces as they change, until somebody has seen enough."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence

from vibespace.v1.events_pb2 import WatchRequest
from vibespace.v1.vibespaces_pb2 import Vibespace
from vibespace_cli import names, render, settle, table
from vibespace_cli.output import Output
from vibespace_cli.screen import Screen
from vibespace_cli.session import Session
from vibespace_cli.shape import to_data


def vibespaces(session: Session) -> None:
    """On a terminal the table anew, in a pipe a line for each change."""
    output = session.output
    output.streaming = True
    show = _Table(output) if sys.stdout.isatty() and not (output.as_json or output.plain) else _Lines(output)
    known: dict[str, Vibespace] = {}
    for changed, gone in _changes(session, known):
        show(known, changed, gone)


def _changes(session: Session, known: dict[str, Vibespace]) -> Iterator[tuple[list[Vibespace], list[str]]]:
    """Keep `known` up to date; what has changed and what has gone, each time something has."""
    first = True
    for batch in settle.changes(session, WatchRequest()):
        changed = [change.vibespace for change in batch.changes if change.HasField("vibespace")]
        gone = [change.deleted for change in batch.changes if change.deleted in known]
        if batch.snapshot:  # all there is; anew when a daemon cannot tell what went meanwhile
            gone = [*known.keys() - {each.name for each in changed}]
            changed = [each for each in changed if known.get(each.name) != each]
        known.update({each.name: each for each in changed})
        for name in gone:
            del known[name]
        if changed or gone or first:
            yield changed, gone
        first = False


class _Table:
    """Draws what there is now."""

    def __init__(self, output: Output) -> None:
        self._output, self._screen = output, Screen()
        self._shown = render.unmeasured(Vibespace.DESCRIPTOR)

    def __call__(self, known: Mapping[str, Vibespace], _changed: Sequence[Vibespace], _gone: Sequence[str]) -> None:
        rows = render.rows(self._output, [known[name] for name in sorted(known)], self._shown)
        lines = render.table_lines(self._output, render.header(self._shown), rows) if rows else ["No vibespaces."]
        self._screen.show(lines)


class _Lines:
    """Writes what changed: one object a line, or one row with --plain, the name alone with --quiet."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._shown = render.unmeasured(Vibespace.DESCRIPTOR)

    def __call__(self, _known: Mapping[str, Vibespace], changed: Sequence[Vibespace], gone: Sequence[str]) -> None:
        output = self._output
        if output.as_json:
            for each in changed:
                output.object({"vibespace": to_data(each)})
            for name in gone:
                output.object({"deleted": name})
            return
        rows = render.rows(output, changed, self._shown)
        rows += [[names.short(name), "deleted", *[""] * (len(self._shown) - 2)] for name in gone]
        header = render.header(self._shown) if output.header else ()
        for line in [row[0] for row in rows] if output.quiet else table.tabbed(header, rows):
            output.line(line)
        output.header = False
        output.flush()
