"""`vibespace approval`: what agents ask before they act, and the answers."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from vibespace.v1 import approvals_pb2 as v1
from vibespace_cli import ask, build, human, run, shown
from vibespace_cli.invocation import Invocation
from vibespace_cli.output import Output
from vibespace_cli.shape import to_data

_COLUMNS = ("UID", "AGENT", "STATE", "TOOL", "INPUT", "EXPIRE TIME")
_LIST, _WATCH = "ApprovalService/ListApprovals", "ApprovalService/WatchApprovals"


def command(words: tuple[str, ...]) -> click.Command:
    """`list`, `allow` or `deny`."""
    if words[-1] == "list":
        text = "Go on with what is asked and decided from now on."
        return build.command(words, show, [click.Option(["--follow"], is_flag=True, help=text)])
    return build.command(words, decide)


def show(invocation: Invocation) -> None:
    """What waits, all of it: a decision is about nothing that was not shown."""
    output, request = invocation.session.output, invocation.request
    if not invocation.params["follow"]:
        if output.as_json:
            run.run(invocation)
            return
        _titles(output)
        found = invocation.session.call(_LIST, request).approvals
        for approval in found:
            _print(output, approval)
        if not found:
            output.note("Nothing waits for a decision.")
        return
    output.streaming = True
    _titles(output)
    watching = v1.WatchApprovalsRequest(parent=request.parent)
    for response in invocation.session.client.stream(_WATCH, watching, v1.WatchApprovalsResponse):
        for approval in response.approvals:
            output.object(to_data(approval)) if output.as_json else _print(output, approval)


def decide(invocation: Invocation) -> None:
    """Allow or deny, and show what: what is shown is what is decided about."""
    request, output = invocation.request, invocation.session.output
    waiting = invocation.session.call(_LIST, v1.ListApprovalsRequest()).approvals
    found = [approval for approval in waiting if approval.uid.startswith(request.name)]
    always = bool(getattr(request, "always", False))
    if len(found) == 1:
        request.input_hash = found[0].input_hash
        if output.live:
            output.note("\n".join([_head(found[0]), *_rest(found[0])]), theirs=True)
        if always and found[0].rules:
            output.note("Until the agent's program ends, this is allowed too:")
            for rule in found[0].rules:
                output.note(f"  {_one_line(rule)}", theirs=True)
            if output.live and sys.stdin.isatty():
                ask.agree("Allow it?", "Nothing was allowed.")
    run.run(invocation)


def _titles(output: Output) -> None:
    if output.plain and output.header:
        output.line("\t".join(_COLUMNS))


def _print(output: Output, approval: v1.Approval) -> None:
    if output.plain:
        ends = approval.expire_time.ToJsonString() if approval.HasField("expire_time") else ""
        told = [approval.uid, approval.agent, _state(approval), approval.tool, approval.input, ends]
        output.line("\t".join(map(_one_line, told)))
    elif output.quiet:
        output.line(approval.uid)
    else:
        output.quote(_head(approval), "bold")
        for line in _rest(approval):
            output.quote(line)
    output.flush()


def _head(approval: v1.Approval) -> str:
    word = "waits" if approval.state == v1.APPROVAL_STATE_ASKED else _state(approval)
    return f"{approval.uid[:8]}  {approval.agent}  {word}: {_one_line(approval.tool)}"


def _rest(approval: v1.Approval) -> list[str]:
    beside = [_one_line(approval.reason)] if approval.reason else []
    if approval.HasField("expire_time"):
        beside.append(f"denied at {human.moment(approval.expire_time.seconds)} unless somebody decides")
    return [f"    {line}" for line in [*_fields(approval.input), *(f"({line})" for line in beside)]]


def _state(approval: v1.Approval) -> str:
    return v1.ApprovalState.Name(approval.state).removeprefix("APPROVAL_STATE_").lower()


def _fields(given: str) -> list[str]:
    """All that the tool would be given, whole: what is long or strange cannot hide in what is left out."""
    try:
        fields: Any = json.loads(given)
    except ValueError:
        fields = given
    if not isinstance(fields, dict):
        return shown.lines(given)
    lines: list[str] = []
    for name, value in fields.items():
        words = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        first, *rest = shown.lines(words)
        lines += [f"{_one_line(name)}: {first}", *(f"  {line}" for line in rest)]
    return lines


def _one_line(text: str) -> str:
    return shown.whole(text.replace("\r\n", "\n").replace("\n", "\\n").replace("\t", "\\t"))
