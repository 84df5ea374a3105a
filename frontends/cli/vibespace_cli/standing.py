"""`vibespace` alone, on a terminal: where things stand, and what to type next."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from vibespace import launch
from vibespace.v1.system_pb2 import Host
from vibespace.v1.vibespaces_pb2 import Vibespace
from vibespace_cli import human, render, table
from vibespace_cli.output import Output
from vibespace_cli.session import Session

Line = tuple[str, str]
"""A command, and what it does."""

_ALL: Line = ("vibespace --help", "all commands")


_INDENT = "  "


def tell(session: Session) -> None:
    """Say it. A state directory that is not there is not made for this."""
    output, lists = session.output, "VibespaceService/ListVibespaces"
    if launch.uninstalled(session.state):
        back = [("vibespace init", "bring it back"), _ALL]
        _tell(output, "vibespace was uninstalled here, and its data is kept.", back)
        return
    host = session.call("SystemService/GetStatus").host if os.path.lexists(session.state.home) else Host()
    found = session.call(lists).vibespaces if host.initialized else []
    if found:
        shown = render.unmeasured(Vibespace.DESCRIPTOR)
        render.write_table(output, render.header(shown), render.rows(output, found, shown))
        output.line("")
    _tell(output, _sentence(host, found), _next(host, found))


def _tell(output: Output, sentence: str, next_lines: Sequence[Line]) -> None:
    output.sentence(sentence)
    _, *rows = table.lines(("", ""), next_lines, table.terminal_width() - len(_INDENT), whole=(0,), prose=True)
    for (typed, _), lines in zip(next_lines, rows, strict=True):
        for line in lines:
            output.line(_INDENT + line.replace(typed, output.paint(typed, "bold")))


def _sentence(host: Host, found: Sequence[Vibespace]) -> str:
    if not host.initialized:
        return "This machine is not set up yet."
    if host.resting:
        return "Everything is at rest."
    if not host.engine_reachable:
        reason, lost = host.engine_reason.removesuffix("."), host.engine_unreachable_time.seconds
        said = f"has not answered since {human.moment(lost)}" if lost else "does not answer"
        return f"The engine {said}{f': {reason}' if reason else ''}."
    if not found:
        return "Ready, and nothing is here yet."
    agents, running = sum(v.status.agents for v in found), sum(v.status.agents_running for v in found)
    return f"{running} of {agents} agent{'' if agents == 1 else 's'} running."


def _next(host: Host, found: Sequence[Vibespace]) -> list[Line]:
    if not host.initialized:
        return [("vibespace init", "make it ready"), _ALL]
    if host.resting:
        return [("vibespace start", "bring back what ran"), _ALL]
    if not host.engine_reachable:
        return [("vibespace doctor", "find out why, and how to mend it"), _ALL]
    create = _create()
    if not found:
        return [create, _ALL]
    name = found[0].vibespace_id
    running = next((v.vibespace_id for v in found if v.status.agents_running), None)
    shell = f"vibespace exec --vibespace {running} -- git status"
    first = (shell, "a command in its container") if running else (f"vibespace start {name}", "its agents")
    return [first, (f"vibespace info {running or name}", "more about it"), create, _ALL]


def _create() -> Line:
    typed = "vibespace create NAME -t claude-code"
    if _in_repository():
        return f"{typed} --repo .", "a vibespace, on the repository here"
    return typed, "a vibespace"


def _in_repository() -> bool:
    """As git looks for one. A directory that has been removed is in none."""
    try:
        here = Path.cwd()
    except FileNotFoundError:
        return False
    return any((above / ".git").exists() for above in (here, *here.parents))
