"""The process: what it does with odd descriptors, closed pipes and full disks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.daemon import Daemon
from tests.cli.daemon import vibespace as made
from tests.cli.process import LINE, environment, start
from vibespace.v1.events_pb2 import Event, StreamEventsResponse
from vibespace.v1.vibespaces_pb2 import ListVibespacesResponse


@pytest.fixture(autouse=True)
def _one(daemon: Daemon) -> None:
    daemon.answers["VibespaceService/ListVibespaces"] = lambda _: ListVibespacesResponse(vibespaces=[made("demo")])


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_descriptors_are_as_good_as_dev_null(closed: str) -> None:
    """A script may close any of the three; no socket of ours takes its number."""
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" "$@" {closed}', *LINE, "list"], env=environment(), capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("line", [["list"], ["list", "--plain"], ["info", "demo"]])
def test_a_full_disk_is_one_sentence(daemon: Daemon, line: list[str]) -> None:
    """An answer that cannot be written is not taken for one that was."""
    daemon.answers["VibespaceService/GetVibespace"] = lambda _: 1 / 0
    with open("/dev/full", "w") as full:
        process = start(*line, stdout=full)
        _, err = process.communicate()
    assert process.returncode == 15
    assert err == b"vibespace: The answer could not be written: No space left on device.\n"


@pytest.mark.parametrize("closed", ["2>&-", "2>/dev/full"])
def test_a_command_ends_as_it_does_also_unheard(closed: str) -> None:
    """What is said on stderr is beside the answer: the exit code is that of the refusal."""
    command = ["sh", "-c", f'exec "$0" "$@" {closed}', *LINE, "list", "--nope"]
    done = subprocess.run(command, env=environment(), capture_output=True)
    assert (done.returncode, json.loads(done.stdout)["success"]) == (2, False)


def test_a_pipe_that_closes_early_is_quiet(daemon: Daemon) -> None:
    """`vibespace events | head -1` says nothing and ends with 0."""

    def answer(_: Any) -> Iterator[StreamEventsResponse]:
        while True:
            yield StreamEventsResponse(events=[Event(type="agent.created", data="{}")] * 500)

    daemon.answers["EventService/StreamEvents"] = answer
    process = start("events", "--follow")
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline()
    process.stdout.close()
    assert (process.wait(), process.stderr.read()) == (0, b"")


@pytest.mark.parametrize(("kind", "seen"), [("KeyboardInterrupt", False), ("ValueError", True)])
def test_an_interrupt_is_quiet_where_it_cannot_be_raised(kind: str, seen: bool) -> None:
    """As in a generator that is closed by nobody: what is no interrupt is still told."""
    program = f"""
import vibespace_cli.main
def opened():
    try:
        yield
    finally:
        raise {kind}
generator = opened()
next(generator)
del generator
"""
    done = subprocess.run([sys.executable, "-c", program], env=environment(), stderr=subprocess.PIPE, check=True)
    assert (kind.encode() in done.stderr, bool(done.stderr)) == (seen, seen)
