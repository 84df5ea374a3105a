"""`vibespace completion`: the script that lets a shell complete commands, flags, and names of what exists."""

from __future__ import annotations

import click

from vibespace_cli.everywhere import Command
from vibespace_cli.session import Session

VARIABLE = "_VIBESPACE_COMPLETE"
"""Set by the shell's script when it asks for words; `main` answers it."""

_WHOLE_NAMES = "COMP_WORDBREAKS=${COMP_WORDBREAKS//@/}"
"""To bash, `claude-1@demo` is three words, unless it is told."""

_OPEN_END = """    [[ ${#COMPREPLY[@]} == 1 && $COMPREPLY == *: ]] && compopt -o nospace
    return 0
"""
"""Behind `claude-1@demo:` a path goes on."""

_SHELLS = ("bash", "zsh", "fish")


def command(words: tuple[str, ...]) -> click.Command:
    """The command."""
    return Completion(words[-1])


class Completion(Command):
    """Print the script that completes commands, flags and live names in a shell.

    \b
    bash: source <(vibespace completion bash)
    zsh:  source <(vibespace completion zsh)
    fish: vibespace completion fish | source
    """

    def __init__(self, name: str) -> None:
        shell = click.Argument(["shell"], type=click.Choice(_SHELLS), metavar="|".join(_SHELLS))
        super().__init__(name, params=[shell], help=type(self).__doc__, content=True)

    def invoke(self, ctx: click.Context) -> None:
        from click.shell_completion import get_completion_class

        session: Session = ctx.find_root().obj
        made = get_completion_class(ctx.params["shell"])
        assert made is not None
        script = made(ctx.find_root().command, {}, "vibespace", VARIABLE).source().strip()
        if ctx.params["shell"] == "bash":
            session.output.line(_WHOLE_NAMES)
            script = script.replace("    return 0\n", _OPEN_END)
        session.output.line(script)
