"""What whoever drives agents' programs works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from vibespace.app.blobs import Blobs
from vibespace.app.deltas import Deltas
from vibespace.app.feed import Feed
from vibespace.app.writer import Writer
from vibespace.domain.agents import Agent
from vibespace.harness.base import Harness, Settings
from vibespace.net.base import Programs
from vibespace.reconcile.checkpoints import Checkpoints


@dataclass(frozen=True)
class Tools:
    """Of all drivers."""

    feed: Feed
    writer: Writer
    programs: Programs
    harnesses: Mapping[str, Harness]
    blobs: Blobs
    deltas: Deltas
    checkpoints: Checkpoints
    mask: Callable[[str], str]
    new_id: Callable[[], UUID]
    settings: Callable[[Agent], Settings]
    values: Callable[[Agent], Mapping[str, str]]
    """What its container's environment has of its own."""
    environment: Callable[[Agent], Mapping[str, str]]
    """What the program's process gets besides what its container has."""
    keys: Callable[[Agent], Sequence[str]]
    """What tells that from any other, without being secret."""
    directory: Callable[[Agent], str]
    """Where it begins."""
