"""Arguments and flags into the fields of a request, with names made whole."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from vibespace import catalog
from vibespace.catalog import Flag, Method
from vibespace.errors import InvalidArgument
from vibespace_cli import names
from vibespace_cli.session import Session

VIBESPACE = "vibespace"
"""Parameter behind the --vibespace that stands beside an agent's name."""


def parameter_name(flag: Flag) -> str:
    """A click parameter's name: unique in a command, as words are not (`NAME` and `--name`)."""
    return "__".join(flag.path)


def request(session: Session, method: Method, flags: Sequence[Flag], params: dict[str, Any]) -> Any:
    """A request of `method` from what click parsed. May ask the daemon which thing is meant."""
    message = catalog.load().message_class(method.request)()
    if any(f.name == "request_id" for f in message.DESCRIPTOR.fields):
        message.request_id = session.output.request_id
    given = []
    for flag in flags:
        value = _value(session, method, flag, params)
        if value is not None:
            _put(message, flag, value)
            given += [] if flag.argument else [".".join(flag.path[1:])]
    if method.updates:
        _name_changes(message, method, given)
    return message


def _name_changes(message: Any, method: Method, given: Sequence[str]) -> None:
    """Say in `update_mask` what was typed; paths begin in the resource."""
    if not given:
        line = f"vibespace {' '.join(method.words)} --help"
        raise InvalidArgument("NOTHING_TO_CHANGE", "Say what to change.", hint=f"'{line}' lists what can.")
    message.update_mask.paths.extend(given)


def _value(session: Session, method: Method, flag: Flag, params: dict[str, Any]) -> Any:
    typed = params.get(parameter_name(flag))
    if flag.noun == "agent":
        return names.agent(session, typed, params.get(VIBESPACE), explicit=method.explicit)
    if flag.noun == "vibespace":
        return _vibespace(session, method, flag, typed)
    if flag.kind == "choice" and typed is not None:
        return next(c.number for c in flag.choices if c.word == typed)
    if typed and flag.environment:
        return [_with_value(flag, entry) for entry in typed]
    if typed and flag.separated:
        return [value for entry in typed for value in _separated(flag, entry)]
    return None if typed == () else typed


def separate(entry: str) -> list[str]:
    """The values between the commas of `entry`, but for those within parentheses."""
    values, depth = [""], 0
    for character in entry:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth <= 0:
            values.append("")
        else:
            values[-1] += character
    return [value.strip() for value in values if value.strip()]


def _separated(flag: Flag, entry: str) -> list[str]:
    """An empty entry takes away what was set; commas alone are no way to say that."""
    values = separate(entry)
    if entry and not values:
        raise InvalidArgument(
            "NOTHING_NAMED",
            f"{entry[:60]!a} names nothing.",
            field=".".join(flag.path),
            hint=f"To take away what was set, say --{flag.word} ''.",
        )
    return values


def _with_value(flag: Flag, entry: str) -> str:
    """`entry` as NAME=VALUE. A value that came this way was never in an argv."""
    if "=" in entry:
        return entry
    if entry not in os.environ:
        shown = entry[:60] if entry.isidentifier() else "What has no '='"  # a value whose name was forgotten, perhaps
        raise InvalidArgument(
            "ENV_NOT_SET",
            f"{shown} is not set in the environment here.",
            field=".".join(flag.path),
            hint=f"Set it, or give the value with --{flag.word} NAME=VALUE.",
        )
    return f"{entry}={os.environ[entry]}"


def _vibespace(session: Session, method: Method, flag: Flag, typed: str | None) -> str | None:
    narrows = method.access == "read" and not flag.argument
    if narrows and typed is None and names.named_by_environment() is None:
        return None if method.server_streams else names.EVERY_VIBESPACE
    how = flag.word.upper() if flag.argument else f"--{flag.word} NAME"
    return names.vibespace(session, typed, how, explicit=method.explicit)


def _put(message: Any, flag: Flag, value: Any) -> None:
    for name in flag.path[:-1]:
        message = getattr(message, name)
    try:
        if flag.repeated:
            getattr(message, flag.path[-1]).extend(value)
        else:
            setattr(message, flag.path[-1], value)
    except UnicodeEncodeError as e:  # bytes of the command line that are no characters
        shown = f"What --{flag.word} was given" if flag.environment else ascii(value)
        raise InvalidArgument("NOT_TEXT", f"{shown} is not UTF-8.", field=".".join(flag.path)) from e
    except ValueError as e:  # a number too large for the field
        raise InvalidArgument("OUT_OF_RANGE", f"{value} is out of range.", field=".".join(flag.path)) from e
