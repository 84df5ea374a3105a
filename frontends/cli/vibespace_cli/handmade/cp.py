"""`vibespace cp`: files and folders between this machine and an agent's container."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import click

from vibespace import amounts, errors
from vibespace.archive.failures import Failure, shown
from vibespace.archive.pack import pack
from vibespace.archive.unpack import unpack
from vibespace.archive.weigh import weigh
from vibespace.errors import Error, InvalidArgument
from vibespace.v1.agents_pb2 import (
    DownloadFilesRequest,
    DownloadFilesResponse,
    UploadFilesRequest,
    UploadFilesResponse,
)
from vibespace_cli import complete, names
from vibespace_cli.build import beside_agent
from vibespace_cli.everywhere import Command
from vibespace_cli.progress import Progress
from vibespace_cli.session import Session

_TICK = 0.1
"""Seconds between two changes of what is shown."""

_SRC = "What to copy; a link is followed."
_HELP = """Copy a file or a folder into an agent's container, or out of it.

One of SRC and DST is in the container: AGENT@VIBESPACE:PATH, or AGENT:PATH with --vibespace, or :PATH for the only
vibespace's primary agent. PATH begins where `exec` runs its commands, or with `~` for the agent's home. A path of this
machine that has a colon is written with a slash before it, such as ./a:b.

Where DST is a folder, or ends in a slash, the copy goes into it. Modes, times, links and holes are kept, owners are
not. What is there is replaced file by file; nothing is there half, whatever interrupts it.
"""


def command(words: tuple[str, ...]) -> click.Command:
    """The command."""
    params: list[click.Parameter] = [
        click.Argument(["src"], metavar="SRC", help=_SRC, shell_complete=complete.sides),
        click.Argument(["dst"], metavar="DST", help="Where to.", shell_complete=complete.sides),
        beside_agent(),
    ]
    return Command(words[-1], params=params, callback=click.pass_obj(run), help=_HELP, content=True)


def run(session: Session, src: str, dst: str, vibespace: str | None) -> None:
    """Copy; an interruption is what it was by Ctrl-C, however it came: what was begun is taken away again."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    source, destination = _remote(src), _remote(dst)
    if bool(source) == bool(destination):
        message = "Both SRC and DST are in an agent." if source else "Neither SRC nor DST is in an agent."
        raise InvalidArgument(
            "USAGE", message, hint="One of them is to be AGENT@VIBESPACE:PATH, the other a path here."
        )
    copy = _Copy(session)
    with Progress(session.output) as progress:
        copy.progress = progress
        try:
            if destination:
                agent = names.agent(session, destination[0], vibespace)
                copy.upload(os.fsencode(src), agent, os.fsencode(destination[1]))
            elif source:
                agent = names.agent(session, source[0], vibespace)
                copy.download(agent, os.fsencode(source[1]), os.fsencode(dst))
        except Failure as e:
            raise _error(e) from None
    for path in copy.left_out:
        session.output.note(f"Left out, being neither file, folder nor link: {path}")
    if session.output.as_json:
        session.output.data({"bytes": copy.done, "left_out": copy.left_out})


class _Copy:
    """One copy, and what it has done so far."""

    progress: Progress

    def __init__(self, session: Session) -> None:
        self._session = session
        self._what = ""
        self._shown = 0.0
        self._began = time.monotonic()
        self._of = ""
        """How much it is going to be; only of what is here that is known."""
        self.done = 0
        """Bytes that files hold, on both ways."""
        self.left_out: list[str] = []

    def upload(self, path: bytes, agent: str, destination: bytes) -> None:
        self._what = f"{shown(path)} to {names.short(agent)}"
        if self._session.output.live:
            self._of = f" of {amounts.size(weigh(path))}"
        failures: list[Failure] = []
        name = os.path.basename(os.path.realpath(path))
        pieces = pack(path, name, "here", self._count, self._leave_out)
        first = UploadFilesRequest(name=agent, path=destination, data=next(pieces))  # nobody is asked for nothing

        def requests() -> Iterator[UploadFilesRequest]:
            yield first
            try:
                for piece in pieces:
                    yield UploadFilesRequest(data=piece)
            except Failure as e:  # gRPC tells only that something went wrong
                failures.append(e)
                raise

        try:
            self._session.client.upload("AgentService/UploadFiles", requests(), UploadFilesResponse)
        except Error:
            if failures:
                raise failures[0] from None
            raise

    def download(self, agent: str, path: bytes, destination: bytes) -> None:
        self._what = f"{shown(path)} from {names.short(agent)}"
        request = DownloadFilesRequest(name=agent, path=path)
        responses = self._session.client.stream("AgentService/DownloadFiles", request, DownloadFilesResponse)

        def pieces() -> Iterator[bytes]:
            for response in responses:
                yield response.data

        # The name is the one that was typed: what the archive says is the agent's word.
        name = os.path.basename(path.rstrip(b"/"))
        unpack(pieces(), destination, name if name not in (b"", b"~") else b".", "here", self._count, self._leave_out)

    def _count(self, size: int) -> None:
        self.done += size
        now = time.monotonic()
        if now - self._shown > _TICK:
            self._shown = now
            rate = amounts.size(int(self.done / (now - self._began)))
            self.progress.show(f"{self._what}: {amounts.size(self.done)}{self._of}, {rate}/s")

    def _leave_out(self, path: bytes) -> None:
        self.left_out.append(shown(path))


def _remote(typed: str) -> tuple[str | None, str] | None:
    """The agent and the path in it; None for a path of this machine."""
    agent, colon, path = typed.partition(":")
    return (agent or None, path) if colon and "/" not in agent else None


def _error(failure: Failure) -> Error:
    kind: type[Error] = getattr(errors, failure.kind)
    return kind(failure.reason, failure.message, hint=failure.hint)
