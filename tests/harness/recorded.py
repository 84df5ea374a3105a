"""What the programs once wrote, and the events that are made of it: recordings/NAME.jsonl and NAME.events.

The lines are those of real programs, without their vendors' prose and without what was the machine's. After a change
that is meant, `python -m tests.harness.recorded` writes the events anew; read the difference.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path

from vibespace.harness.events import Event, Source
from vibespace.harness.registry import HARNESSES

HERE = Path(__file__).parent / "recordings"
NAMES = sorted(path.stem for path in HERE.glob("*.jsonl"))
_PROGRAMS = {"claude": "claude-code", "codex": "codex"}
_SOURCES = {"claude_transcript": Source.RECORD, "claude_commands": Source.RECORD, "claude_hooks": Source.HOOK}


def program(name: str) -> str:
    """Whose recording it is."""
    return _PROGRAMS[name.partition("_")[0]]


def source(name: str) -> Source:
    return _SOURCES.get(name, Source.OUTPUT)


def lines(name: str) -> list[bytes]:
    return (HERE / f"{name}.jsonl").read_bytes().splitlines()


def events(name: str) -> list[Event]:
    """Of the whole recording."""
    parser = HARNESSES[program(name)].parser()
    return [event for line in lines(name) for event in parser.feed(line, source(name))]


def shown(event: Event) -> str:
    """An event as a golden file has it: what is not as by default."""
    told = [f"{each.name}={getattr(event, each.name)!r}" for each in fields(event)]
    defaults = {f"{each.name}={each.default!r}" for each in fields(event)}
    return f"{type(event).__name__}({', '.join(each for each in told if each not in defaults)})"


def kept(event: Event) -> bytes:
    """An event as a log would hold it. Raises where no UTF-8 or JSON can."""
    return json.dumps(asdict(event), ensure_ascii=False, allow_nan=False).encode()


def golden(name: str) -> Path:
    return HERE / f"{name}.events"


def main() -> None:
    for name in NAMES:
        golden(name).write_text("".join(f"{shown(event)}\n" for event in events(name)))


if __name__ == "__main__":
    main()
