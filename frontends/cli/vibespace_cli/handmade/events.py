"""`vibespace events`: the history, one event a line, and what is added to it."""

from __future__ import annotations

import json
from typing import Any

import click

from vibespace.v1.events_pb2 import Event, StreamEventsResponse
from vibespace_cli import build, cells, human, render, shown, table
from vibespace_cli.invocation import Invocation
from vibespace_cli.names import short
from vibespace_cli.output import Output
from vibespace_cli.shape import leaves, to_data, words

_WIDE = 110
"""Columns from which on there is room for the date in every row; below, it has a line of its own when it changes."""

_INDENT = 10
"""Where the fields of an event begin, with --verbose: below the time, to the right of its position."""

_BRIEF = 60
"""Columns of what may be of any length: an event is no place to read a conversation."""

_LINE, _ENDED, _SET = "transcript.line_read", "transcript.program_ended", "agent.settings_changed"
_TOLD_BY = {"message": ("text",), "approval": ("tool",), "credential": ("type", "key")}
"""What tells these from others of their kind, beside their ids: said when they are made, and with what becomes of them,
as long as the first was among what is shown.
"""
_INNER = ("turn", "request", "input_hash", "settings", "sealed")
"""Fields of those by which programs find what belongs together, or which are nobody's to read."""
_WORDS = ("text", "tool", "path", "why")
"""Fields of what an agent tells that say something by themselves, the most telling first."""

_EMPTY = frozenset({"", "null", "{}", "[]"})


def command(words: tuple[str, ...]) -> click.Command:
    """The command."""
    return build.command(words, run)


def run(invocation: Invocation) -> None:
    """Print what comes; a daemon that dies is started again and asked for the rest."""
    session, request = invocation.session, invocation.request
    session.output.streaming = True
    printer = _Printer(session.output)
    for response in session.client.follow(invocation.method.full_name, request, StreamEventsResponse):
        printer.show(response.events)


def to_object(event: Any) -> dict[str, Any]:
    """An event as JSON; its data are an object, as they are in the log."""
    told = to_data(event)
    told["data"] = json.loads(event.data) if event.data else {}
    return told


class _Printer:
    def __init__(self, output: Output) -> None:
        self._output = output
        every = [leaf for leaf in leaves(Event.DESCRIPTOR) if leaf.path[0] != "cursor"]
        self._shown = every if output.verbose and output.plain else render.columns(Event.DESCRIPTOR)
        self._widths: list[int] = []
        self._day = ""
        self._known: dict[str, dict[str, str]] = {}
        """By subject, what _TOLD_BY names."""

    def show(self, events: Any) -> None:
        if not events:
            return
        if self._output.as_json:
            for event in events:
                self._output.object(to_object(event))
            return
        if self._output.quiet and not self._output.plain:
            for event in events:
                self._output.line(str(event.cursor.position))
            self._output.flush()
            return
        names = ["POSITION", *render.header(self._shown)]
        rows = [
            [str(e.cursor.position), *r]
            for e, r in zip(events, render.rows(self._output, events, self._shown), strict=True)
        ]
        if self._output.plain:
            lines = table.tabbed(names if self._output.header else (), rows)
            self._output.header = False
        else:
            lines = self._aligned(names, rows, events)
        for line in lines:
            self._output.line(line)
        self._output.flush()

    def _aligned(self, names: list[str], rows: list[list[str]], events: Any) -> list[str]:
        """Columns keep their widths from batch to batch, unless a later one needs more. People get names as they type
        them, and what the event says.
        """
        first = not self._widths
        width = table.terminal_width()
        about, at, by = names.index("SUBJECT"), names.index("TIME"), names.index("ACTOR")
        days = [row[at].partition(" ")[0] for row in rows]
        for row, event in zip(rows, events, strict=True):
            row[about] = _whose(event.subject)
            row[by] = row[by] if self._output.verbose else _who(row[by])
            row[at] = row[at] if width >= _WIDE else row[at].rpartition(" ")[2]
            row.append("" if self._output.verbose else self._said(event))
        whole = [names.index(n) for n in ("POSITION", "TIME", "TYPE")]
        what = "" if self._output.verbose else "WHAT"
        head, *blocks = table.lines([*names, what], rows, width, self._widths, whole, prose=True)
        lines = [self._output.paint(line, "bold") for line in head] if first else []
        for day, block, event in zip(days, blocks, events, strict=True):
            if width < _WIDE and day != self._day:
                lines.append(self._output.paint(day, "dim"))
                self._day = day
            lines += block
            if self._output.verbose:
                lines += _details(event, width)
        return lines

    def _said(self, event: Event) -> str:
        """What its data tell a person: nothing that the subject says, of ids only those that are typed, no counters,
        nothing that is empty; of what agents and people write only the beginning.
        """
        data = json.loads(event.data) if event.data else {}
        if event.type == _LINE:
            return _told(data.get("blocks") or [])
        if event.type == _ENDED:
            data = {name: words(value) for name, value in data.get("how", {}).items()}
        if event.type == _SET:
            data = {name: words(value) or "empty" for name, value in data.get("settings", {}).items()} | _unset(data)
        if by := _TOLD_BY.get(event.type.partition(".")[0]):
            known = self._known.setdefault(event.subject, {name: data[name] for name in by if name in data})
            rest = {name: value for name, value in data.items() if name not in _INNER}
            data = {"id": event.subject.rpartition("/")[2][:8]} | known | rest
        if given := data.get("input"):
            data["input"] = shown.brief(given)
        texts = {name: human.digest(value) for name, value in data.items() if value and isinstance(value, str)}
        told = {name: value for name, value in texts.items() if not _is_known(name, value, event.subject)}
        return ", ".join(
            value if name in ("state", "reason") else f"{name} {cells.cut(value, _BRIEF)}"
            for name, value in told.items()
        )


def _whose(subject: str) -> str:
    """What a person calls it; of what belongs to an agent, that agent: TYPE says what it is, --verbose which. Of a
    credential, whom it is for.
    """
    parts = subject.split("/")
    if parts[-2:-1] == ["credentials"]:
        return short("/".join(parts[:-2])) if parts[:-2] else "host"
    return short("/".join(parts[:4]) if parts[2:3] == ["agents"] else subject)


def _who(actor: str) -> str:
    """With as much of an id as tells one from another."""
    kind, of, uid = actor.partition(":")
    return kind + of + uid[:8]


def _details(event: Event, width: int) -> list[str]:
    """All else there is to know of it, a field a line below its row; of what is empty nothing."""
    told = {"uid": event.uid, "request id": event.request_id, "cause": event.cause}
    data = json.loads(event.data) if event.data else {}
    told.update({f"data.{name}": value if isinstance(value, str) else _compact(value) for name, value in data.items()})
    shown = [(name, value) for name, value in told.items() if value not in _EMPTY]
    indent = min(_INDENT, width // 4)
    _, *rows = table.lines(["FIELD", "VALUE"], shown, width - indent, whole=[0])
    return [" " * indent + line for row in rows for line in row]


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _unset(data: Any) -> dict[str, str]:
    return {"without": ", ".join(data.get("unset", ()))}


def _is_known(name: str, value: str, subject: str) -> bool:
    return name in ("name", "vibespace") or "uid" in name or (name == "agent" and f"/agents/{value}/" in subject)


def _told(blocks: list[Any]) -> str:
    """By a line of an agent's program: of what kinds it is, and how the first thing begins that is said in it; how each
    message does, where several are told.
    """
    kinds = ", ".join(dict.fromkeys(_kind(block) for block in blocks))
    messages = [_begins(block) for block in blocks if block.get("by_user")]
    if len(messages) > 1:
        return f"{kinds}: " + ", ".join(cells.cut(begins, _BRIEF // 2) for begins in messages)
    begins = next(filter(None, map(_begins, blocks)), "")
    return cells.cut(f"{kinds}: {begins}" if begins else kinds, _BRIEF)


def _begins(block: Any) -> str:
    """The most telling of what it says, on one line; of a call also what with."""
    if block["kind"] == "turn_ended":
        return ": ".join(block[name] for name in ("reason", "detail") if block.get(name))
    if block["kind"] == "conversation_switched":  # a program that is started says it also of the one that it is in
        return str(block.get("conversation", ""))[:8]
    name = next((name for name in _WORDS if block.get(name)), "")
    given = block.get("input", "") if name == "tool" else ""
    return " ".join(f"{block.get(name, '')} {'' if given in _EMPTY else shown.brief(given)}".split())


def _kind(block: Any) -> str:
    """What the agent was told is a text, too: whose it is must be seen where a conversation is read."""
    return "message" if block.get("by_user") else str(block["kind"])
