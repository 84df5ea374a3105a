"""`vibespace start`: as any method, and sends the repository again when the vibespace still waits for it."""

from __future__ import annotations

import os

import click

from vibespace_cli import build, repository, run
from vibespace_cli.invocation import Invocation


def command(words: tuple[str, ...]) -> click.Command:
    """The command."""
    return build.command(words, start)


def start(invocation: Invocation) -> None:
    """Start, send what is missing, wait."""
    response = run.call(invocation)
    waits = getattr(response, "vibespace", None)
    if waits is not None and _misses_repository(waits) and not invocation.params["no_wait"]:
        path = waits.spec.repo
        if os.path.isdir(path):
            from vibespace_cli import upload

            source = repository.read(path, waits.spec.branch)
            sent = upload.send(invocation.session, waits, response.cursor, source)
            response.vibespace.CopyFrom(sent.vibespace)
            response.cursor.CopyFrom(sent.cursor)
        else:
            invocation.session.output.note(f"Its repository waits to be sent, and {path} is not here.")
    run.answer(invocation, run.settled(invocation, response))


def _misses_repository(vibespace: object) -> bool:
    from vibespace.v1.vibespaces_pb2 import REPOSITORY_STATE_READY, Vibespace

    assert isinstance(vibespace, Vibespace)
    found = vibespace.status.repository
    return found.upload and found.state != REPOSITORY_STATE_READY
