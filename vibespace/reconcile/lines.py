"""Makes of each record of a runner's journal what the log is to have of it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from vibespace.app import transcripts
from vibespace.app.blobs import Blobs
from vibespace.app.transcripts import Line
from vibespace.app.writer import Command
from vibespace.domain.transcripts import Block, Place
from vibespace.harness.base import Harness
from vibespace.harness.events import Event, Reason, Source, TurnEnded, Unparsed
from vibespace.harness.reading import decode
from vibespace.net.base import Record
from vibespace.reconcile.blocks import blocks_of, shortened
from vibespace.reconcile.conversations import is_limit
from vibespace.reconcile.questions import Questions
from vibespace.reconcile.unfinished import Unfinished

SOURCES = {"stdout": Source.OUTPUT, "transcript": Source.RECORD, "hook": Source.HOOK}
_WORDS = 4096
"""Bytes of standard error that are looked at for its last words."""
_DRESS = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
"""Colours and the like, for the terminal that standard error is not. Without its escape the rest is litter."""
INLINE = 16 * 1024
"""Bytes of a line that an event holds; of a longer one it holds the beginning, and the name of the rest."""


class Lines:
    """One agent's. A parser is begun with each life of the program, and has heard all that this one said."""

    def __init__(self, agent_uid: str, harness: Harness, mask: Callable[[str], str], blobs: Blobs) -> None:
        self._agent_uid = agent_uid
        self._mask = mask
        self._blobs = blobs
        self._new_parser = harness.parser
        self._parser = harness.parser()
        self.last_words = ""
        """What the program wrote last on its standard error."""
        self._limited = ""
        """What ended, last, a turn that had too many rounds."""
        self._questions = Questions()
        self._unfinished = Unfinished()

    def begin(self) -> None:
        """Another program."""
        self._parser = self._parser.next()
        self._limited = ""
        self._questions = Questions()
        self._unfinished = self._unfinished.next()

    def forget(self) -> None:
        """Another program, and nothing is sure of what those before it have told."""
        self._parser = self._new_parser()
        self.begin()

    def state(self) -> Mapping[str, Any] | None:
        """None while it must not be kept."""
        parser = None if self._unfinished.is_open else self._parser.state()
        if parser is None:
            return None
        named, told = self._questions.named(), self._unfinished.state()
        return {"parser": parser, "limited": self._limited, "named": named, "unfinished": told}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on with a program that has said all that this amounts to."""
        self.begin()
        self._parser.restore(state["parser"])
        self._limited = str(state["limited"])
        self._questions = Questions(state["named"])
        self._unfinished = Unfinished(state["unfinished"])

    def read(self, record: Record) -> Sequence[Event]:
        """What the record tells; an exit, what that ends. Never raises."""
        if record.size > len(record.data):
            return (Unparsed(why=f"a line of {record.size} bytes"),)
        if record.kind in SOURCES:
            told = self._parser.feed(record.data.removesuffix(b"\n"), SOURCES[record.kind])
            return self._whole(self._questions.take(self._ended(event)) for event in told)
        if record.kind == "connected":
            self._questions = Questions()  # what still waits is asked again, under the name that it had
            self._unfinished = self._unfinished.next()  # what was said in between is missing
        if record.kind == "input" and is_limit(name := record.data.partition(b"\n")[0].decode(errors="replace")):
            self._limited = name
        if record.kind == "stderr":
            self.last_words = self._mask(_undressed(record.data[-_WORDS:]).strip())[-300:]
        return self._whole(self._parser.lost()) if record.kind == "exit" else ()

    def _whole(self, events: Iterable[Event]) -> Sequence[Event]:
        """With what came to no end."""
        return [each for event in events for each in self._unfinished.take(event)]

    def _ended(self, event: Event) -> Event:
        """Why, when the program was told to end it: it knows no limit."""
        if isinstance(event, TurnEnded) and event.reason is Reason.INTERRUPTED and is_limit(self._limited, event.turn):
            return replace(event, reason=Reason.TURN_LIMIT)
        return event

    async def command(
        self, record: Record, events: Sequence[Event], after: Place, *, alone: bool = False
    ) -> Command | None:
        """What takes the record into the log, where `after` is the one before it; None when it is not kept.

        Nothing follows from one that is kept `alone`.

        Raises Exhausted DISK_FULL, Unavailable HOME_NOT_USABLE.
        """
        place = Place(record.epoch, record.seq)
        blocks = blocks_of(events, self._mask)
        match record.kind:
            case "start":
                begun = note(record.data)
                start = partial(transcripts.start_program, agent_uid=self._agent_uid, place=place, after=after)
                return partial(start, started=begun)
            case "exit":
                last = await self._line(record, blocks, place, after)
                return partial(transcripts.end_program, agent_uid=self._agent_uid, line=last, how=told(record.data))
            case "stderr":
                text = self._mask(_undressed(record.data).rstrip("\n"))
                blocks = [{"kind": "diagnostic", "text": text}]
        if not blocks:
            return None
        line = replace(await self._line(record, blocks, place, after), alone=alone)
        return partial(transcripts.take_line, agent_uid=self._agent_uid, line=line)

    async def _line(self, record: Record, blocks: list[Block], place: Place, after: Place) -> Line:
        size = sum(len(text) for block in blocks for text in block.values() if isinstance(text, str))
        if max(len(record.data), size) <= INLINE:  # what comes to no end is told by a line that is short itself
            return Line(place, after, record.kind, self._text(record), blocks, blocks)
        text, name = await asyncio.to_thread(self._keep, record, blocks)
        begun = text.encode()[:INLINE].decode(errors="ignore")
        return Line(place, after, record.kind, begun, [shortened(block) for block in blocks], blocks, name)

    def _text(self, record: Record) -> str:
        line = record.data.removesuffix(b"\n").decode(errors="replace")
        return self._mask(line) if record.kind in SOURCES else ""

    def _keep(self, record: Record, blocks: list[Block]) -> tuple[str, str]:
        """The line, and the name under which it lies whole."""
        text = self._text(record)
        whole = json.dumps({"line": text, "blocks": blocks}, ensure_ascii=False)
        return text, self._blobs.put(whole.encode())


def _undressed(data: bytes) -> str:
    """Before it is masked: a colour amid a secret value would hide it."""
    return _DRESS.sub("", data.decode(errors="replace"))


def told(data: bytes) -> dict[str, Any]:
    """The JSON object of a record of the runner's own; empty for what is none: who rules inside may write anything."""
    found = decode(data)
    return {} if isinstance(found, Unparsed) else found


def note(data: bytes) -> dict[str, Any]:
    """What a program was started with, as `started` told the runner."""
    found = told(data).get("note")
    return found if isinstance(found, dict) else {}
