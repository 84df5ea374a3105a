"""`vibespace list`: as any method; with --watch what changes, drawn anew on a terminal, a line each in a pipe."""

from __future__ import annotations

import click

from vibespace.errors import InvalidArgument
from vibespace_cli import build, run
from vibespace_cli.invocation import Invocation


def command(words: tuple[str, ...]) -> click.Command:
    """The command."""
    text = (
        "Go on showing what changes: the table anew on a terminal, a line for each change in a pipe. Not with --usage."
    )
    return build.command(words, listing, [click.Option(["-w", "--watch"], is_flag=True, help=text)])


def listing(invocation: Invocation) -> None:
    """List once, or until somebody has seen enough."""
    if invocation.params["watch"]:
        if invocation.request.usage:
            message = "--watch shows what changes, and what is used does all the time."
            raise InvalidArgument("USAGE_NOT_WATCHED", message, hint="Leave out --usage or --watch.")
        from vibespace_cli import watch

        watch.vibespaces(invocation.session)
    else:
        run.run(invocation)
