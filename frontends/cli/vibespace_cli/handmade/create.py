"""`vibespace create`: as any method, and sends the repository when --repo names one on this machine."""

from __future__ import annotations

import click

from vibespace_cli import build, repository, run
from vibespace_cli.invocation import Invocation


def command(words: tuple[str, ...]) -> click.Command:
    """The command."""
    return build.command(words, create)


def create(invocation: Invocation) -> None:
    """Create, send, wait."""
    request, output = invocation.request, invocation.session.output
    path = repository.local(request.spec.repo) if request.spec.HasField("repo") else None
    if path is None:
        run.run(invocation)
        return
    source = repository.read(path, request.spec.branch)
    request.spec.repo = source.root
    response = run.call(invocation)
    if source.uncommitted:
        files = "1 file" if source.uncommitted == 1 else f"{source.uncommitted} files"
        output.note(f"Not sent: {files} with uncommitted changes in {source.root}.")
    if invocation.params["no_wait"]:
        output.note(f"The repository is not sent yet: 'vibespace start {request.vibespace_id}' does that.")
    else:
        from vibespace_cli import upload

        sent = upload.send(invocation.session, response.vibespace, response.cursor, source)
        response.vibespace.CopyFrom(sent.vibespace)
        response.cursor.CopyFrom(sent.cursor)
    run.answer(invocation, run.settled(invocation, response))
