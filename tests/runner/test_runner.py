"""The runner as a real process, with small programs: whatever is cut, what it kept is whole, and input is said once."""

from __future__ import annotations

import fcntl
import os
import random
import resource
import select
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.runner.runners import MOST, Client, Record, kill, output, private, serving, until, whole

ECHO = "import sys\nfor line in sys.stdin.buffer: sys.stdout.buffer.write(b'said ' + line); sys.stdout.flush()"


def replay(home: Path, epoch: int) -> list[Record]:
    with Client(home) as client:
        client.exit(epoch)
        return client.records


def test_what_a_program_says_is_kept_byte_for_byte(home: Path) -> None:
    """Invalid UTF-8, NUL, carriage returns, empty and half lines come as they were written."""
    hostile = b'\xff\xfe\0\r\n\n\xed\xa0\x80 {"record": 1}\n' + bytes(range(256)) + b"half"
    with Client(home) as client:
        client.python(f"import os; os.write(1, {hostile!r}); os.write(2, b'no newline')")
        assert client.exit(1) == {"code": 0}
        assert output(client.records) == hostile
        assert output(client.records, "stderr") == b"no newline"
        assert whole(client.records)
        assert client.records == replay(home, 1)


def test_attach_after_gives_what_follows(home: Path) -> None:
    """--after EPOCH SEQ is the tail of what a whole replay is."""
    with Client(home) as client:
        client.python("for number in range(100): print(number)")
        client.exit(1)
    with Client(home, (1, 40)) as again:
        again.exit(1)
        assert again.records == client.records[40:]


def test_a_cut_attachment_loses_nothing(home: Path) -> None:
    """Cut anywhere and attached after what came: together it is the uncut transcript."""
    chance = random.Random(7)
    got: list[Record] = []
    with Client(home) as client:
        client.python("for number in range(20000): print(number)")
    while not got or got[-1][2] != "exit":
        with Client(home, got[-1][:2] if got else (0, 0)) as client:
            for _ in range(chance.randrange(1, 6000)):
                if not client.frame() or (client.records and client.records[-1][2] == "exit"):
                    break
            got += client.records
    assert got == replay(home, 1)
    assert output(got) == b"".join(b"%d\n" % number for number in range(20000))


def test_a_killed_runner_keeps_what_was_seen(home: Path) -> None:
    """kill -9 anywhere: what was seen is in the replay, the epoch ends as lost, and the next one is higher."""
    chance = random.Random(11)
    seen: list[Record] = []
    for epoch in range(1, 6):
        with Client(home, seen[-1][:2] if seen else (0, 0)) as client:
            assert client.python("number = 0\nwhile True: print(number); number += 1")["epoch"] == epoch
            for _ in range(chance.randrange(1, 3000)):
                client.frame()
            kill(*serving(home))
            while client.frame():
                pass
            seen += client.records
    records = replay(home, 5)
    assert whole(records)
    assert set(seen) <= set(records)
    assert [data for *_, kind, data in records if kind == "exit"] == [b'{"lost": true}'] * 5


def test_a_torn_record_is_cut(home: Path) -> None:
    """What a crash left half written at the end is as if it had not been; what was before is whole."""
    with Client(home) as client:
        client.python("print('kept')")
        client.exit(1)
    kill(*serving(home))
    segment = max(path for path in (home / ".vibespace/runner").iterdir() if path.name[0] == "0")
    size = segment.stat().st_size
    for torn in (segment.read_bytes()[:30], b"\x02" + bytes(20), bytes(4096)):
        with segment.open("ab") as file:
            file.write(torn)
        assert replay(home, 1) == client.records
        assert segment.stat().st_size == size
        kill(*serving(home))


def test_an_input_is_written_once(home: Path) -> None:
    """The same id is not written again: not by another attachment, nor by a runner that was killed in between."""
    with Client(home) as client:
        assert client.ask({"do": "input", "input": "early"}, b"no\n")["state"] == "refused"
        client.python(ECHO)
        assert client.ask({"do": "input", "input": "one"}, b"hello\n")["state"] == "written"
        client.said(b"said hello\n")
    with Client(home) as other:
        assert other.ask({"do": "input", "input": "one"}, b"hello\n")["state"] == "repeated"
        kill(*serving(home))
    with Client(home) as last:
        last.python(ECHO)
        assert last.ask({"do": "input", "input": "one"}, b"hello\n")["state"] == "repeated"
        assert last.ask({"do": "input", "input": "two"}, b"bye\n")["state"] == "written"
        last.said(b"said bye\n")
        last.ask({"do": "close"})
        assert last.exit(2) == {"code": 0}
        assert output(last.records) == b"said hello\nsaid bye\n"
        assert output(last.records, "input") == b"one\nhello\ntwo\nbye\n"


def test_an_input_that_was_cut_short_is_uncertain(home: Path) -> None:
    """Begun and not finished when the runner was killed: it is said so, and never written again."""
    with Client(home) as client:
        client.start("sleep", "infinity")
        client.send({"do": "input", "input": "big"}, bytes(1 << 20))
        client.until(lambda head, _: head.get("record") == "input")
        kill(*serving(home))
    with Client(home) as again:
        again.python(ECHO)
        assert again.ask({"do": "input", "input": "big"}, b"x\n")["state"] == "uncertain"


def test_an_input_is_forgotten_when_it_is_in_the_log(home: Path) -> None:
    """The ids of what was trimmed are gone, so that they do not grow; those that were not stay, and uncertain ones."""
    folder = home / ".vibespace/runner"
    with Client(home) as client:
        client.start("sleep", "infinity")
        client.send({"do": "input", "input": "cut"}, bytes(1 << 20))
        client.record("input", b"cut")
        kill(*serving(home))
    with Client(home) as client:
        client.python("import sys\nfor line in sys.stdin: sys.stdout.write(line)")
        for number in range(200):
            client.ask({"do": "input", "input": f"old-{number}"}, b"x" * 30_000 + b"\n")
        client.record("stdout", times=200)
        client.python("pass")
        client.ask({"do": "input", "input": "new"}, b"x\n")
        client.record("stdout", b"x\n")
        assert client.ask({"do": "trim", "to": [9, 9]})["removed"] >= 1
        kept = (folder / "taken").read_text()
        assert kept.startswith("begun cut\n")
        assert "old-0\n" not in kept
        assert client.ask({"do": "input", "input": "new"}, b"x\n")["state"] == "repeated"
        assert client.ask({"do": "input", "input": "cut"}, b"x\n")["state"] == "uncertain"
        assert client.ask({"do": "input", "input": "old-0"}, b"again\n")["state"] == "written"
        kill(*serving(home))
    with Client(home) as again:
        assert again.ask({"do": "input", "input": "old-0"}, b"again\n")["state"] == "repeated"
        assert again.ask({"do": "input", "input": "new"}, b"again\n")["state"] == "repeated"


def pids(client: Client, text: str) -> tuple[int, list[int]]:
    """The program's own id, and those it has started."""
    client.python(text)
    own, *others = map(int, client.until(lambda head, _: head.get("record") == "stdout")[1].split())
    return own, others


FAMILY = """
import os, subprocess, time
word = ['sleep', 'infinity']
plain, away = subprocess.Popen(word), subprocess.Popen(word, start_new_session=True)
bare = subprocess.Popen(word, env={})
print(os.getpid(), plain.pid, away.pid, bare.pid)
plain.wait()
"""


@pytest.mark.parametrize("whom", ["program", "runner"])
def test_nothing_that_a_dead_program_started_lives_on(home: Path, whom: str) -> None:
    """Its group, its daemons in sessions of their own, and those without its environment end with it."""
    with Client(home) as client:
        own, others = pids(client, FAMILY)
        handles = [os.pidfd_open(pid) for pid in (own, *others)]
        kill(own if whom == "program" else serving(home)[0])
    with Client(home) as again:
        assert again.exit(1) == ({"signal": signal.SIGKILL} if whom == "program" else {"lost": True})
        for number in handles:
            assert select.select([number], [], [], 60)[0]
            os.close(number)


def test_twenty_at_once_start_one(home: Path) -> None:
    """Twenty that attach at once are served by one process, and start one program."""
    with ThreadPoolExecutor(20) as pool:
        clients = list(pool.map(lambda _: Client(home), range(20)))
        replies = list(pool.map(lambda client: client.start("sleep", "infinity"), clients))
        assert sorted(reply["started"] for reply in replies) == [False] * 19 + [True]
        assert len(serving(home)) == 1
        for client in clients:
            client.cut()


def test_former_builds_go(home: Path) -> None:
    """Nothing that lives names one when a runner begins, unless there is another in the same home."""
    place = home / ".vibespace"
    (place / "other").mkdir(parents=True)
    former = {place / "runner-1", place / "runner-1.12"}
    for path in former:
        path.touch()
    with open(place / "other" / "lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with Client(home) as client:
            client.hello()
    assert former < set(place.iterdir())
    kill(*serving(home))
    with Client(home) as client:
        client.hello()
    assert set(place.iterdir()) == {place / "other", place / "runner"}


def test_a_start_changes_nothing_under_what_runs(home: Path) -> None:
    """Files are for the program that is started with them."""
    asked = {"do": "start", "argv": ["sleep", "infinity"], "env": {}, "cwd": "/"}
    with Client(home) as client:
        replies = [client.ask({**asked, "files": {"set": text}, "beyond": 7}) for text in ("one", "two")]
        assert [(reply["epoch"], reply["started"]) for reply in replies] == [(8, True), (8, False)]
        assert (home / "set").read_text() == "one"


def test_a_start_that_is_cut_starts_one_all_the_same(home: Path) -> None:
    """The attachment that started the runner is killed before it listens: it listens, and serves the next one."""
    first = Client(home)
    until(lambda: bool(serving(home)))
    first.cut()
    with Client(home) as client:
        assert client.python("pass")["epoch"] == 1
        assert len(serving(home)) == 1


def peak(home: Path) -> int:
    text = Path(f"/proc/{serving(home)[0]}/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmHWM"))


def test_a_line_of_fifty_megabytes(home: Path) -> None:
    """It is kept whole, neither it nor many readers take memory, and it holds nobody's other lines."""
    with Client(home) as client:
        client.python("import sys; sys.stdout.write('a' * 50_000_000 + '\\nnext\\n')")
        assert client.exit(1) == {"code": 0}
        before = peak(home)
        lines = [data for *_, kind, data in client.records if kind == "stdout"]
        assert [len(line) for line in lines] == [50_000_001, 5]
        assert lines[0].count(b"a") == 50_000_000
        assert private(home) <= MOST
        assert before <= 3 * MOST


def test_twenty_readers_take_little_memory(home: Path) -> None:
    """With a program that has said much and twenty attachments it is at most 12 MB."""
    with Client(home) as client:
        client.python("import sys\nfor number in range(50000): print('x' * 100)\nsys.stdin.read()\n")
        others = [Client(home) for _ in range(19)]
        for other in (client, *others):
            while len(other.records) < 50001:
                other.frame()
        found = private(home)
        assert found <= MOST
        for other in others:
            other.cut()


def test_a_slow_reader_holds_nobody(home: Path) -> None:
    """One that does not read keeps neither the program nor another reader."""
    with Client(home), Client(home) as quick:
        quick.python("for number in range(100000): print('x' * 100)")
        assert quick.exit(1) == {"code": 0}
        assert len(quick.records) == 100002


def test_trim_removes_what_the_log_has(home: Path) -> None:
    """Segments before that are gone, what follows stays, and the epoch rises although all could be trimmed."""
    folder = home / ".vibespace/runner"
    with Client(home) as client:
        client.python("for number in range(100000): print('x' * 100)")
        client.exit(1)
        before = sorted(path.name for path in folder.glob("0*"))
        middle = client.records[len(client.records) // 2][:2]
        assert client.ask({"do": "trim", "to": middle})["removed"] >= 1
        assert client.ask({"do": "trim", "to": [9, 9]})["removed"] >= 1
        assert sorted(path.name for path in folder.glob("0*")) == before[-1:]
        kill(*serving(home))
    with Client(home) as again:
        first = again.until(lambda head, _: "hello" in head)[0]["first"]
        again.exit(1)
        assert again.records == [record for record in client.records if record[:2] >= tuple(first)]
        assert again.python("pass")["epoch"] == 2


def test_a_full_volume_holds_the_program_and_drops_nothing(home: Path) -> None:
    """Who is attached is told; when there is room it goes on, and no line is missing."""
    with Client(home) as client:
        client.python("import sys\nsys.stdin.readline()\nfor number in range(30000): print(number)")
        pid = serving(home)[0]
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
        client.send({"do": "input", "input": "go"}, b"go\n")
        client.until(lambda head, _: head.get("full") is True)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert client.exit(1) == {"code": 0}
        assert client.told == [True, False]
        assert output(client.records) == b"".join(b"%d\n" % number for number in range(30000))


def test_a_program_is_started_when_there_is_room_for_its_files(home: Path) -> None:
    """Until then who is attached is told, and nothing of it is left half done."""
    with Client(home) as client:
        client.hello()
        pid = serving(home)[0]
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        cat = {"do": "start", "argv": ["cat", f"{home}/set"], "env": {}, "cwd": "/", "files": {"set": "text\n"}}
        client.send(cat)
        client.until(lambda head, _: head.get("full") is True)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert client.exit(1) == {"code": 0}
        assert (client.told, output(client.records)) == ([True, False], b"text\n")


def test_what_cannot_be_started_says_so(home: Path) -> None:
    """An unknown program ends with 127 and a line; the next one starts."""
    with Client(home) as client:
        client.start("/nowhere/at-all")
        assert client.exit(1) == {"code": 127}
        assert b"/nowhere/at-all" in output(client.records, "stderr")
        assert client.python("pass") == {"reply": "start", "epoch": 2, "started": True}


@pytest.mark.parametrize(
    "line",
    [
        b"not json\n",
        b"[]\n",
        b'{"do": "fly"}\n',
        b'{"do": "input", "length": 1e99}\n',
        b'{"do": "input", "length": 1e999}\n',
        b'{"do": "attach", "after": [1e999, 0]}\n',
        b'{"do": "tail", "path": ""}\n',
        b'{"do": "tail", "path": "a\\u0000b"}\n',
        b'{"do": "tail", "path": "\\ud800"}\n',
    ],
)
def test_a_bad_frame_ends_its_attachment_alone(home: Path, line: bytes) -> None:
    """It is told what was wrong; the program and the others do not notice."""
    with Client(home) as other, Client(home) as client:
        other.python(ECHO)
        assert client.process.stdin
        client.process.stdin.write(line)
        client.process.stdin.flush()
        assert client.until(lambda head, _: "error" in head)
        while client.frame():
            pass
        other.ask({"do": "input", "input": "still"}, b"here\n")
        other.said(b"said here\n")
