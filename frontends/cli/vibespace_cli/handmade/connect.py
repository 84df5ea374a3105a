"""`vibespace connect`: this terminal joined to an agent. So far to a shell in its container."""

from __future__ import annotations

import click

from vibespace.errors import FailedPrecondition, InvalidArgument
from vibespace.v1.agents_pb2 import ExecRequest, ExecStart
from vibespace_cli import complete, names
from vibespace_cli.attach import attach
from vibespace_cli.build import beside_agent
from vibespace_cli.everywhere import Command
from vibespace_cli.session import Session
from vibespace_cli.terminal import described, is_terminal

_SHELL = ("sh", "-c", 'exec "${SHELL:-/bin/sh}" -l')
"""The user's own, as at a login: sshd says which."""

_HELP = """Work on this terminal in an agent's container.

With --shell, in a shell, where `exec` runs its commands. It goes when this terminal is closed; what was begun with
nohup or tmux goes on.
"""


def command(words: tuple[str, ...]) -> click.Command:
    """The command."""
    agent = "Name of the agent; without it, the primary."
    params: list[click.Parameter] = [
        click.Argument(["agent"], required=False, metavar="[AGENT]", help=agent, shell_complete=complete.agents),
        beside_agent(),
        click.Option(["--shell"], is_flag=True, help="A shell of the agent's user."),
    ]
    return Command(words[-1], params=params, callback=click.pass_obj(run), help=_HELP)


def run(session: Session, agent: str | None, vibespace: str | None, shell: bool) -> int:
    """Join; returns the exit code of the shell."""
    session.output.content = True
    if not shell:
        hint = f"'vibespace connect {agent or 'AGENT'} --shell' is a shell in its container: start the program there."
        raise FailedPrecondition("CONNECT_NOT_YET", "An agent's own program cannot be connected to yet.", hint=hint)
    if not (is_terminal(0) and is_terminal(1)):
        hint = "'vibespace exec AGENT -- COMMAND' runs a command without one."
        raise InvalidArgument("TERMINAL_NEEDED", "connect needs a terminal.", hint=hint)
    start = ExecStart(name=names.agent(session, agent, vibespace), command=_SHELL, terminal=described())
    return attach(session, ExecRequest(start=start), reads=True)
