"""`vibespace ssh-config`: what lets plain ssh, scp, rsync and editors reach agents."""

from __future__ import annotations

import click

from vibespace import launch
from vibespace.errors import InvalidArgument
from vibespace_cli.everywhere import Command
from vibespace_cli.session import Session


def command(words: tuple[str, ...]) -> click.Command:
    """The command."""
    return SshConfig(words[-1])


class SshConfig(Command):
    """Let plain ssh, scp, rsync and editors reach AGENT.NAME.vibespace.

    Prints the settings that ssh needs. With --install they are included in your ~/.ssh/config, and --remove takes
    that out again. The key is the one of the state directory; each agent's host key is pinned.

    \b
    vibespace ssh-config --install
    ssh claude-1.demo.vibespace
    """

    def __init__(self, name: str) -> None:
        params = [
            click.Option(["--install"], is_flag=True, help="Include the settings in ~/.ssh/config."),
            click.Option(["--remove"], is_flag=True, help="Take them out again; the file is then what it was."),
        ]
        super().__init__(name, params=params, help=type(self).__doc__, content=True)

    def invoke(self, ctx: click.Context) -> None:
        from vibespace.setup import sshconfig

        session: Session = ctx.find_root().obj
        state, output = session.state, session.output
        launch.refuse_uninstalled(state)
        if ctx.params["install"] and ctx.params["remove"]:
            raise InvalidArgument("USAGE", "--install and --remove exclude each other.", hint="Give one.")
        if ctx.params["install"]:
            launch.ensure_home(state.home)
            said, path = "includes our settings", sshconfig.install(state)
        elif ctx.params["remove"]:
            said, path = "has nothing of ours", sshconfig.remove(state)
        elif output.as_json:
            output.data({"settings": sshconfig.settings(state)})
            return
        else:
            output.line(sshconfig.settings(state).rstrip("\n"))
            return
        if output.as_json:
            output.data({"path": str(path), "installed": ctx.params["install"]})
        elif not output.quiet:
            output.sentence(f"{path} {said}.")
