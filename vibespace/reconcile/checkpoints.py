"""What is known of agents' programs at one place of what each said.

So a start need not hear all of it again, and who goes on with a conversation knows what the program before has told.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from vibespace.app import disposable
from vibespace.domain.transcripts import Place

EVERY = 500
"""Records from one checkpoint of a program to the next: so many are read again."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """What had been heard up to `place`, and a Live by then, in JSON values."""

    place: Place
    recorded: Place
    """The last up to there that is in the log."""
    heard: Mapping[str, Any]
    live: Mapping[str, Any]


class Checkpoints:
    """A disposable file an agent."""

    def __init__(self, directory: Path, mask: Callable[[str], str]) -> None:
        """`mask` is applied to nothing that is kept here: what it would change is not kept."""
        self._directory = directory
        self._mask = mask

    def write(self, agent_uid: str, checkpoint: Checkpoint) -> None:
        """Keep it in place of the one before; where that fails, or must not be, the one before stays."""
        if self._has_secrets(checkpoint.live) or self._has_secrets(checkpoint.heard):
            return
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            values = (checkpoint.place, checkpoint.recorded, checkpoint.heard, checkpoint.live)
            disposable.write(self._directory / agent_uid, _build(), values)
        except OSError as e:
            _log.info("what is known of the program of %s is not kept: %s", agent_uid, e.strerror)

    def read(self, agent_uid: str, recorded: Place, *, running: bool) -> Checkpoint | None:
        """Of the program's life that is in the log up to `recorded`; of one that runs also the end of the life before.
        None when there is none. What is out of date for good is forgotten.
        """
        found = disposable.read(self._directory / agent_uid, _build())
        if found is None:
            return None
        place, kept, heard, live = found
        checkpoint = Checkpoint(Place(*place), Place(*kept), heard, live)
        if _is_of_use(checkpoint, recorded, running=running):
            return checkpoint
        if not running:
            self.forget(agent_uid)
        return None

    def forget(self, agent_uid: str) -> None:
        """It is out of date, or leads to a defect."""
        (self._directory / agent_uid).unlink(missing_ok=True)

    def keep(self, agents: Container[str]) -> None:
        """Forget all but these."""
        for path in self._directory.glob("*"):
            if path.name not in agents:
                path.unlink(missing_ok=True)

    def _has_secrets(self, value: Any) -> bool:
        match value:
            case str():
                return self._mask(value) != value
            case Mapping():
                return any(self._has_secrets(each) for pair in value.items() for each in pair)
            case list() | tuple():
                return any(map(self._has_secrets, value))
        return False


def _is_of_use(kept: Checkpoint, recorded: Place, *, running: bool) -> bool:
    """Of a life that is over only its end is: more may have been told after anything else."""
    is_over = not kept.live["running"]
    if not (is_over or running):
        return False
    life = recorded.epoch - 1 if is_over and running else recorded.epoch
    return kept.place.epoch == life and kept.recorded <= recorded


@cache
def _build() -> str:
    """All that may decide what lines amount to."""
    package = Path(__file__).parents[1]
    return disposable.build(
        tuple(sorted(path for room in ("harness", "reconcile") for path in (package / room).glob("*.py")))
    )
