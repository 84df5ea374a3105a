"""`vibespace replay`: everything as it was at a moment, or what is different between two."""

from __future__ import annotations

from typing import Any

import click

from vibespace.errors import InvalidArgument
from vibespace_cli import build, differences, human, names, run, shown
from vibespace_cli.invocation import Invocation
from vibespace_cli.output import Output
from vibespace_cli.shape import leaves, text, to_data, words

_COLOURS = {"created": "green", "deleted": "red", "ended": "dim", "changed": "yellow"}


def command(words: tuple[str, ...]) -> click.Command:
    """The command."""
    diff = click.Option(["--diff"], is_flag=True, help="What is different between then and now, or --to.")
    to = click.Option(["--to"], metavar="MOMENT", help="With --diff: the later moment, instead of now.")
    return build.command(words, replay, [diff, to])


def replay(invocation: Invocation) -> int | None:
    """Fold once, or twice and compare."""
    later = invocation.params.get("to")
    if not invocation.params.get("diff"):
        if later is not None:
            raise InvalidArgument("DIFF_NEEDED", "--to is a moment to compare with.", hint="Say --diff too.")
        then = run.call(invocation)
        output = invocation.session.output
        if not output.as_json:
            output.note(_moment(then))
        if not (output.as_json or output.plain or output.verbose):
            _shorten(then)
        run.answer(invocation, then)
        return None
    then = run.call(invocation)
    invocation.request.moment = later or ""
    try:
        now = run.call(invocation)
    except InvalidArgument as e:
        _name_the_flag(e)
        raise
    _tell(invocation.session.output, then, now)
    return None


def _shorten(then: Any) -> None:
    """Of what people and agents write, a person is told the beginning, as `events` does."""
    for message in then.messages:
        message.text = shown.line(" ".join(message.text.splitlines()))
    for approval in then.approvals:
        approval.input = shown.brief(approval.input)


def _name_the_flag(error: InvalidArgument) -> None:
    """The later moment goes by the field of --at as well, and is another flag."""
    if error.field == "moment":
        error.field, error.hint = "to", error.hint or build.see("--to")


def _tell(output: Output, then: Any, now: Any) -> None:
    found = differences.between(then, now)
    if output.as_json:
        output.data(
            {
                "from": {"cursor": to_data(then.cursor), "time": then.time.ToJsonString()},
                "to": {"cursor": to_data(now.cursor), "time": now.time.ToJsonString()},
                "differences": [one.as_data() for one in found],
            }
        )
        return
    if output.plain:
        _plain(output, found)
        return
    output.note(f"From {_moment(then)} to {_moment(now)}:")
    if not found:
        output.note("Nothing is different.")
    for one in found:
        output.line(f"{output.paint(one.change, _COLOURS[one.change])} {names.told(one.name)}")
        width = max((len(field) for field, _, _ in one.fields), default=0)
        for field, before, after in one.fields:
            label = field.replace("_", " ").replace(".", " ").ljust(width)
            output.sentence(f"  {label}  {_value(before)} -> {_value(after)}", hang=width + 2)


def _plain(output: Output, found: list[differences.Difference]) -> None:
    if output.header:
        output.line("\t".join(("CHANGE", "NAME", "FIELD", "FROM", "TO")))
    for one in found:
        for field, before, after in one.fields or [("", None, None)]:
            output.line("\t".join((one.change, one.name, field, words(before), words(after))))


def _moment(response: Any) -> str:
    time = next(leaf for leaf in leaves(response.DESCRIPTOR) if leaf.path == ("time",))
    return f"position {response.cursor.position}, {text(response, time, local=True)}"


def _value(value: Any) -> str:
    return human.digest(words(value)) or "nothing"
