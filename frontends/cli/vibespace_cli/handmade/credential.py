"""`vibespace credential set`, `delete` and `list`: a value that is no argument, and one thing said by what it is."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import click

from vibespace import catalog
from vibespace.errors import InvalidArgument, NotFound
from vibespace.moments import ago
from vibespace.v1.agents_pb2 import VIEW_FULL
from vibespace_cli import build, complete, names, run, secrets
from vibespace_cli.invocation import Invocation
from vibespace_cli.render import render
from vibespace_cli.shape import to_data
from vibespace_cli.terminal import is_terminal, silent

_NAMED = 5
"""Agents that are told by name."""
_LONGEST = 1 << 17
"""Bytes that are read of a value; the daemon takes half as many."""


def command(words: tuple[str, ...]) -> click.Command:
    """The command."""
    if words[-1] == "list":
        return build.command(words, list_)
    if words[-1] == "set":
        text = "When it expires, as a note: a date such as 2027-01-31, a time, or in how long: 90d."
        expires = click.Option(["--expires"], metavar="TIME", help=text)
        return build.command(words, set_, [*_scope("for"), expires])
    return build.command(words, delete, [*_which(), *_scope("of")])


def set_(invocation: Invocation) -> None:
    """Read the value, store it, say who gets it."""
    request, params = invocation.request, invocation.params
    request.parent = _parent(invocation)
    if params["expires"] is not None:
        request.credential.expire_time.FromDatetime(_moment(params["expires"]))
    request.value = _value(invocation)
    _tell(invocation, run.call(invocation), "set")


def delete(invocation: Invocation) -> None:
    """Find the one that is meant, ask, delete it."""
    invocation.request.name = _find(invocation)
    run.confirm(invocation)
    response = run.call(invocation)
    if run.rehearses(invocation):
        run.answer(invocation, response)
    else:
        _tell(invocation, response, "deleted")


def list_(invocation: Invocation) -> None:
    """With the logins of those agents that can be looked into; which cannot, is said beside."""
    invocation.request.view = VIEW_FULL
    response, output = run.call(invocation), invocation.session.output
    unseen = list(response.unseen)
    if not output.as_json:
        del response.unseen[:]
    run.answer(invocation, response)
    if unseen and not (output.as_json or output.plain):
        some = ", ".join(unseen[:_NAMED]) + (f" and {len(unseen) - _NAMED} more" if unseen[_NAMED:] else "")
        output.note(f"Not looked into for logins, for they do not run or do not answer: {some}.")


def _tell(invocation: Invocation, response: Any, done: str) -> None:
    output, credential = invocation.session.output, response.credential
    if output.as_json:
        output.data(to_data(response))
    elif output.plain or output.quiet:
        render(output, response)
    else:
        so = f"; {secrets.used(credential)}" if done == "set" else ""
        output.sentence(f"{secrets.called(credential)} is {done}{so}.")


def _scope(how: str) -> list[click.Parameter]:
    vibespace = f"The vibespace it is {how}, and of --agent; without both, it is {how} every vibespace."
    agent = f"The agent it is {how}, AGENT@VIBESPACE, or AGENT beside --vibespace."
    return [
        click.Option(["--vibespace"], metavar="NAME", help=vibespace, shell_complete=complete.vibespaces),
        click.Option(["--agent"], metavar="AGENT", help=agent, shell_complete=complete.agents),
    ]


def _which() -> list[click.Parameter]:
    """What tells one credential from another, as it is said to `set`."""
    api = catalog.load()
    flags = {flag.word: flag for flag in api.flags(api.named(("credential", "set"))[0])}
    return [build.parameter(flags[word]) for word in ("type", "host", "variable")]


def _parent(invocation: Invocation) -> str:
    """Resource name of whom it is for. What VIBESPACE_NAME says is not meant: it would narrow in silence."""
    session, vibespace, agent = invocation.session, invocation.params["vibespace"], invocation.params["agent"]
    if agent is not None:
        return names.agent(session, agent, vibespace, explicit=True)
    return "" if vibespace is None else names.vibespace(session, vibespace, "--vibespace NAME", explicit=True)


def _find(invocation: Invocation) -> str:
    params, parent = invocation.params, _parent(invocation)
    host = (params["credential__host"] or "").lower().removeprefix("https://").rstrip("/")
    wanted = (params["credential__type"], host, params["credential__variable"] or "")
    for credential in invocation.session.call("CredentialService/ListCredentials").credentials:
        settings, above = credential.settings, credential.name.rpartition("credentials/")[0].rstrip("/")
        kind = secrets.kind(settings.type)
        if above == parent and (kind, settings.host, settings.variable) == wanted:
            return str(credential.name)
    said = " ".join(filter(None, wanted))
    whose = names.short(parent) if parent else "every vibespace"
    hint = "'vibespace credential list' shows those there are."
    raise NotFound("CREDENTIAL_NOT_FOUND", f"There is no credential {said[:120]!a} of {whose}.", hint=hint)


def _refuse_before_it_is_typed(invocation: Invocation) -> None:
    """What else is said is looked at before the value, whose absence the daemon then minds alone."""
    try:
        run.call(invocation)
    except InvalidArgument as e:
        if e.reason != "VALUE_MISSING":
            raise


def _value(invocation: Invocation) -> str:
    """From a terminal without showing it, or all of the input but the line break at its end."""
    if is_terminal(0):
        with silent(0):  # before the question: who answers at once is not shown either
            _refuse_before_it_is_typed(invocation)
            sys.stderr.write("Value (it is not shown): ")
            sys.stderr.flush()
            try:
                typed = sys.stdin.readline()
            finally:  # Ctrl-C too, which is not shown either
                sys.stderr.write("\n")
        return typed.rstrip("\r\n")
    try:
        read = sys.stdin.buffer.read(_LONGEST + 1)
        text = read.decode()
    except UnicodeDecodeError as e:
        raise InvalidArgument("NOT_TEXT", "The value is not UTF-8.", field="value") from e
    if len(read) > _LONGEST:
        raise InvalidArgument("VALUE_INVALID", "The value is longer than any secret is.", field="value")
    return text.rstrip("\r\n")


def _moment(typed: str) -> datetime:
    """Raises InvalidArgument TIME_INVALID."""
    now = datetime.now(UTC)
    try:
        if then := ago(typed, now):
            return now + (now - then)
        return datetime.fromisoformat(typed).astimezone(UTC)
    except (ValueError, OverflowError):
        hint = "2027-01-31, 2027-01-31T12:00 or 90d can be said."
        raise InvalidArgument("TIME_INVALID", f"'{typed}' is no time.", hint=hint, field="expires") from None
