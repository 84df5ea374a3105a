"""The flags that every command has, before or after its name, and the click classes that carry them."""

from __future__ import annotations

from typing import Any

import click

from vibespace.catalog import first_sentence
from vibespace_cli.session import Session

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class Everywhere(click.Option):
    """A flag that says how to answer, and is no parameter of any command."""

    def __init__(self, declarations: list[str], setting: str, value: bool, help: str) -> None:
        def apply(ctx: click.Context, _: click.Parameter, given: bool) -> None:
            if given:
                output = _session(ctx).output
                setattr(output, setting, value)
                if output.json and output.plain:
                    raise click.UsageError("--json and --plain are two forms of the answer: give one.", ctx)

        super().__init__(declarations, is_flag=True, expose_value=False, is_eager=True, callback=apply, help=help)
        self.setting = setting

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Nothing: they are listed in a section of their own."""
        del ctx
        return None


def options() -> list[click.Parameter]:
    """New options, for one command."""
    return [
        Everywhere(
            ["--json"],
            "json",
            True,
            "Answer in JSON; without it or another form, JSON when the output is not a terminal.",
        ),
        Everywhere(["--plain"], "plain", True, "Answer in columns separated by tabs."),
        Everywhere(["--header"], "header", True, "With --plain: name the columns in the first line."),
        Everywhere(["-q", "--quiet"], "quiet", True, "Names only, and no progress."),
        Everywhere(["-v", "--verbose"], "verbose", True, "More about each thing, and about the call."),
        Everywhere(["--no-color"], "colour", False, "No colours; NO_COLOR does the same."),
    ]


class Carrying(click.Command):
    """A command, or a group of them, with the flags of every command."""

    def __init__(self, name: str | None, **given: Any) -> None:
        given["params"] = [*given.get("params", ()), *options()]
        said = (given.get("help") or "").strip()
        super().__init__(name, context_settings=_SETTINGS, short_help=first_sentence(said), **given)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if parent is None and "obj" not in extra:
            extra["obj"] = Session()
        return super().make_context(info_name, args, parent, **extra)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        common = [(", ".join(p.opts), p.help or "") for p in self.params if isinstance(p, Everywhere)]
        with formatter.section("On every command"):
            formatter.write_dl(common)


class Command(Carrying):
    """One command. With `content` its answer is not ours to shape, see Output, and a mistyped line is none of it."""

    def __init__(self, name: str | None, *, content: bool = False, **given: Any) -> None:
        super().__init__(name, **given)
        self.content = content

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        _session(ctx).output.content = self.content
        return super().parse_args(ctx, args)


def _session(ctx: click.Context) -> Session:
    found = ctx.find_root().obj
    assert isinstance(found, Session)
    return found
