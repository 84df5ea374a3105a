"""`vibespace config path` and `config file`: where the settings are, and what they are."""

from __future__ import annotations

import click

from vibespace_cli.everywhere import Command
from vibespace_cli.session import Session


def command(words: tuple[str, ...]) -> click.Command:
    """The command."""
    return {"path": Path, "file": File}[words[-1]](words[-1])


class Path(Command):
    """Print where the settings file is, be there one or not."""

    def __init__(self, name: str) -> None:
        super().__init__(name, help=type(self).__doc__)

    def invoke(self, ctx: click.Context) -> None:
        session: Session = ctx.find_root().obj
        session.output.content = True
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
