"""`vibespace uninstall`: takes away all there is of an installation, or all but its data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from vibespace import amounts
from vibespace.errors import Cancelled
from vibespace_cli.ask import ask
from vibespace_cli.everywhere import Command
from vibespace_cli.output import Output
from vibespace_cli.progress import Progress
from vibespace_cli.session import Session

if TYPE_CHECKING:
    from vibespace.setup.objects import Objects
    from vibespace.setup.uninstall import Plan


def command(words: tuple[str, ...]) -> click.Command:
    """The command."""
    return Uninstall(words[-1])


class Uninstall(Command):
    """Take away the daemon, all vibespaces with their data, and the state directory.

    Works whether the daemon runs, rests or is broken. What is not labelled as ours is left alone. Interrupted, it
    goes on when it is typed again.
    """

    def __init__(self, name: str) -> None:
        keep = "Leave volumes, history, keys and settings where they are, for a later init."
        params = [
            click.Option(["-f", "--force"], is_flag=True, help="Do not ask."),
            click.Option(["--keep-data"], is_flag=True, help=keep),
            click.Option(["-n", "--dry-run"], is_flag=True, help="Say what would go, and take nothing away."),
        ]
        super().__init__(name, params=params, help=type(self).__doc__)

    def invoke(self, ctx: click.Context) -> None:
        from vibespace.setup import root, uninstall

        session: Session = ctx.find_root().obj
        output, home = session.output, session.state.home
        measured = ctx.params["dry_run"] or not ctx.params["force"]
        plan = uninstall.plan(session.state, keep_data=ctx.params["keep_data"], measured=measured)
        if plan is None:
            _answer(output, _data(None, done=True), f"Nothing is installed: there is no {home}.")
            return
        goes = _goes(plan)
        if ctx.params["dry_run"]:
            said = ["This would go; nothing did:", *goes] if goes else ["Nothing would go."]
            _answer(output, _data(plan, done=False), "\n".join([*said, *_stays(plan)]))
            return
        if goes and not ctx.params["force"]:
            if not output.as_json:
                output.note("\n".join(["This will go:", *goes, *_stays(plan)]))
            ask("Uninstall? What goes cannot be brought back.", f"What is in {home}")
        with Progress(output) as progress:
            try:
                uninstall.carry_out(plan, progress.show, root.runner(output.announce))
            except KeyboardInterrupt:
                hint = "'vibespace uninstall' goes on."
                raise Cancelled("NOT_FINISHED", "Interrupted; some of it is still there.", hint=hint) from None
        _answer(output, _data(plan, done=True), "\n".join(["Uninstalled.", *_stays(plan)]))


def _answer(output: Output, data: dict[str, Any], sentences: str) -> None:
    if output.as_json:
        output.data(data)
    elif output.plain:
        for kind, found in data.items():
            for each in found if isinstance(found, list) else ["" if found is None else str(found).lower()]:
                output.line(f"{kind}\t{each}")
    elif not output.quiet:
        output.sentence(sentences)


def _data(plan: Plan | None, *, done: bool) -> dict[str, Any]:
    there = plan and plan.objects
    return {
        "done": done,
        "vibespaces": there.vibespaces if there else 0,
        "agents": there.agents if there else 0,
        "data_bytes": plan.data_bytes if plan else None,
        "containers": sorted(there.containers.values()) if there else [],
        "networks": list(there.networks) if there else [],
        "volumes": list(there.volumes) if there else [],
        "images": list(there.images) if there else [],
        "files": [str(path) for path in plan.files] if plan else [],
        "outside": list(plan.outside) if plan else [],
        "kept": list(plan.kept) if plan else [],
        "left": list(plan.left) if plan else [],
    }


def _goes(plan: Plan) -> list[str]:
    """What will go, a line each; none where only the data is left, and is kept again."""
    there = plan.objects
    said = ", ".join(
        _count(count, noun)
        for noun, count in {
            "container": len(there.containers),
            "network": len(there.networks),
            "volume": len(there.volumes),
            "image": len(there.images),
        }.items()
        if count
    )
    engine = plan.installation.engine
    lines = [f"  the data of {_whose(there)}{_size(plan)}"] if there.vibespaces else []
    lines += [f"  {said}, in {engine.brand} at {engine.socket}"] if said and engine else []
    if plan.keep_data and there.images:
        lines += ["  the agents' image with them: the next 'vibespace init' builds it anew"]
    if plan.files:
        lines += [f"  {', '.join(path.name for path in plan.files)}, in {plan.state.home}"]
    return [*lines, *(f"  {each}" for each in plan.outside)]


def _whose(there: Objects) -> str:
    return f"{_count(there.vibespaces, 'vibespace')} with {_count(there.agents, 'agent')}"


def _size(plan: Plan) -> str:
    return "" if plan.data_bytes is None else f", {amounts.size(plan.data_bytes)}"


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _stays(plan: Plan) -> list[str]:
    kept = ["Kept, and found by 'vibespace init':", *(f"  {each}" for each in plan.kept)] if plan.kept else []
    left = ["Left, for it is not ours alone:", *(f"  {each}" for each in plan.left)] if plan.left else []
    return [*kept, *left]
