"""The writer decides one command after the other, and commits what has queued up at once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.app.house import House, add, create, delete, plain, start, stop
from vibespace.app.writer import Outcome, Request, Transaction
from vibespace.domain.aggregate import Aggregate
from vibespace.errors import AlreadyExists, Error, Exhausted, Internal, InvalidArgument, NotFound, Unavailable


def topics(house: House) -> list[str]:
    return [recorded.topic for recorded in house.log.read(0)]


async def test_commands_that_queue_up_share_one_commit(house: House) -> None:
    """Twenty commands that wait at the same time are one transaction and one batch."""
    before = len(house.batches)
    outcomes = await house.together(*((create(f"v{n}"), Request("local", f"q{n}", "d")) for n in range(20)))
    assert all(isinstance(outcome, Outcome) for outcome in outcomes)
    assert [len(batch.recorded) for batch in house.batches[before:]] == [40]


async def test_a_refusal_records_nothing_and_spoils_nobody(house: House) -> None:
    """Of three commands in one batch the refused one leaves no event, and the others are done."""
    first, refused, last = await house.together(
        (create("one"), Request("local", "a", "d")),
        (create("one"), Request("local", "b", "d")),
        (create("two"), Request("local", "c", "d")),
    )
    assert isinstance(refused, AlreadyExists)
    assert refused.reason == "VIBESPACE_EXISTS"
    assert isinstance(first, Outcome)
    assert isinstance(last, Outcome)
    assert topics(house) == ["host.created", *["vibespace.created", "agent.created"] * 2]


async def test_a_command_that_fails_half_way_leaves_nothing(house: House) -> None:
    """What a command had drafted when it raised is in no state and in no log."""

    def half(transaction: Transaction) -> Aggregate:
        create("half")(transaction)
        raise NotFound("NO_SUCH_THING", "There is none.")

    before = plain(house.feed.state)
    with pytest.raises(NotFound):
        await house.ask(half)
    assert plain(house.feed.state) == before
    assert topics(house) == ["host.created"]
    await house.ask(create("half"))


async def test_a_defect_refuses_one_command_only(house: House) -> None:
    """A command that fails by a defect of ours is refused, and the daemon goes on as if it had not been asked."""

    def broken(transaction: Transaction) -> Aggregate:
        create("broken")(transaction)
        raise KeyError("nobody thought of this")

    refused, done = await house.together(
        (broken, Request("local", "a", "d")),
        (create("fine"), Request("local", "b", "d")),
    )
    assert isinstance(refused, Internal)
    assert isinstance(refused.__cause__, KeyError)
    assert isinstance(done, Outcome)
    assert topics(house)[1:] == ["vibespace.created", "agent.created"]


async def test_a_decision_about_what_has_moved_on_is_refused(house: House) -> None:
    """An event that would be the second of its version is a defect: the table would take it."""
    await house.ask(create())
    old = house.feed.state.vibespace("demo").draft()
    await house.ask(stop())

    def late(transaction: Transaction) -> Aggregate:
        transaction.drafts[old.id] = old
        return stop()(transaction)

    with pytest.raises(Internal) as e:
        await house.ask(late)
    assert isinstance(e.value.__cause__, ValueError)
    assert topics(house)[-1] == "vibespace.stop_requested"


async def test_a_command_sees_what_the_one_before_it_decided(house: House) -> None:
    """In one batch, a create, a stop and a start of the same thing are decided one upon the other."""
    await house.together(
        (create(), Request("local", "a", "d")),
        (stop(), Request("local", "b", "d")),
        (stop(), Request("local", "c", "d")),
        (start(), Request("local", "e", "d")),
    )
    assert topics(house)[3:] == ["vibespace.stop_requested", "vibespace.start_requested"]
    assert house.feed.state.vibespace("demo").generation == 3


async def test_the_answer_names_the_resource_and_its_last_event(house: House) -> None:
    """An outcome holds the uid of what was asked for, and the place of the last event it led to."""
    outcome = await house.ask(create())
    assert outcome == Outcome(house.feed.state.vibespace("demo").id, 3)
    agent = await house.ask(add())
    assert agent == Outcome(house.feed.state.agent("demo", "claude-2").id, 4)


async def test_callers_hear_after_everyone_else_can_know(house: House) -> None:
    """When a command returns, what it recorded is in the live state and on disk."""
    outcome = await house.ask(create())
    assert house.feed.state.position == outcome.position
    assert house.log.read(0)[-1].position == outcome.position


async def test_a_repeat_is_answered_as_the_first_was(house: House) -> None:
    """The same request_id again gets the same answer and makes no event."""
    first = await house.ask(create(), request_id="once")
    await house.ask(stop())
    assert await house.ask(create(), request_id="once") == first
    assert len(topics(house)) == 4


async def test_repeats_in_one_batch_are_one_request(house: House) -> None:
    """A request that was sent five times at the same time is done once, and all five hear the same."""
    outcomes = await house.together(*[(create(), Request("local", "once", "d"))] * 5)
    assert len({str(outcome) for outcome in outcomes}) == 1
    assert isinstance(outcomes[0], Outcome)
    assert topics(house) == ["host.created", "vibespace.created", "agent.created"]


async def test_a_repeat_after_a_restart_is_answered_as_the_first_was(house: House) -> None:
    """The log remembers requests: a repeat that reaches the next daemon gets the first answer."""
    created = await house.ask(create(), request_id="once")
    added = await house.ask(add(), request_id="twice")
    await house.ask(delete(), request_id="third")
    await house.reopen()
    assert await house.ask(create(), request_id="once") == created
    assert await house.ask(add(), request_id="twice") == added
    assert len(topics(house)) == 5


async def test_a_request_id_stands_for_one_request(house: House) -> None:
    """The same request_id with another payload is REQUEST_ID_REUSED, also after a restart."""
    await house.ask(create(), request_id="once", digest="one")
    for _ in range(2):
        with pytest.raises(InvalidArgument) as e:
            await house.ask(create("other"), request_id="once", digest="two")
        assert (e.value.reason, e.value.field) == ("REQUEST_ID_REUSED", "request_id")
        await house.reopen()


async def test_a_request_id_is_forgotten_after_a_day(house: House) -> None:
    """After 24 hours, and once something else has happened, the same id is a new request."""
    await house.ask(create(), request_id="once")
    house.clock.forward(hours=23)
    await house.ask(create("second"))
    with pytest.raises(InvalidArgument):
        await house.ask(create("third"), request_id="once", digest="other")
    house.clock.forward(hours=2)
    await house.ask(create("third"))
    await house.ask(create("fourth"), request_id="once", digest="other")
    assert sorted(house.feed.state.vibespaces) == ["demo", "fourth", "second", "third"]


async def test_a_caller_who_leaves_changes_nothing(house: House) -> None:
    """A command whose caller was cancelled is done all the same."""
    task = asyncio.create_task(house.ask(create()))
    await asyncio.sleep(0)
    task.cancel()
    await house.ask(create("next"))
    assert sorted(house.feed.state.vibespaces) == ["demo", "next"]


async def test_closing_commits_what_has_queued_and_refuses_what_comes(house: House) -> None:
    """At the end every command that was taken is done, and later ones are told that the daemon is stopping."""
    task = asyncio.create_task(house.ask(create()))
    await asyncio.sleep(0)
    await house.writer.close()
    assert await task
    with pytest.raises(Unavailable) as e:
        await house.ask(create("late"))
    assert e.value.reason == "STOPPING"


def allow(house: House, more: int) -> None:
    """The file may grow by so many pages."""
    # Of the pool's connections the last one returned is the next one used: nobody else writes.
    with house.log._recorder.datastore.get_connection(commit=True) as connection:
        pages = connection._sqlite_conn.execute("PRAGMA page_count").fetchone()[0]
        connection._sqlite_conn.execute(f"PRAGMA max_page_count={pages + more}")


async def fill(house: House) -> list[Error]:
    """Create vibespaces, ten at a time, until the file may not grow; the refusals of the batch that failed."""
    allow(house, 2)
    round_ = 0
    while True:
        outcomes = await house.together(
            *((create(f"v{round_}-{n}"), Request("local", f"{round_}-{n}", "d")) for n in range(10))
        )
        if refusals := [outcome for outcome in outcomes if isinstance(outcome, Error)]:
            assert len(refusals) == 10
            return refusals
        round_ += 1


async def test_a_full_disk_refuses_the_whole_batch_and_leaves_the_state_right(house: House) -> None:
    """Exhausted for everyone in the batch; state and log are as before it; with room again work goes on."""
    refusals = await fill(house)
    assert {(type(error), error.reason) for error in refusals} == {(Exhausted, "DISK_FULL")}
    assert plain(house.feed.state) == plain(house.log.fold())
    known = len(house.feed.state.vibespaces)
    allow(house, 10_000)
    await house.ask(create("again"))
    assert len(house.feed.state.vibespaces) == known + 1
    assert plain(house.feed.state) == plain(house.log.fold())
    await house.reopen()


async def test_what_makes_room_is_decided_without_any(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk is full a deletion is done and a creation refused, one by one, and repeats of neither get lost."""
    await house.ask(create())
    monkeypatch.setattr(house.log.reserve, "has_room", lambda: False)
    refused, done = await asyncio.gather(
        house.ask(create("no"), request_id="a"), house.ask(delete()), return_exceptions=True
    )
    assert isinstance(refused, Exhausted)
    assert isinstance(done, Outcome)
    assert topics(house)[-1] == "vibespace.deletion_requested"
    monkeypatch.undo()
    assert isinstance(await house.ask(create("no"), request_id="a"), Outcome)


async def test_what_makes_room_is_decided_where_the_disk_is_found_to_be_full(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the room that is given back then; the rest of its batch is refused."""
    await house.ask(create())
    await fill(house)
    reserve = house.log.reserve
    reserve.short = False

    def give_back() -> None:
        allow(house, 10_000)
        reserve.short = True

    monkeypatch.setattr(reserve, "give_back", give_back)
    monkeypatch.setattr(reserve, "has_room", lambda: not reserve.short)
    outcomes = await house.together(
        *((create(f"no-{n}"), Request("local", f"no-{n}", "d")) for n in range(10)), (delete(), Request("local"))
    )
    assert [type(outcome) for outcome in outcomes] == [Exhausted] * 10 + [Outcome]
    assert plain(house.feed.state) == plain(house.log.fold())


FAILING_COMMIT = """
import asyncio, sys
from pathlib import Path
from tests.app.house import House, create
from eventsourcing.sqlite import SQLiteConnection
from sqlite3 import OperationalError

async def main() -> None:
    house = House(Path(sys.argv[1]))
    await house.open()
    await house.ask(create())
    def commit(self):
        raise OperationalError("disk I/O error")
    SQLiteConnection.commit = commit
    try:
        await house.ask(create("lost"))
    finally:
        print("answered")

asyncio.run(main())
"""


async def test_a_failed_commit_ends_the_process(tmp_path: Path) -> None:
    """What is on disk is not known then: nobody is answered, and the process ends with 70."""
    log = str(tmp_path / "events.db")
    ended = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FAILING_COMMIT, log, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    said, _ = await ended.communicate()
    assert (ended.returncode, said) == (70, b"")
    house = House(tmp_path / "events.db")
    await house.open()
    assert list(house.feed.state.vibespaces) == ["demo"]
    await house.close()


ANSWERING = """
import asyncio, os, sys
from pathlib import Path
from tests.app.house import House, create

async def main() -> None:
    house = House(Path(sys.argv[1]))
    await house.open()
    for n in range(5):
        await house.ask(create(f"v{n}"))
        os.write(1, b"answered\\n")
    await house.close()

asyncio.run(main())
"""


def test_the_write_is_on_disk_before_the_reply(tmp_path: Path) -> None:
    """Between two answers the log's WAL is written and then synced, in this order."""
    trace = tmp_path / "trace"
    tracer = ["strace", "-f", "-y", "-o", str(trace), "-e", "trace=write,pwrite64,fsync,fdatasync"]
    traced = [sys.executable, "-c", ANSWERING, str(tmp_path / "events.db")]
    subprocess.run([*tracer, *traced], check=True, stdout=subprocess.DEVNULL)
    calls = []
    for line in trace.read_text().splitlines():
        if "events.db-wal>" in line and "unfinished" not in line:
            calls.append("sync" if "sync(" in line else "write")
        elif "answered" in line:
            calls.append("answer")
    answers = [n for n, call in enumerate(calls) if call == "answer"]
    assert len(answers) == 5
    for start_, end in zip([0, *answers], answers, strict=False):
        between = [call for call in calls[start_:end] if call != "answer"]
        assert "write" in between
        assert between[-1] == "sync"
