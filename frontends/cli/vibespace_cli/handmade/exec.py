"""`vibespace exec`: a command in an agent's container, with its input, output, signals and exit code."""

from __future__ import annotations

import click

from vibespace.errors import InvalidArgument
from vibespace_cli import build
from vibespace_cli.attach import attach
from vibespace_cli.invocation import Invocation
from vibespace_cli.terminal import described, is_terminal


def command(words: tuple[str, ...]) -> click.Command:
    """The command."""
    reads = "Pass the terminal's input on; input that is not a terminal is passed on anyway, except with -t."
    terminal = "Run it on a terminal of its own, which goes when this command does; with -i, ours stands in for it."
    flags: list[click.Parameter] = [
        click.Option(["-i", "--interactive"], is_flag=True, help=reads),
        click.Option(["-t", "--tty"], is_flag=True, help=terminal),
    ]
    return build.command(words, run, flags, content=True)


def run(invocation: Invocation) -> int:
    """Run it; returns the exit code of the command."""
    interactive, wants_terminal = invocation.params["interactive"], invocation.params["tty"]
    if not wants_terminal:
        return attach(invocation.session, invocation.request, reads=interactive or not is_terminal(0))
    if interactive and not is_terminal(0):
        hint = "Leave -t out: without it, what is piped in reaches the command unchanged."
        raise InvalidArgument("TERMINAL_NEEDED", "With -it the input must be a terminal.", hint=hint)
    invocation.request.start.terminal.CopyFrom(described())
    return attach(invocation.session, invocation.request, reads=interactive)
