"""What the shell's completion offers: files, words, and live names, which no daemon is started for."""

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


def files(_: click.Context, __: click.Parameter, typed: str) -> list[Any]:
    """Files and folders of this machine: the shell's own affair."""
    from click.shell_completion import CompletionItem  # no command that is run needs it

    return [CompletionItem(typed, type="file")]


def sides(ctx: click.Context, param: click.Parameter, typed: str) -> list[Any]:
    """Agents, as `agent@vibespace:`, and files."""
    from click.shell_completion import CompletionItem

    return [*files(ctx, param, typed), *(CompletionItem(f"{name}:") for name in agents(ctx, param, typed))]


def event_types(_: click.Context, __: click.Parameter, typed: str) -> list[Any]:
    """Types of events."""
    return [word for word in EVENT_TYPES if word.startswith(typed)]


BY_NOUN: dict[str, Offer] = {"vibespace": vibespaces, "agent": agents}
BY_WORD: dict[str, Offer] = {"repo": files, "mount": files, "type": event_types}
"""Of flags that take a text."""

_TYPES = {
    "host": "created engine_reachable engine_unreachable initialized rested woken",
    "vibespace": "created data_kept deleted deletion_failed deletion_requested repository_failed repository_ready "
    "spec_changed start_requested stop_requested worktree_left worktree_removed",
    "agent": "created deleted deletion_requested observed settings_changed start_requested stop_requested "
    "worktree_observed",
    "transcript": "begun line_read program_ended program_started settings_taken",
    "conversation": "created entered interrupt_requested superseded terminal_attached terminal_detached "
    "terminal_requested turn_ended turn_started work_ended",
    "message": "acknowledged done failed handed queued_again resumed said uncertain",
    "approval": "answered decided expired requested",
    "credential": "created deleted replaced",
}
"""What happens, by noun."""

EVENT_TYPES = [f"{noun}.{what}" for noun, found in _TYPES.items() for what in found.split()]
"""As the daemon has them, which knows what they come from."""


def _ask(ctx: click.Context, question: Callable[[Session], list[str]]) -> list[str]:
    from vibespace.launch import answers

    session = ctx.find_root().obj or Session()
    try:
        if not answers(session.state.socket):
            return []
        return question(session)
    except Error:
        return []  # While a line is typed, a daemon in trouble offers nothing; the command itself will say why.
