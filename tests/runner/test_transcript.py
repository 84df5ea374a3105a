"""A transcript that grows beside the program: each whole line once, whatever is killed."""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.runner.runners import MOST, Client, kill, output, private, serving, whole
from vibespace.runner.journal import PIECE

NAME = "notes/c-1.jsonl"


def transcript(home: Path, name: str = NAME) -> Path:
    path = home / name
    path.parent.mkdir(exist_ok=True)
    return path


def tail(client: Client, name: str = NAME) -> None:
    assert client.ask({"do": "tail", "path": name}) == {"reply": "tail"}


def marks(client: Client) -> list[tuple[str, int]]:
    told = [json.loads(data) for *_, kind, data in client.records if kind == "mark"]
    return [(mark["path"], mark["at"]) for mark in told]


def test_whole_lines_come_as_they_are_written(home: Path) -> None:
    """Those that are there, those that come, and a half one when it is whole; byte for byte."""
    path = transcript(home)
    path.write_bytes(b"first\n\xff\0\n")
    with Client(home) as client:
        client.python("import sys; sys.stdin.read()")
        tail(client)
        client.record("transcript", b"\xff")
        with path.open("ab", buffering=0) as file:
            file.write(b"\nhal")
            client.record("transcript", b"\n")
            file.write(b"f")
            file.write(b" one\nand")
            assert client.record("transcript", b"hal") == b"half one\n"
        assert output(client.records, "transcript") == b"first\n\xff\0\n\nhalf one\n"
        assert marks(client) == [(NAME, 0)]
        assert whole(client.records)


def test_a_file_may_come_later(home: Path) -> None:
    """With its directory, and where first was something that is no file."""
    with Client(home) as client:
        tail(client)
        os.mkfifo(transcript(home))
        transcript(home, "notes/new").write_bytes(b"at last\n")
        (home / "notes/new").rename(home / NAME)
        client.record("transcript", b"at last\n")


def test_it_is_of_no_program(home: Path) -> None:
    """Lines come before the first program and after an exit, and a runner that is killed then has lost no program."""
    path = transcript(home)
    path.write_bytes(b"before\n")
    with Client(home) as client:
        tail(client)
        client.record("transcript", b"before\n")
        assert client.python("pass")["epoch"] == 1
        client.exit(1)
        with path.open("ab") as file:
            file.write(b"after\n")
        client.record("transcript", b"after\n")
        kill(*serving(home))
    with Client(home) as again, path.open("ab", buffering=0) as file:
        file.write(b"again\n")
        again.record("transcript", b"again\n")
        assert [each for each in again.records if each[2] == "exit"] == [
            each for each in client.records if each[2] == "exit"
        ]
        assert [(epoch, data) for epoch, _, kind, data in again.records if kind == "transcript"] == [
            (0, b"before\n"),
            (1, b"after\n"),
            (1, b"again\n"),
        ]
        assert whole(again.records)


def test_what_is_written_when_nobody_hears_it_comes_before_the_end(home: Path) -> None:
    """So that it is told of the program's life that wrote it."""
    path = transcript(home)
    with Client(home) as client:
        tail(client)
        client.python("import time; time.sleep(1000)")
        kill(*serving(home))
    path.write_bytes(b"late\n")
    with Client(home) as again:
        assert again.exit(1) == {"lost": True}
        assert [kind for *_, kind, _ in again.records][-2:] == ["transcript", "exit"]


def test_each_line_comes_once_whoever_is_killed(home: Path) -> None:
    """The runner dies at any moment, and the next one goes on without being told where."""
    chance = random.Random(3)
    path, stop = transcript(home), threading.Event()

    def write() -> None:
        number = 0
        with path.open("ab", buffering=0) as file:
            while not stop.wait(0.002):
                file.write(b"%d %s\n" % (number, b"x" * chance.choice((1, 100, 70_000))))
                number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with Client(home) as client:
            tail(client)
        for number in range(6):
            with Client(home) as client:
                if number % 2:
                    client.python("number = 0\nwhile True: print(number); number += 1")
                for _ in range(chance.randrange(1, 2000)):
                    client.frame()
                kill(*serving(home))
    finally:
        stop.set()
        writer.join()
    written = path.read_bytes()
    with Client(home) as client:
        client.record("transcript", written.splitlines()[-1])
        assert output(client.records, "transcript") == written
        assert whole(client.records)


@pytest.mark.parametrize(
    ("content", "state"),
    [
        (b"", "without"),
        (b"wor\nds\n", "without"),
        (b"x" * (PIECE - 2) + b"words\n", "found"),
        (b"\xff words " + b"x" * PIECE + b"\n", "found"),
        (b"\nwords", "without"),
    ],
    ids=["empty", "without", "across pieces", "in a long line", "in half a line"],
)
def test_what_is_in_it_is_told(home: Path, content: bytes, state: str) -> None:
    """Or not, or that there is none."""
    asked = {"do": "tail", "path": NAME, "find": "words"}
    with Client(home) as client:
        assert client.ask(asked) == {"reply": "tail", "state": "missing"}
        transcript(home).write_bytes(content)
        assert client.ask(asked) == {"reply": "tail", "state": state}


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, endless])
def test_what_is_no_such_file_has_nothing_in_it(home: Path, make: Callable[[Path], None]) -> None:
    """Nor has what nobody reads to its end."""
    make(transcript(home))
    with Client(home) as client:
        assert client.ask({"do": "tail", "path": NAME, "find": "words"}) == {"reply": "tail", "state": "without"}


def test_another_conversation_and_back(home: Path) -> None:
    """Lines of one before the runner come no more; back at the first, those that came meanwhile, and none again."""
    one, two = transcript(home), transcript(home, "notes/c-2.jsonl")
    one.write_bytes(b"one\n")
    two.write_bytes(b"two\n")
    with Client(home) as client:
        tail(client)
        client.record("transcript", b"one\n")
        tail(client, "notes/c-2.jsonl")
        client.record("transcript", b"two\n")
        kill(*serving(home))
    with Client(home) as client:
        with one.open("ab") as file:
            file.write(b"meanwhile\n")
        with two.open("ab") as file:
            file.write(b"here\n")
        client.record("transcript", b"here\n")
        tail(client)
        tail(client)
        client.record("transcript", b"meanwhile\n")
        assert output(client.records, "transcript") == b"one\ntwo\nhere\nmeanwhile\n"
        assert marks(client) == [(NAME, 0), ("notes/c-2.jsonl", 0), (NAME, 4)]


def test_what_comes_late_into_the_one_before(home: Path) -> None:
    """A program writes a moment after it has said so, and may be in another by then; half a line waits for the rest."""
    one, two = transcript(home), transcript(home, "notes/c-2.jsonl")
    one.write_bytes(b"one\n")
    with Client(home) as client:
        tail(client)
        tail(client, "notes/c-2.jsonl")
        for late, line in ((b"late\nha", b"late\n"), (b"lf\n", b"half\n")):
            with one.open("ab", buffering=0) as before, two.open("ab", buffering=0) as now:
                before.write(late)
                client.record("transcript", line)
                now.write(b"after " + line)
                client.record("transcript", b"after " + line)
        assert output(client.records, "transcript") == b"one\nlate\nafter late\nhalf\nafter half\n"
        assert whole(client.records)


def test_what_is_written_when_it_is_named_is_of_the_life_before(home: Path) -> None:
    """A program that is started next has not written it; that is so of a transcript that is named again, too."""
    one, two = transcript(home), transcript(home, "notes/c-2.jsonl")
    one.write_bytes(b"one\n")
    with Client(home) as client:
        tail(client)
        client.python("pass")
        client.exit(1)
        one.write_bytes(b"one\nmore\n")
        tail(client)
        client.python("pass")
        client.exit(2)
        two.write_bytes(b"two\n")
        tail(client, "notes/c-2.jsonl")
        client.python("pass")
        client.exit(3)
        assert [(epoch, data) for epoch, _, kind, data in client.records if kind == "transcript"] == [
            (0, b"one\n"),
            (1, b"more\n"),
            (2, b"two\n"),
        ]


def test_another_file_in_its_place_is_read_from_its_beginning(home: Path) -> None:
    """One that became shorter, too; it is told that it begins again."""
    path = transcript(home)
    path.write_bytes(b"one\ntwo\n")
    with Client(home) as client:
        tail(client)
        client.record("transcript", b"two\n")
        path.write_bytes(b"cut\n")
        client.record("transcript", b"cut\n")
        transcript(home, "notes/new").write_bytes(b"another\none\n")
        (home / "notes/new").rename(path)
        client.record("transcript", b"one\n", times=2)
        assert output(client.records, "transcript") == b"one\ntwo\ncut\nanother\none\n"
        assert marks(client) == [(NAME, 0), (NAME, 0), (NAME, 0)]


def test_where_it_was_outlives_a_trim(home: Path) -> None:
    """Everything that could be trimmed is, and the runner is killed: the next one knows from its last segment."""
    path = transcript(home)
    with Client(home) as client:
        for part in ("program", "runner"):
            tail(client)
            lines = b"".join(b"%s %d %s\n" % (part.encode(), number, b"x" * 1000) for number in range(9_000))
            with path.open("ab") as file:
                file.write(lines)
            client.record("transcript", lines.splitlines()[-1])
            assert client.ask({"do": "trim", "to": [9, 9]})["removed"] >= 1
            if part == "program":
                client.python("pass")
                client.exit(1)
    kill(*serving(home))
    with Client(home) as again, path.open("ab") as file:
        file.write(b"last\n")
        file.flush()
        again.record("transcript", b"last\n")
        first, *_ = again.records
        assert again.records[:-1] == [each for each in client.records if each[:2] >= first[:2]]


def test_a_long_line_becomes_a_segment_that_knows_where(home: Path) -> None:
    """Fifty megabytes come whole, take no memory, and after a trim and a kill nothing comes again."""
    path = transcript(home)
    with Client(home) as client:
        client.python("import sys; sys.stdin.read()")
        tail(client)
        with path.open("ab", buffering=0) as file:
            for _ in range(5):
                file.write(b"a" * 10_000_000)
            file.write(b"\nnext\n")
            client.record("transcript", b"next")
            lines = [data for *_, kind, data in client.records if kind == "transcript"]
            assert [len(line) for line in lines] == [50_000_001, 5]
            assert private(home) <= MOST
            file.write(b"b" * 5_000_000 + b"\n")
            client.record("transcript", b"b")
            assert client.ask({"do": "trim", "to": [9, 9]})["removed"] >= 1
            kill(*serving(home))
            file.write(b"last\n")
    with Client(home) as again:
        again.record("transcript", b"last\n")
        assert [data[:4] for *_, kind, data in again.records if kind == "transcript"] == [b"bbbb", b"last"]
