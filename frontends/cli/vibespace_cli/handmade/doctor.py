"""`vibespace doctor`: what is wrong on this side, what the daemon finds, and how to mend it; what agents can reach."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from typing import Any

import click

from vibespace import config, launch
from vibespace.errors import Error
from vibespace.v1.system_pb2 import SEVERITY_ERROR, SEVERITY_OK, SEVERITY_WARNING, DiagnoseResponse, Finding
from vibespace_cli import build, machine, run
from vibespace_cli.invocation import Invocation
from vibespace_cli.output import Output, fitted
from vibespace_cli.session import Session
from vibespace_cli.shape import to_data

UNWELL = 15
"""Exit code when something does not work."""

_MARKS = {SEVERITY_OK: ("ok", "green"), SEVERITY_WARNING: ("warning", "yellow"), SEVERITY_ERROR: ("error", "red")}


_SUBJECT = 9
"""Columns of the mark before what it is about."""


def command(words: tuple[str, ...]) -> click.Command:
    """The command."""
    return build.command(words, doctor)


def doctor(invocation: Invocation) -> int:
    """Print the findings, the worst first; returns an exit code."""
    output = invocation.session.output
    found = DiagnoseResponse(findings=sorted(_findings(invocation), key=lambda f: -f.severity))
    if output.as_json:
        output.data(to_data(found))
    else:
        if output.plain and output.header:
            output.line("\t".join(("SEVERITY", "SUBJECT", "MESSAGE", "HINT")))
        for finding in found.findings:
            _tell(output, finding)
    return UNWELL if any(f.severity == SEVERITY_ERROR for f in found.findings) else 0


def _findings(invocation: Invocation) -> Iterator[Finding]:
    session = invocation.session
    if invocation.request.isolation:
        session.output.step("Trying from inside, by real connections …")
        yield from run.call(invocation).findings
        return
    home = session.state.home
    here = [*_checked("state directory", str(home), lambda: launch.ensure_home(home))]
    if os.access(home, os.X_OK):  # else there is nothing more to look at
        here += _checked("settings", _settings(session), lambda: config.load(session.state.config))
        here += (_git(), *_setup(session))
    yield from here
    try:
        yield from run.call(invocation).findings
        yield from _engine(session)
    except Error as e:
        if e.field == "parent":
            raise  # what was typed is wrong, not this machine
        if all(e.message != finding.message for finding in here):  # else that is what keeps it away
            yield Finding(severity=SEVERITY_ERROR, subject="daemon", message=e.message, hint=e.hint)


def _checked(subject: str, fine: str, look: Any) -> Iterator[Finding]:
    try:
        look()
    except Error as e:
        yield Finding(severity=SEVERITY_ERROR, subject=subject, message=e.message, hint=e.hint)
    else:
        yield Finding(severity=SEVERITY_OK, subject=subject, message=fine)


def _settings(session: Session) -> str:
    path = session.state.config
    return str(path) if path.exists() else f"There is no {path}, so the defaults hold."


def _git() -> Finding:
    if path := shutil.which("git"):
        return Finding(severity=SEVERITY_OK, subject="git", message=path)
    text = "There is no git here, so no directory can be given to 'create --repo'."
    return Finding(severity=SEVERITY_WARNING, subject="git", message=text, hint="Install git.")


def _setup(session: Session) -> Iterator[Finding]:
    """Whether our own Podman could run here; of less interest where another engine is used."""
    from vibespace.setup import podman, unprivileged

    ours = session.state.engine.exists()
    if ours and (packages := podman.missing()):
        yield Finding(
            severity=SEVERITY_ERROR,
            subject="podman",
            message=f"Podman misses {', '.join(packages)}.",
            hint=f"As root: apt-get install -y {' '.join(packages)}",
        )
    severity = SEVERITY_ERROR if ours else SEVERITY_WARNING
    for found in unprivileged.obstacles():
        yield Finding(severity=severity, subject="podman", message=found.message, hint=found.hint)


def _engine(session: Session) -> Iterator[Finding]:
    """Whether another one is asked for than the one that there is."""
    from vibespace.setup.engine import passed_over

    settings = machine.settings(session)
    chosen = machine.recorded(session) if settings.engine_socket else None
    if chosen and (told := passed_over(settings, chosen)):
        yield Finding(severity=SEVERITY_WARNING, subject="engine", message=told)


def _tell(output: Output, finding: Finding) -> None:
    mark, colour = _MARKS.get(finding.severity, ("?", ""))
    if output.plain:
        output.line("\t".join((mark, finding.subject, finding.message, finding.hint)))
        return
    if output.quiet and finding.severity == SEVERITY_OK:
        return
    mark = mark.ljust(_SUBJECT)
    told = fitted(f"{mark}{finding.subject}: {finding.message}", _SUBJECT, sys.stdout)
    output.line(output.paint(mark, colour) + told.removeprefix(mark))
    if finding.hint:
        output.sentence(" " * _SUBJECT + finding.hint)
