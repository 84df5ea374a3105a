"""`vibespace connect`: this terminal joined to an agent: to its program, or to a shell in its container."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from itertools import count

import click

from vibespace.client import ATTEMPTS
from vibespace.errors import InvalidArgument, Unavailable
from vibespace.resume import LOST, lost
from vibespace.v1.agents_pb2 import ExecRequest, ExecStart
from vibespace.v1.conversations_pb2 import OpenTerminalRequest, OpenTerminalResponse
from vibespace_cli import complete, names
from vibespace_cli.attach import attach
from vibespace_cli.build import beside_agent
from vibespace_cli.everywhere import Command
from vibespace_cli.session import Session
from vibespace_cli.terminal import described, is_terminal

_SHELL = ("sh", "-c", 'exec "${SHELL:-/bin/sh}" -l')
"""The user's own, as at a login: sshd says which."""

_BY_SIGNAL = 128
"""What a shell's exit codes have above the number of the signal that ended it."""

_HELP = """Work on this terminal with an agent, or in its container.

It is the agent's own program, on the conversation that `ask` goes on with, and with the agent's settings. Claude Code
comes when it is idle; what is said to it from elsewhere waits until you leave it, or ends this with `ask --take-over`
when it is idle. Ctrl-B D, or closing this terminal, detaches: it goes on, and `connect` joins it again.

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
        click.Option(["--take-over"], is_flag=True, help="Interrupt what the agent works on, and do not wait for it."),
    ]
    return Command(words[-1], params=params, callback=click.pass_obj(run), help=_HELP, content=True)


def run(session: Session, agent: str | None, vibespace: str | None, shell: bool, take_over: bool) -> int:
    """Join; returns the exit code of the shell, or of the program."""
    if shell and take_over:
        raise InvalidArgument("ARGUMENTS_CONTRADICT", "A shell takes nothing over.", field="take_over")
    hint = "'vibespace ask' talks with the agent without one, 'vibespace exec AGENT -- COMMAND' runs a command."
    if not (is_terminal(0) and is_terminal(1)):
        raise InvalidArgument("TERMINAL_NEEDED", "connect needs a terminal.", hint=hint)
    if described().type == "dumb" and not shell:
        why = "connect needs a terminal on which it can move about, and TERM says that this one is dumb."
        raise InvalidArgument("TERMINAL_NEEDED", why, hint=hint)
    name = names.agent(session, agent, vibespace)
    command = _SHELL if shell else _program(session, name, take_over)
    start = ExecStart(name=name, command=command, terminal=described())
    again = f"'vibespace connect {names.short(name)}' joins it again"
    try:
        code = attach(session, ExecRequest(start=start), reads=True)
    except Unavailable as error:
        if not shell:
            first = "The program goes on:" if error.reason == LOST else error.hint
            error.hint = f"{first} {again}.".strip()
        raise
    if (number := code - _BY_SIGNAL) in range(1, signal.NSIG) and not shell:
        session.output.note(f"The program on this terminal was ended by signal {number}; {again}.")
    return code


def _program(session: Session, name: str, take_over: bool) -> Sequence[str]:
    """What to run to have it, once it is there; a daemon that ends meanwhile is started again, and asked again."""
    request = OpenTerminalRequest(name=name, take_over=take_over)
    for attempt in count(1):
        try:
            command: Sequence[str] = ()
            for response in session.client.stream("ConversationService/OpenTerminal", request, OpenTerminalResponse):
                if response.waiting:
                    session.output.step(f"Waiting: {response.waiting} …")
                command = response.command or command
            return command
        except Unavailable as e:
            if not lost(e) or attempt == ATTEMPTS:
                raise
    raise AssertionError("not reached")
