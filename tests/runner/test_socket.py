"""Programs that serve a WebSocket: each message of theirs is kept, and what breaks is connected again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.runner.runners import MOST, Client, kill, output, private, program, serving, whole
from tests.runner.websockets import listen

ROOT = Path(__file__).parents[2]
IMPORT = "import os, signal, socket, sys\nfrom tests.runner.websockets import *\n"


def serve(client: Client, text: str) -> dict[str, Any]:
    """Start a program of that text."""
    return client.start(sys.executable, "-uc", IMPORT + text, env={"PYTHONPATH": str(ROOT)}, socket="s")


def kinds(client: Client) -> list[str]:
    return [kind for *_, kind, _ in client.records]


ECHO = """
server = listen()
while True:
    client = accept(server)
    try:
        while True:
            kind, data = heard(client)
            frame(client, TEXT, b'said ' + data)
    except EOFError:
        pass
"""


def test_a_message_is_a_line(home: Path) -> None:
    """In one frame or in pieces, with pings between them, empty, and with newlines of its own: one record each."""
    text = """
print('from the program')
client = accept(listen())
say(client, 'one')
frame(client, TEXT, b'tw', last=False)
frame(client, PING, b'are you there?')
assert heard(client) == (PONG, b'are you there?')
frame(client, 0, b'', last=False)
frame(client, PONG, b'unasked')
frame(client, 0, b'o')
say(client, '')
say(client, '{\\n}')
say(client, 'x' * 126)
say(client, 'x' * 70_000)
frame(client, TEXT, b'\\xff\\x00')
frame(client, CLOSE, b'\\x03\\xe8well')
assert heard(client) == (CLOSE, b'\\x03\\xe8')
"""
    with Client(home) as client:
        serve(client, text)
        assert client.exit(1) == {"code": 0}
        said = [data for *_, kind, data in client.records if kind == "stdout"]
        wanted = [b"one", b"two", b"", b"{\n}", b"x" * 126, b"x" * 70_000, b"\xff\0"]
        assert said == [each + b"\n" for each in wanted]
        assert output(client.records, "stderr") == b"from the program\n"
        assert json.loads(client.record("start"))["socket"] == "s"
        assert json.loads(client.record("disconnected")) == {"why": "closed with 1000 well"}
        assert whole(client.records)


def test_an_input_is_a_message(home: Path) -> None:
    """Without its newline, of any size; and once, as it is with pipes."""
    large = os.urandom(100_001).hex().encode()
    with Client(home) as client:
        serve(client, ECHO)
        client.record("connected")
        for number, data in enumerate((b"one", b"x" * 125, b"x" * 126, b"x" * 65_536, large)):
            assert client.ask({"do": "input", "input": f"{number}"}, data + b"\n")["state"] == "written"
            assert client.record("stdout", times=number + 1) == b"said " + data + b"\n"
        assert client.ask({"do": "input", "input": "0"}, b"one\n")["state"] == "repeated"


def test_it_waits_until_the_program_listens(home: Path) -> None:
    """Before, input is refused, and its id is free; an old socket, or one that is none, is not the end."""
    text = """
def without(answer):
    client = server.accept()[0]
    client.recv(4096)
    client.sendall(answer)
    client.close()

listen().close()
open(os.path.join(os.environ['HOME'], 'gate')).read()
server = listen()
without(b'')
without(b'HTTP/1.1 400 Bad Request\\r\\n\\r\\n')
without(b'HTTP/1.1 101 Switching Protocols\\r\\nSec-WebSocket-Accept: abc\\r\\n\\r\\n')
say(accept(server), 'now')
"""
    os.mkfifo(home / "gate")
    with Client(home) as client:
        serve(client, text)
        assert client.ask({"do": "input", "input": "early"}, b"no\n")["state"] == "refused"
        (home / "gate").write_text("go")
        client.record("stdout", b"now\n")
        assert kinds(client)[:3] == ["start", "connected", "stdout"]


def test_what_is_lost_is_connected_again(home: Path) -> None:
    """Cut without a word, or in mid-message: that it was is told, half a message is dropped, the next one comes."""
    text = """
server = listen()
first = accept(server)
say(first, 'first')
frame(first, TEXT, b'half' * 50_000, last=False)
first.close()
second = accept(server)
say(second, 'second')
while True:
    kind, data = heard(second)
    frame(second, kind, data)
"""
    with Client(home) as client:
        serve(client, text)
        client.record("stdout", b"second")
        assert kinds(client) == ["start", "connected", "stdout", "disconnected", "connected", "stdout"]
        assert client.ask({"do": "input", "input": "new"}, b"still there?\n")["state"] == "written"
        client.record("stdout", b"still there?\n")
    assert not list((home / ".vibespace/runner").glob("large-*"))


WICKED = {
    "reserved bits": ("client.sendall(b'\\xc1\\x01x')", 1002),
    "masked": ("client.sendall(b'\\x81\\x81abcdx')", 1002),
    "a rest of nothing": ("frame(client, 0, b'x')", 1002),
    "another message inside": ("frame(client, TEXT, b'x', last=False); say(client, 'y')", 1002),
    "an unknown kind": ("frame(client, 3, b'x')", 1002),
    "an unknown control": ("frame(client, 11, b'x')", 1002),
    "a ping in pieces": ("frame(client, PING, b'x', last=False)", 1002),
    "a long ping": ("frame(client, PING, b'x' * 126)", 1002),
    "no text": ("frame(client, BINARY, b'x')", 1003),
    "too much": ("client.sendall(b'\\x81\\x7f' + (1 << 30 | 1).to_bytes(8, 'big'))", 1009),
    "too much in pieces": (
        "frame(client, TEXT, b'x', last=False); client.sendall(b'\\x80\\x7f' + (1 << 30).to_bytes(8, 'big'))",
        1009,
    ),
    "no end of it": ("client.sendall(b'\\x81\\x7f' + b'\\xff' * 8)", 1009),
}


def test_what_no_server_may_say_ends_the_connection(home: Path) -> None:
    """With the code that the standard has for it; and the next one begins."""
    turns = "".join(f"client = accept(server)\n{said}\nprint(heard(client))\n" for said, _ in WICKED.values())
    with Client(home) as client:
        serve(client, f"server = listen()\n{turns}say(accept(server), 'well')\n")
        client.record("stdout", b"well\n")
        told = output(client.records, "stderr").decode().splitlines()
        assert told == [str((8, code.to_bytes(2))) for _, code in WICKED.values()]
        reasons = [json.loads(data)["why"] for *_, kind, data in client.records if kind == "disconnected"]
        assert reasons[: len(WICKED)] == [f"what came is refused with {code}" for _, code in WICKED.values()]


def test_all_is_heard_that_was_said_before_the_end(home: Path) -> None:
    """Said and exited at once: every message is kept, and the exit is the last record."""
    text = "client = accept(listen())\nfor number in range(2000): say(client, str(number))\nos._exit(3)\n"
    with Client(home) as client:
        serve(client, text)
        assert client.exit(1) == {"code": 3}
        assert output(client.records) == b"".join(b"%d\n" % number for number in range(2000))
        assert kinds(client)[-2:] == ["disconnected", "exit"]


@pytest.mark.parametrize("text", ["signal.pause()", "server = listen()\nclient = accept(server)\nsignal.pause()"])
def test_it_is_ended(home: Path, text: str) -> None:
    """Whether it ever listened or not."""
    with Client(home) as client:
        serve(client, text)
        if "accept" in text:
            client.record("connected")
        client.ask({"do": "end"})
        assert client.exit(1) == {"signal": 9}


@pytest.mark.parametrize("path", ["a\0b", "\ud800", "x" * 108])
def test_where_no_socket_can_be_nothing_is_started(home: Path, path: str) -> None:
    """It is told, instead of trying for ever; the next one starts."""
    with Client(home) as client:
        assert "error" in client.start("true", socket=path)
    with Client(home) as again:
        assert serve(again, ECHO)["epoch"] == 1
        again.record("connected")


def test_close_asks_it_to_end_and_hears_the_rest(home: Path) -> None:
    """By SIGTERM; nothing more is taken for it."""
    text = """
client = accept(listen())
def leave(*_):
    say(client, 'I leave')
    heard(client)
signal.signal(signal.SIGTERM, leave)
say(client, 'here')
signal.pause()
"""
    with Client(home) as client:
        serve(client, text)
        client.record("stdout", b"here\n")
        client.ask({"do": "close"})
        client.record("stdout", b"I leave\n")
        assert client.ask({"do": "input", "input": "late"}, b"x\n")["state"] == "refused"
        client.ask({"do": "close"})
        client.ask({"do": "end"})
        assert client.exit(1) == {"signal": 9}
        assert serve(client, ECHO)["started"]


def test_who_else_serves_there_is_told_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that ends because its place is taken has ended; what has the place is none of ours."""
    monkeypatch.setenv("HOME", str(home))
    os.mkfifo(home / "gate")
    with listen() as server, Client(home) as client:
        serve(client, "open(os.path.join(os.environ['HOME'], 'gate')).read(); sys.exit(1)")
        for _ in range(2):  # and it is looked again whether the place is the program's by now
            with server.accept()[0] as visitor:
                assert visitor.recv(1) == b""
        assert client.ask({"do": "input", "input": "one"}, b"x\n")["state"] == "refused"
        (home / "gate").write_text("go")
        assert client.exit(1) == {"code": 1}
    assert "connected" not in kinds(client)


def test_a_runner_that_is_killed_connects_to_the_next_program(home: Path) -> None:
    """With it goes the program; the next is started as any."""
    with Client(home) as client:
        serve(client, ECHO)
        client.record("connected")
        kill(*serving(home))
    with Client(home) as again:
        assert again.exit(1) == {"lost": True}
        serve(again, ECHO)
        again.record("connected", times=2)
        assert again.ask({"do": "input", "input": "one"}, b"x\n")["state"] == "written"
        again.record("stdout", b"said x\n")


@pytest.mark.parametrize(("said", "kept"), [(50_000_000, 50_000_000), (80_000_000, 63 << 20)])
def test_a_long_message(home: Path, said: int, kept: int) -> None:
    """It is kept in a file of its own, and takes no memory; of a longer one there is the beginning, and all goes on."""
    text = f"client = accept(listen())\nsay(client, 'a' * {said})\nsay(client, 'next')\nheard(client)\n"
    with Client(home) as client:
        serve(client, text)
        client.record("stdout", b"next\n")
        lines = [data for *_, kind, data in client.records if kind == "stdout"]
        assert [len(line) for line in lines] == [kept + 1, 5]
        assert [kind for *_, kind, _ in client.records].count("connected") == 1
        assert private(home) <= MOST


def test_all_its_doors_at_once_take_little_memory(home: Path) -> None:
    """A socket that says much, a transcript that grows, hooks that wait and six attachments: at most 12 MB."""
    text = """
client = accept(listen())
for number in range(5000): say(client, 'x' * 100)
for number in range(5): say(client, 'y' * 1_000_000)
say(client, 'end')
while True: heard(client)
"""
    (home / "transcript").write_bytes(b"z" * 10_000_000 + b"\n" + (b"z" * 1000 + b"\n") * 5_000 + b"end\n")
    waiting = []
    with Client(home) as client:
        client.hello()
        for _ in range(10):
            words = (sys.executable, "-I", "-S", str(program(home)), "hook")
            waiting.append(subprocess.Popen(words, stdin=subprocess.PIPE, env={"HOME": str(home)}))
            pipe = waiting[-1].stdin
            assert pipe
            pipe.write(b'{"hook_event_name": "PermissionRequest"}')
            pipe.close()
        client.ask({"do": "tail", "path": "transcript"})
        serve(client, text)
        client.record("hook", times=10)
        others = [Client(home) for _ in range(5)]
        for each in (client, *others):
            each.record("stdout", b"end\n")
            each.record("transcript", b"end\n")
        for name in ("one", "two", "three"):
            assert client.ask({"do": "input", "input": name}, b"x" * 10_000_000)["state"] == "written"
        client.ask({"do": "trim", "to": [0, 0]})
        assert private(home) <= MOST
        for each in others:
            each.cut()
        for name in [json.loads(data)["request_id"] for *_, kind, data in client.records if kind == "hook"]:
            assert client.ask({"do": "answer", "request": name}, b"")["state"] == "given"
        assert [process.wait() for process in waiting] == [0] * 10
