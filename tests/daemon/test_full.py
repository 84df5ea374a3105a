"""A disk that is full or read-only, for real: what can be answered is, and the rest is said in one sentence."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from tests.daemon.running import error_of, initialize, refused, whole
from tests.daemon.small import Small, small
from vibespace.errors import Error, Exhausted
from vibespace.v1 import agents_pb2 as a
from vibespace.v1 import events_pb2 as ev
from vibespace.v1 import system_pb2 as s
from vibespace.v1 import vibespaces_pb2 as v
from vibespace.v1.events_pb2_grpc import EventServiceStub
from vibespace.v1.system_pb2_grpc import SystemServiceStub
from vibespace.v1.vibespaces_pb2_grpc import VibespaceServiceStub


@pytest.fixture
def disk() -> Iterator[Small]:
    with small() as made:
        yield made


@asynccontextmanager
async def dial(disk: Small) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"unix:{disk.seen}/daemon.sock") as channel:
        yield channel


def create(channel: grpc.aio.Channel, name: str) -> Any:
    kind = a.AgentSettings(type=a.AGENT_TYPE_CODEX)
    return VibespaceServiceStub(channel).CreateVibespace(v.CreateVibespaceRequest(vibespace_id=name, agent=kind))


async def until_full(channel: grpc.aio.Channel) -> tuple[list[str], Error]:
    """Create until it is refused, for pages that are there have some room left; what there is, and the refusal."""
    number = 0
    while True:
        try:
            number += 1
            await create(channel, f"v{number}")
        except grpc.aio.AioRpcError as e:
            return await names(channel), error_of(e)


async def names(channel: grpc.aio.Channel) -> list[str]:
    listed = await VibespaceServiceStub(channel).ListVibespaces(v.ListVibespacesRequest())
    return [one.vibespace_id for one in listed.vibespaces]


async def reads_are_answered(channel: grpc.aio.Channel, there: list[str]) -> None:
    events = EventServiceStub(channel)
    assert await names(channel) == there
    assert await whole(events.Watch(ev.WatchRequest()))
    pages = await whole(events.StreamEvents(ev.StreamEventsRequest(parent=f"vibespaces/{there[0]}")))
    assert {event.type for page in pages for event in page.events} >= {"vibespace.created", "agent.created"}
    replayed = await events.Replay(ev.ReplayRequest())
    assert [one.vibespace_id for one in replayed.vibespaces] == there
    assert not (await events.VerifyLog(ev.VerifyLogRequest())).damages
    found = (await SystemServiceStub(channel).Diagnose(s.DiagnoseRequest())).findings
    assert [one.severity for one in found if one.subject == "disk"] == [s.SEVERITY_ERROR]


async def test_a_full_disk(disk: Small) -> None:
    """Reads are answered, writes refused with the reason, and what makes room is done; a daemon starts there; and as
    soon as there is room everything works, with a whole log.
    """
    with disk.daemon():
        async with dial(disk) as channel:
            await initialize(channel)
            await create(channel, "first")
            disk.fill()
            there, error = await until_full(channel)
            assert isinstance(error, Exhausted)
            assert (error.reason, bool(error.hint)) == ("DISK_FULL", True)
            assert not (disk.seen / "reserve").exists()
            disk.fill()  # also what was given back, but for what the daemon has used of it
            await reads_are_answered(channel, there)
            assert (await refused(create(channel, "no"))).reason == "DISK_FULL"
    with disk.daemon():
        async with dial(disk) as channel:
            await reads_are_answered(channel, there)
            assert (await refused(create(channel, "no"))).reason == "DISK_FULL"
            (disk.seen / "filler").unlink()
            await create(channel, "works")
            assert (disk.seen / "reserve").stat().st_size > 0
            assert not (await EventServiceStub(channel).VerifyLog(ev.VerifyLogRequest())).damages
            assert await names(channel) == sorted([*there, "works"])


async def test_a_full_disk_can_be_emptied(disk: Small) -> None:
    """A vibespace can be deleted when nothing else can be recorded, and is gone in the end."""
    with disk.daemon():
        async with dial(disk) as channel:
            await initialize(channel)
            await create(channel, "first")
            disk.fill()
            await until_full(channel)
            request = v.DeleteVibespaceRequest(name="vibespaces/first")
            deleted = await VibespaceServiceStub(channel).DeleteVibespace(request)
            watch = EventServiceStub(channel).Watch(ev.WatchRequest(after=deleted.cursor))
            async for response in watch:
                if any(change.deleted == request.name for change in response.changes):
                    break
            watch.cancel()
            assert "first" not in await names(channel)


def test_a_directory_that_cannot_be_written_to(disk: Small) -> None:
    """A daemon ends with 1 and one sentence, whether there is a log already or not."""
    for _ in range(2):
        subprocess.run(disk.inside("mount", "-o", "remount,ro", str(disk.home)), check=True)
        process, serves = disk.start()
        _, said = process.communicate()
        assert (serves, process.returncode, said.count("\n")) == (False, 1, 1)
        assert str(disk.home) in said
        subprocess.run(disk.inside("mount", "-o", "remount,rw", str(disk.home)), check=True)
        with disk.daemon():
            pass
