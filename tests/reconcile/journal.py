"""What an agent's program is heard by, without any: a journal that a test has written, beside a house."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

from tests.app.house import House
from tests.harness.echo import Echo
from vibespace.app.blobs import Blobs
from vibespace.app.deltas import Deltas
from vibespace.app.settings import wanted
from vibespace.domain.transcripts import Place
from vibespace.harness.base import Harness
from vibespace.net.base import Attachment, Programs, Record, Room
from vibespace.reconcile.checkpoints import Checkpoints
from vibespace.reconcile.hearing import Hearing
from vibespace.reconcile.tools import Tools
from vibespace.vault import Vault


class Journal:
    """An attachment that has these records."""

    def __init__(self, records: Sequence[Record | Room], given: Callable[[], None]) -> None:
        self._records = records
        self._given = given

    async def records(self) -> AsyncIterator[Record | Room]:
        for record in self._records:
            self._given()
            yield record


def record(kind: str, seq: int, data: bytes = b"{}\n", *, epoch: int = 1) -> Record:
    return Record(kind, epoch, seq, data, len(data))


def tools(house: House, tmp_path: Path, harness: Harness | None = None, programs: Any = None) -> Tools:
    """For agents of every type, which `harness` speaks with."""
    return Tools(
        feed=house.feed,
        writer=house.writer,
        programs=cast(Programs, programs),
        harnesses={"claude-code": harness or Echo()},
        blobs=Blobs(tmp_path / "blobs"),
        deltas=Deltas(Vault(tmp_path / "vault").pieces),
        checkpoints=Checkpoints(tmp_path / "programs", str),
        mask=str,
        new_id=uuid4,
        settings=wanted,
        values=lambda agent: {},
        environment=lambda agent: {},
        keys=lambda agent: (),
        directory=lambda agent: "/vibespace",
    )


def hearing(house: House, tools: Tools) -> Hearing:
    """Of the agent of `demo`."""
    uid = house.feed.state.agent("demo", "claude-1").uid
    return Hearing(uid, tools.harnesses["claude-code"], tools, set(), lambda: None)


async def hear(hearing: Hearing, *records: Record | Room) -> list[Place]:
    """All of them, to the end of the journal; how far it was when it was given each."""
    last, far = records[-1], list[Place]()
    assert isinstance(last, Record)
    await hearing.await_all((last.epoch, last.seq), running=True)
    async with asyncio.TaskGroup() as group:
        recording = group.create_task(hearing.record())
        await hearing.read(cast(Attachment, Journal(records, lambda: far.append(hearing.seen))))
        while not hearing.is_current:
            hearing.changed.clear()
            await hearing.changed.wait()
        recording.cancel()
    return far
