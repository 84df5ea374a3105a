"""`vibespace version`: of both sides; asks a daemon that runs, and starts none for it."""

from __future__ import annotations

import platform

import click

from vibespace import __version__
from vibespace.launch import answers
from vibespace_cli import build, run
from vibespace_cli.invocation import Invocation
from vibespace_cli.shape import to_data


def command(words: tuple[str, ...]) -> click.Command:
    """The command."""
    return build.command(words, version)


def version(invocation: Invocation) -> None:
    """Print ours, and the daemon's if one runs."""
    invocation.session.uninstalled_too = True
    output = invocation.session.output
    ours = {"version": __version__, "python": platform.python_version(), "api": "vibespace.v1"}
    theirs = to_data(run.call(invocation)) if answers(invocation.session.state.socket) else None
    if output.as_json:
        output.data({"client": ours, "daemon": theirs})
        return
    gap = "\t" if output.plain else "  "
    told = f"{theirs['version']} (Python {theirs['python']}, {theirs['api']})" if theirs else "does not run"
    output.line(f"client{gap}{ours['version']} (Python {ours['python']}, {ours['api']})")
    output.line(f"daemon{gap}{told}")
