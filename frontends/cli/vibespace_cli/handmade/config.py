"""`vibespace config set`, and `config path` and `config file`: where this machine's settings are, and what they are."""

from __future__ import annotations

import click

from vibespace_cli import build, names
from vibespace_cli.everywhere import Command
from vibespace_cli.invocation import Invocation
from vibespace_cli.session import Session

_SHOWN = 60
"""Columns of a value that was just typed: enough to tell it from another."""


def command(words: tuple[str, ...]) -> click.Command:
    """The command."""
    if words[-1] == "set":
        return build.command(words, change)
    return {"path": Path, "file": File}[words[-1]](words[-1])


def change(invocation: Invocation) -> None:
    """Change an agent's settings, and say what has become of them, and of no others."""
    from vibespace.v1.agents_pb2 import GetAgentSettingsResponse
    from vibespace_cli import cells, run, table
    from vibespace_cli.shape import to_data

    response, output = run.call(invocation), invocation.session.output
    name = names.short(response.agent.name)
    if output.as_json:
        run.answer(invocation, response)
    elif output.plain:
        run.answer(invocation, GetAgentSettingsResponse(settings=response.settings))
    elif output.quiet:
        output.line(name)
    else:
        for setting in map(to_data, response.settings):
            value = cells.cut(table.one_line(setting["value"]), _SHOWN) or f"left to the {setting['source']}"
            when = "now" if setting["in_force"] == "yes" else setting["in_force"].replace("-", " ")
            output.sentence(f"{name}: {setting['setting']} is {value}, in force {when}.")


class Path(Command):
    """Print where the settings file is, be there one or not."""

    def __init__(self, name: str) -> None:
        super().__init__(name, help=type(self).__doc__, content=True)

    def invoke(self, ctx: click.Context) -> None:
        session: Session = ctx.find_root().obj
        path = str(session.state.config)
        if session.output.as_json:
            session.output.data({"path": path})
        else:
            session.output.line(path)


class File(Command):
    """Print what the settings file sets; where there is none, a template of one."""

    def __init__(self, name: str) -> None:
        super().__init__(name, help=type(self).__doc__)

    def invoke(self, ctx: click.Context) -> None:
        from vibespace import config

        session: Session = ctx.find_root().obj
        path, output = session.state.config, session.output
        settings = config.load(path)
        if output.as_json:
            told = {f"{k.replace('_', '.', 1)}": v for k, v in vars(settings).items()}
            output.data({"path": str(path), "exists": path.exists(), "settings": told})
        elif path.exists():
            output.line(path.read_text().rstrip("\n"))
        else:
            output.note(f"There is no {path} yet. It could say:")
            output.line(config.TEMPLATE.rstrip("\n"))
