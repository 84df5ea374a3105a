"""`vibespace audit verify`: whether the log is as it was written; damage is told by the exit code too."""

from __future__ import annotations

import click

from vibespace_cli import build, run
from vibespace_cli.invocation import Invocation
from vibespace_cli.render import columns, header, rows, write_table
from vibespace_cli.shape import to_data

DAMAGED = 16
"""Exit code when something is wrong with the log: that of a daemon that refuses to start on such a one."""


def command(words: tuple[str, ...]) -> click.Command:
    """The command."""
    return build.command(words, verify)


def verify(invocation: Invocation) -> int:
    """Print what is wrong, by position; returns an exit code."""
    output = invocation.session.output
    found = run.call(invocation)
    damaged = bool(found.damages or found.more)
    if output.as_json:
        output.data(to_data(found))
    elif damaged or output.plain:
        shown = columns(found.DESCRIPTOR.fields_by_name["damages"].message_type)
        write_table(output, header(shown), rows(output, found.damages, shown), prose=True)
    elif not output.quiet:
        output.line(f"Events 1 to {found.cursor.position} are as they were written.")
    if found.more:
        output.note(f"At {found.more} more positions something is wrong.")
    if damaged:
        output.note("The log is never edited: restore events.db from a backup.")
    return DAMAGED if damaged else 0
