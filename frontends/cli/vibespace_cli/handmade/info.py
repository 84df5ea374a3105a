"""`vibespace info` and `vibespace agent info`: as any method, with all that can be told."""

from __future__ import annotations

import click

from vibespace.v1.agents_pb2 import VIEW_FULL
from vibespace_cli import build, run
from vibespace_cli.invocation import Invocation


def command(words: tuple[str, ...]) -> click.Command:
    """The command."""
    return build.command(words, info)


def info(invocation: Invocation) -> None:
    """Ask for what the engine and the firewall say as well."""
    invocation.request.view = VIEW_FULL
    run.run(invocation)
