"""`vibespace ask`: one message to an agent, and its answer as it comes."""

from __future__ import annotations

import sys
from typing import Self

import click

from vibespace import errors
from vibespace.v1 import conversations_pb2 as v1
from vibespace_cli import build, names, run, shown
from vibespace_cli.invocation import Invocation
from vibespace_cli.output import Output
from vibespace_cli.shape import to_data

_ENOUGH = 1 << 20
"""Bytes of standard input: more than a message may have, which the daemon says, and less than gRPC refuses to carry."""

_GOES_ON = "Its program went away in the midst of it. Another one is started, and goes on."
_SAID = "'vibespace events --type transcript' has what its program said."
"""What to do where nobody knows better: 'vibespace doctor' looks at this machine, not at what a service refuses."""


def command(words: tuple[str, ...]) -> click.Command:
    """The command."""
    text = "Have it wait until the agent is done with what it works on, which is what it does anyway."
    return build.command(words, ask, [click.Option(["--queue"], is_flag=True, help=text)], content=True)


def ask(invocation: Invocation) -> None:
    """Send it, and print what comes of it. Raises what became of a message that was not done."""
    request, session = invocation.request, invocation.session
    if invocation.params["queue"] and request.steer:
        raise errors.InvalidArgument("ARGUMENTS_CONTRADICT", "Say --queue or --steer, not both.", field="steer")
    if request.text == "-":
        request.text = sys.stdin.buffer.read(_ENOUGH).decode(errors="replace")
    sent = run.call(invocation)
    session.output.streaming = True
    following = v1.StreamTranscriptRequest(
        name=request.parent, after=sent.cursor, until_message=sent.message.uid, deltas=True
    )
    message = sent.message
    if message.state == v1.MESSAGE_STATE_QUEUED and message.reason:
        session.output.note(f"It waits: {message.reason}. {message.hint}")
    try:
        with _Printer(session.output, sent.message.uid) as printer:
            for response in session.client.follow(
                "ConversationService/StreamTranscript", following, v1.StreamTranscriptResponse
            ):
                for delta in response.deltas:
                    printer.add(delta)
                for block in response.blocks:
                    printer.show(block)
                told = next((m for m in reversed(response.messages) if m.uid == message.uid), message)
                before, message = message, told
                if (before.state, message.state) == (v1.MESSAGE_STATE_ACKNOWLEDGED, v1.MESSAGE_STATE_QUEUED):
                    session.output.note(_GOES_ON)
    except KeyboardInterrupt:
        if message.state == v1.MESSAGE_STATE_QUEUED:
            session.output.note("It waits still, and is worked on in its turn.")
        else:
            session.output.note(f"It works on. To end that: vibespace agent interrupt {names.short(request.parent)}")
        raise
    printer.end(message)


class _Printer:
    """What the agent says goes to stdout; what it does, and what stands in its way, beside it."""

    def __init__(self, output: Output, message: str) -> None:
        self._output = output
        self._message = message
        self._conversation = ""
        """That the message was taken up in, once it was: its helpers may have conversations of their own."""
        self._said: dict[str, int] = {}
        """Characters of a block that were printed as they came; -1: it is whole."""
        self._open: str | None = None
        """The block whose end has not been printed."""
        self._fault = ""
        """What went wrong last: it is in the end's own words, if the turn ends by it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """However it ends: what comes after it begins a line."""
        self._begin(None)

    def add(self, delta: v1.Delta) -> None:
        """The next of what is just being said."""
        if self._output.as_json:
            self._output.object({"delta": to_data(delta)})
        elif 0 <= (known := self._said.get(delta.block, 0) - delta.offset) < len(delta.text):
            self._begin(delta.block)
            self._write(delta.text[known:])  # after a daemon that is gone, it is told from its beginning
            self._said[delta.block] = delta.offset + len(delta.text)

    def show(self, block: v1.Block) -> None:
        """What happened."""
        if self._output.as_json:
            told = to_data(block)
            self._output.object({"block": {name: value for name, value in told.items() if value is not None}})
            return
        helped = block.parent or (self._conversation and block.conversation not in ("", self._conversation))
        match block.WhichOneof("block"):
            case "text" if block.text.message == self._message:
                self._conversation = block.conversation
            case "conversation_switched":
                self._conversation = block.conversation
            case "text" if not block.text.by_user and not helped:
                self._finish(block.text)
            case "tool_call":
                called = block.tool_call
                self._output.step(f"{shown.line(called.tool)} {shown.brief(called.input)}", theirs=True)
            case "tool_result" if block.tool_result.failed:
                self._output.step(f"  failed: {shown.line(block.tool_result.text)}", theirs=True)
            case "file_change":
                self._output.step(f"{block.file_change.change} {shown.line(block.file_change.path)}", theirs=True)
            case "approval_asked":
                asked = block.approval_asked
                call = f"{shown.line(asked.tool)} {shown.brief(asked.input)}"
                self._output.note(f"Waits for a decision: {call}", theirs=True)
                self._output.note(
                    "  All of it: vibespace approval list. "
                    f"To decide: vibespace approval allow {asked.approval[:8]}, or deny {asked.approval[:8]}"
                )
            case "error" if block.error.retrying:
                self._begin(None)  # what it was about to say was cut off
                self._output.note(f"{shown.line(block.error.text).removesuffix('.')}, it tries again", theirs=True)
            case "error" if block.error.trouble == "warning" or helped:
                self._output.note(shown.line(block.error.text), theirs=True)
            case "error":
                self._fault = shown.line(block.error.text)

    def end(self, message: v1.Message) -> None:
        """How it ended. Raises what became of a message that was not done."""
        if self._output.as_json:
            self._output.object({"message": to_data(message)})
        if message.state == v1.MESSAGE_STATE_FAILED:
            raise errors.Aborted("MESSAGE_FAILED", errors.ended(f"The agent did not work on it: {message.reason}"))
        if message.state == v1.MESSAGE_STATE_UNCERTAIN:
            raise errors.Aborted(
                "MESSAGE_UNCERTAIN",
                "Whether the agent has it cannot be found out, so it is not said again by itself.",
                hint="See what it did with 'vibespace events --type transcript', and ask again if need be.",
            )
        reason, _, detail = message.reason.partition(": ")
        if self._fault and reason != "failed":
            self._output.note(self._fault, theirs=True)
        match reason:
            case "interrupted":
                raise errors.Cancelled("INTERRUPTED", "The agent was interrupted.")
            case "turn_limit":
                raise errors.Exhausted(
                    "TURN_LIMIT",
                    "The agent took as many turns as its settings allow.",
                    hint="Ask it to go on, or allow it more with 'vibespace config set --max-turns'.",
                )
            case "failed" | "lost":
                what = shown.line(detail) or "its program went away"
                sentence = errors.ended(f"The agent did not get to an end: {what}")
                about = {"trouble": message.trouble} if message.trouble else {}
                raise errors.Unavailable("TURN_FAILED", sentence, hint=message.hint or _SAID, **about)

    def _finish(self, block: v1.TextBlock) -> None:
        if (said := self._said.get(block.block, 0) if block.block else 0) < 0:
            return
        rest = block.text[said:]
        if rest or not said or self._open == block.block:  # else its line is ended already
            self._begin(block.block)
            self._write(rest + "\n")
        self._open = None
        if block.cut and said <= len(block.text):
            self._output.note("It said more, which is no longer kept. 'vibespace doctor' looks for the cause.")
        if block.block:
            self._said[block.block] = -1

    def _begin(self, block: str | None) -> None:
        """What came before it and has no end, for it was interrupted, is a line of its own."""
        if self._open not in (None, block):
            self._write("\n")
        self._open = block

    def _write(self, text: str) -> None:
        sys.stdout.write(shown.text(text) if sys.stdout.isatty() else text)
        self._output.flush()
