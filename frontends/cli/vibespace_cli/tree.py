"""The words of the command line: groups and commands from the catalog, and the few written by hand."""

from __future__ import annotations

import importlib
import sys

import click

from vibespace import __version__, catalog
from vibespace_cli import build
from vibespace_cli.everywhere import Carrying

Words = tuple[str, ...]

_NEAR = 0.75
"""How much alike two words must be to be taken for one and a slip of the fingers, as `lsit` is."""

BY_HAND: dict[Words, str] = {
    ("agent", "info"): "info",
    ("approval", "allow"): "approval",
    ("approval", "deny"): "approval",
    ("approval", "list"): "approval",
    ("ask",): "ask",
    ("audit", "verify"): "audit",
    ("completion",): "completion",
    ("config", "file"): "config",
    ("config", "path"): "config",
    ("config", "set"): "config",
    ("connect",): "connect",
    ("cp",): "cp",
    ("create",): "create",
    ("credential", "delete"): "credential",
    ("credential", "list"): "credential",
    ("credential", "login"): "login",
    ("credential", "set"): "credential",
    ("doctor",): "doctor",
    ("events",): "events",
    ("exec",): "exec",
    ("image", "build"): "image",
    ("image", "list"): "image",
    ("image", "upgrade"): "image",
    ("info",): "info",
    ("init",): "init",
    ("list",): "listing",
    ("login",): "login",
    ("logs",): "logs",
    ("replay",): "replay",
    ("ssh-config",): "ssh_config",
    ("ssh-proxy",): "ssh_proxy",
    ("start",): "start",
    ("uninstall",): "uninstall",
    ("version",): "version",
}
"""Commands that stream, use the terminal, or work on this machine: the module below `handmade` whose `command(words)`
makes them. Those that call a method still take their arguments and help from it."""

_GROUPS: dict[Words, str] = {
    (): "A computer of its own for every coding agent, with a history of everything that happened.",
    ("audit",): "Check the history.",
    ("config",): "Show and change agents' settings, and say what is set for this machine.",
    ("image",): "Build, list and upgrade the agents' image.",
}
"""Help of groups that no service tells about."""


class Tree(Carrying, click.Group):
    """All commands that begin with `words`. Only the one that is run is built."""

    def __init__(self, words: Words = ()) -> None:
        self.words = words
        params = [] if words else [_version_option()]
        name = words[-1] if words else "vibespace"
        alone = not words and sys.stdout.isatty()
        super().__init__(
            name,
            params=params,
            help=_group_help(words),
            no_args_is_help=not alone,
            invoke_without_command=alone,
            callback=_standing if alone else None,
        )

    def list_commands(self, _: click.Context) -> list[str]:
        depth = len(self.words)
        return sorted({w[depth] for w in all_words() if w[:depth] == self.words and len(w) > depth})

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        words = (*self.words, name)
        if words in BY_HAND:
            module = importlib.import_module(f"vibespace_cli.handmade.{BY_HAND[words]}")
            made: click.Command = module.command(words)
            return made
        known = all_words()
        if words in known:
            return build.command(words)
        return Tree(words) if any(w[: len(words)] == words for w in known) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        typed = args[0]  # click itself takes what looks like a flag off the list
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as e:
            import difflib

            near = difflib.get_close_matches(typed, self.list_commands(ctx), 1, _NEAR)
            if not near:
                raise
            raise click.UsageError(f"No such command '{typed}'. Did you mean '{near[0]}'?", ctx) from e


@click.pass_context
def _standing(ctx: click.Context) -> None:
    """What `vibespace` alone does on a terminal; click calls it before every command."""
    if ctx.invoked_subcommand is None:
        from vibespace_cli import standing

        standing.tell(ctx.obj)


def _version_option() -> click.Option:
    def show(ctx: click.Context, _: click.Parameter, given: bool) -> None:
        if given:
            click.echo(f"vibespace {__version__}")
            ctx.exit()

    text = "Print the version of the command line alone."
    return click.Option(["--version"], is_flag=True, is_eager=True, expose_value=False, callback=show, help=text)


def all_words() -> set[Words]:
    """Every command there is."""
    return {m.words for m in catalog.load().methods} | set(BY_HAND)


def _group_help(words: Words) -> str:
    if words in _GROUPS:
        return _GROUPS[words]
    api = catalog.load()
    return api.service_help(next(m for m in api.methods if m.words[: len(words)] == words))
