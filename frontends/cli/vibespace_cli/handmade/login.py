"""`vibespace credential login`: an agent's program logged in by a person, on this terminal, in its own way."""

from __future__ import annotations

import click

from vibespace.errors import InvalidArgument
from vibespace.v1.agents_pb2 import ExecRequest, ExecStart
from vibespace.v1.credentials_pb2 import GetLoginRequest
from vibespace_cli import complete, names
from vibespace_cli.attach import attach
from vibespace_cli.build import beside_agent
from vibespace_cli.everywhere import Command
from vibespace_cli.session import Session
from vibespace_cli.terminal import described, is_terminal

_HELP = """Log an agent's program in, by its own login, on this terminal.

It shows an address, to be opened in a browser on any machine. Either it also shows a code, which is typed there, or it
asks for the one that is shown there.

The login stays where the program keeps it: in the agent's home or, if the agent was created with --share-credentials,
in the store that it shares with other agents of the vibespace. A program that runs takes it when it starts next, and
where it had none with the next message.
"""


def command(words: tuple[str, ...]) -> click.Command:
    """The command."""
    agent = "Name of the agent; without it, the primary."
    params: list[click.Parameter] = [
        click.Argument(["agent"], required=False, metavar="[AGENT]", help=agent, shell_complete=complete.agents),
        beside_agent(),
    ]
    return Command(words[-1], params=params, callback=click.pass_obj(run), help=_HELP, content=True)


def run(session: Session, agent: str | None, vibespace: str | None) -> int:
    """Have the login run; returns its exit code."""
    if not (is_terminal(0) and is_terminal(1)):
        hint = "Without one, 'vibespace credential set' stores a key or a long-lived token for agents."
        raise InvalidArgument("TERMINAL_NEEDED", "login needs a terminal.", hint=hint)
    name = names.agent(session, agent, vibespace)
    opened = session.call("CredentialService/GetLogin", GetLoginRequest(name=name))
    start = ExecStart(name=name, command=opened.command, terminal=described())
    return attach(session, ExecRequest(start=start), reads=True)
