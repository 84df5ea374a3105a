"""`vibespace logs`: what an agent's container wrote, as it was written."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from vibespace.errors import InvalidArgument
from vibespace.moments import ago
from vibespace.v1.agents_pb2 import StreamLogsResponse
from vibespace_cli import build
from vibespace_cli.attach import write
from vibespace_cli.invocation import Invocation


def command(words: tuple[str, ...]) -> click.Command:
    """The command."""
    text = "Only what was written since: 90s, 10m, 2h, 7d, 2w, or a time such as 2026-01-31T12:00."
    return build.command(words, run, [click.Option(["--since"], metavar="TIME", help=text)], content=True)


def run(invocation: Invocation) -> None:
    """Write it, its stdout to ours and its stderr to ours."""
    request, since = invocation.request, invocation.params["since"]
    if since is not None:
        request.since.FromNanoseconds(int(_moment(since) * 1e9))
    invocation.session.output.streaming = request.follow
    for response in invocation.session.client.stream(invocation.method.full_name, request, StreamLogsResponse):
        write(1, response.stdout) if response.stdout else write(2, response.stderr)


def _moment(typed: str) -> float:
    """Seconds since 1970. Raises InvalidArgument."""
    try:
        # Without a zone it is this machine's: whoever typed it looks at the clock here.
        moment = ago(typed, datetime.now(UTC)) or datetime.fromisoformat(typed).astimezone()
        return max(moment.timestamp(), 0)
    except (ValueError, OverflowError):
        hint = "90s, 10m, 2h, 7d, 2w, or 2026-01-31T12:00 can be said."
        raise InvalidArgument("TIME_INVALID", f"'{typed}' is no time.", hint=hint, field="since") from None
