"""Live names for the shell's completion: asked of a daemon that runs, and never by starting one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from vibespace.errors import Error
from vibespace_cli import names
from vibespace_cli.session import Session

Offer = Callable[[click.Context, click.Parameter, str], list[Any]]


def vibespaces(ctx: click.Context, _: click.Parameter, typed: str) -> list[Any]:
    """Names of vibespaces."""
    found = _ask(ctx, lambda s: [v.vibespace_id for v in s.call("VibespaceService/ListVibespaces").vibespaces])
    return [n for n in found if n.startswith(typed)]


def agents(ctx: click.Context, _: click.Parameter, typed: str) -> list[Any]:
    """Names of agents, as `agent@vibespace`."""
    found = _ask(ctx, lambda s: [f"{a.agent_id}@{a.vibespace_id}" for a in names.all_agents(s)])
    return [n for n in found if n.startswith(typed)]


BY_NOUN: dict[str, Offer] = {"vibespace": vibespaces, "agent": agents}


def _ask(ctx: click.Context, question: Callable[[Session], list[str]]) -> list[str]:
    from vibespace.launch import answers

    session = ctx.find_root().obj or Session()
    try:
        if not answers(session.state.socket):
            return []
        return question(session)
    except Error:
        return []  # While a line is typed, a daemon in trouble offers nothing; the command itself will say why.
