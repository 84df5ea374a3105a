"""A method, or several with the same words, as one click command: one rule for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from vibespace import catalog
from vibespace.catalog import Flag, Method
from vibespace.errors import InvalidArgument
from vibespace_cli import complete, fill
from vibespace_cli.everywhere import Command
from vibespace_cli.invocation import Invocation
from vibespace_cli.session import Session

Runner = Callable[[Invocation], int | None]
"""Returns an exit code, when it is not 0."""


def run(invocation: Invocation) -> int | None:
    """What a command does when nothing else was said; imported when it does it."""
    from vibespace_cli.run import run as generic

    return generic(invocation)


def command(
    words: tuple[str, ...], runner: Runner = run, extra: Sequence[click.Parameter] = (), *, content: bool = False
) -> click.Command:
    """The command for all methods with these words."""
    return MethodCommand(words[-1], catalog.load().named(words), runner, extra, content)


class MethodCommand(Command):
    """Parses into a request of the method that the arguments mean, and runs it."""

    def __init__(
        self, name: str, methods: Sequence[Method], runner: Runner, extra: Sequence[click.Parameter], content: bool
    ) -> None:
        api = catalog.load()
        self.methods = [(m, api.flags(m)) for m in methods]
        self.runner = runner
        every = [f for _, flags in self.methods for f in flags]
        # What is given by position and may repeat is a command of its own: all that stands after `--`.
        self.rest = next((f for f in every if f.argument and f.repeated), None)
        params = [parameter(f, optional=len(methods) > 1) for f in every if f is not self.rest]
        added = [*_beside(methods, every), *extra]
        super().__init__(name, content=content, params=[*params, *added], help=_help(methods))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest: list[str] = []
        if self.rest and "--" in args:
            cut = args.index("--")
            args, rest = args[:cut], args[cut + 1 :]
        whom = next((f" {word}" for word in args if "@" in word and not word.startswith("-")), "")
        apart = click.UsageError(f"The command comes after '--', as in '{ctx.command_path}{whom} -- ls -l'.", ctx)
        try:
            left = super().parse_args(ctx, args)
        except click.UsageError as e:
            if not self.rest or rest:
                raise
            raise apart from e
        if self.rest:
            if not rest and not ctx.resilient_parsing:
                raise apart
            ctx.params[fill.parameter_name(self.rest)] = rest
        return left

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        pieces = super().collect_usage_pieces(ctx)
        return [*pieces, "--", f"{self.rest.word.upper()}..."] if self.rest else pieces

    def invoke(self, ctx: click.Context) -> int | None:
        session: Session = ctx.find_root().obj
        method, flags = self._meant(ctx.params)
        try:
            request = fill.request(session, method, flags, ctx.params)
            return self.runner(Invocation(session, method, request, ctx.params))
        except InvalidArgument as e:
            _name_the_flag(e, flags)
            raise

    def _meant(self, params: dict[str, Any]) -> tuple[Method, tuple[Flag, ...]]:
        """Of several methods, the first whose arguments were given; the last takes none."""
        for method, flags in self.methods[:-1]:
            if any(params.get(fill.parameter_name(f)) is not None for f in flags if f.argument):
                return method, flags
        return self.methods[-1]


def parameter(flag: Flag, *, optional: bool = False) -> click.Parameter:
    """What click parses into `flag`; with `optional`, an argument need not be given."""
    name = fill.parameter_name(flag)
    text = " ".join(flag.help.split())
    offer = complete.BY_NOUN.get(flag.noun)
    if offer is None and flag.kind == "text":
        offer = complete.BY_WORD.get(flag.word)
    required = flag.required and not optional
    if flag.argument:
        word = "AGENT" if flag.noun == "agent" else flag.word.upper()
        metavar = word if required else f"[{word}]"
        return click.Argument(
            [name], type=_type(flag), required=required, metavar=metavar, help=text, shell_complete=offer
        )
    declared = [name, f"--{flag.word}", *([f"-{flag.short}"] if flag.short else [])]
    if flag.kind == "switch":
        if flag.optional:
            declared[1] += f"/--no-{flag.word}"
        return click.Option(declared, is_flag=True, default=None, required=required, help=text)
    return click.Option(
        declared,
        type=_type(flag),
        metavar=_metavar(flag),
        multiple=flag.repeated,
        default=None,
        required=required,
        help=text,
        shell_complete=offer,
    )


def _type(flag: Flag) -> Any:
    if flag.kind == "choice":
        return click.Choice([c.word for c in flag.choices])
    return click.INT if flag.kind == "integer" else click.STRING


def _metavar(flag: Flag) -> str | None:
    if flag.kind == "choice":
        return "|".join(c.word for c in flag.choices)
    if flag.kind == "integer":
        return "N"
    if flag.environment:
        return "NAME[=VALUE]"
    return "NAME" if flag.noun else flag.word.rpartition("-")[2].upper()


def beside_agent() -> click.Option:
    """--vibespace, for what takes an agent's name."""
    text = "The agent's vibespace, where AGENT is not AGENT@VIBESPACE."
    offer = complete.BY_NOUN["vibespace"]
    return click.Option([fill.VIBESPACE, "--vibespace"], metavar="NAME", help=text, shell_complete=offer)


def _beside(methods: Sequence[Method], flags: Sequence[Flag]) -> list[click.Parameter]:
    """Flags that follow from what a method is, and set no field."""
    added: list[click.Parameter] = []
    if any(f.noun == "agent" for f in flags) and not any(f.word == "vibespace" for f in flags):
        added.append(beside_agent())
    if any(m.destroys for m in methods) and not any(f.word == "force" for f in flags):
        added.append(click.Option(["-f", "--force"], is_flag=True, help="Do not ask."))
    if any(m.settles for m in methods):
        added.append(click.Option(["--no-wait"], is_flag=True, help="Return as soon as it is accepted."))
    return added


def _help(methods: Sequence[Method]) -> str:
    api = catalog.load()
    first, *others = (api.help(m) for m in methods)
    return "\n\n".join([first, *(f"Without an argument: {o[:1].lower()}{o[1:]}" for o in others)])


def see(flag: str) -> str:
    """Where to read about it."""
    return f"See {flag} in '{click.get_current_context().command_path} --help'."


def _name_the_flag(error: InvalidArgument, flags: Sequence[Flag]) -> None:
    """The field at fault, in the words that were typed."""
    for flag in flags:
        if error.field == ".".join(flag.path) and not error.hint:
            error.hint = see(flag.word.upper() if flag.argument else f"--{flag.word}")
