"""What a program runs for its hooks: what it is told is kept, and what asks waits for its answer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.runner.runners import SECONDS, Client, kill, program, serving
from vibespace.runner import hook as hooks
from vibespace.runner import places
from vibespace.runner.hooks import Hooks
from vibespace.runner.journal import Journal, segments, whole
from vibespace.runner.transcript import Transcript

ASKS = {"hook_event_name": "PermissionRequest", "tool_name": "Bash", "tool_input": {"command": "rm \u00e4\nb"}}
STOPS = {"hook_event_name": "Stop", "session_id": "c-1"}


def hook(home: Path, said: bytes | dict[str, Any]) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-I", "-S", str(program(home)), "hook"]
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={"HOME": str(home)}
    )
    assert process.stdin
    process.stdin.write(said if isinstance(said, bytes) else json.dumps(said, indent=1).encode())
    process.stdin.close()
    process.stdin = None
    return process


def over(process: subprocess.Popen[bytes]) -> tuple[int, bytes, bytes]:
    output, errors = process.communicate(timeout=SECONDS)
    return process.returncode, output, errors


def told(client: Client, times: int = 1) -> dict[str, Any]:
    line = client.record("hook", times=times)
    assert line.count(b"\n") == 1
    return dict(json.loads(line))


def test_what_a_hook_is_told_is_kept(home: Path) -> None:
    """As one line, with an id of its own; it prints nothing, and waits for nobody."""
    with Client(home) as client:
        client.hello()
        assert over(hook(home, STOPS)) == (0, b"", b"")
        first = told(client)
        assert {**first, "request_id": ""} == {**STOPS, "request_id": ""}
        assert over(hook(home, STOPS)) == (0, b"", b"")
        assert told(client, 2)["request_id"] != first["request_id"]


def test_a_conversation_that_begins_is_followed(home: Path) -> None:
    """Nobody has to be attached: its transcript is from then on the one that lines come of, after all of the former."""
    one, two = home / "one.jsonl", home / "two.jsonl"
    begins = {"hook_event_name": "SessionStart", "source": "clear", "transcript_path": f"{two}"}
    with Client(home) as client:
        client.hello()
        one.write_bytes(b"first\n")
        client.ask({"do": "tail", "path": one.name})
    one.write_bytes(b"first\nlast\n")
    assert over(hook(home, begins)) == (0, b"", b"")
    two.write_bytes(b"new\n")
    with Client(home) as client:
        client.record("transcript", b"new\n")
        lines = [(kind, data) for *_, kind, data in client.records if kind in ("hook", "transcript")]
        assert [data for kind, data in lines if kind == "transcript"] == [b"first\n", b"last\n", b"new\n"]
        assert [kind for kind, _ in lines] == ["transcript", "transcript", "hook", "transcript"]


def test_what_the_transcript_has_is_told_before_a_hook(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has looked at it since: the end of a turn is behind what was said in it."""
    monkeypatch.chdir(home)
    monkeypatch.setattr(places, "USER", f"{home}")
    journal = Journal()
    transcript = Transcript(journal)
    journal.tail("c-1.jsonl")
    (home / "c-1.jsonl").write_bytes(b"asked\nanswered\nhal")
    Hooks(journal, transcript).tell(b"over\n")
    with open(segments()[0], "rb") as file:
        kinds = [record[0] for record in iter(lambda: whole(file), None)]
    assert kinds == ["mark", "transcript", "transcript", "hook"]


class Writing:
    """A clock, by which a line of a transcript is written each time that somebody sleeps."""

    def __init__(self, path: Path, *lines: dict[str, Any]) -> None:
        self.now = 0.0
        self.path = path
        self.left = list(lines)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.left:
            with self.path.open("a") as file:
                file.write(json.dumps(self.left.pop(0), ensure_ascii=False, separators=(",", ":")) + "\n")


def stops(path: Path | str, turn: str, words: str) -> dict[str, Any]:
    return {**STOPS, "transcript_path": f"{path}", "prompt_id": turn, "last_assistant_message": words}


def test_the_end_of_a_turn_waits_for_what_was_said_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program may write that after it has begun the hook; the same was said in the turn before."""
    words = 'd\u00f6ne "it"\n\u2028 \U0001f680\t\x1b[1m '
    answer = {"type": "assistant", "message": {"content": [{"type": "text", "text": words}]}}
    asked = [{"promptId": turn, "type": "user", "message": {"content": words}} for turn in ("p-1", "p-2")]
    result = {"promptId": "p-2", "type": "user", "message": {"content": [{"type": "tool_result"}]}}
    time = Writing(tmp_path / "c-1.jsonl", asked[0], answer, asked[1], result, answer)
    monkeypatch.setattr(hooks, "time", time)
    hooks.await_written(stops(time.path, "p-2", words))
    assert time.left == []
    waited = time.now
    hooks.await_written(stops(time.path, "p-2", words.strip()))
    assert time.now == waited


@pytest.mark.parametrize("path", ["c-1.jsonl", "a\0b", "x" * 5000, ".", "pipe"])
def test_it_does_not_wait_for_what_never_comes(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the program keeps no transcript, or has something else there; nor for what it does not tell."""
    os.mkfifo(tmp_path / "pipe")
    time = Writing(tmp_path / "c-1.jsonl", {"promptId": "p-1", "type": "user"})
    monkeypatch.setattr(hooks, "time", time)
    hooks.await_written({**STOPS, "transcript_path": f"{tmp_path}/{path}"})
    assert time.now == 0
    hooks.await_written(stops(f"{tmp_path}/{path}", "p-1", "done"))
    assert 1 <= time.now < 2


def test_a_question_waits_for_its_answer(home: Path) -> None:
    """Also when who is attached changes; the bytes are printed as they are, and only once."""
    with Client(home) as client:
        client.hello()
        waits = hook(home, ASKS)
        name = told(client)["request_id"]
    with Client(home) as other:
        assert told(other) == {**ASKS, "request_id": name}
        assert other.ask({"do": "answer", "request": "another"}, b"no")["state"] == "gone"
        answer = {"do": "answer", "request": name, "ref": 7}
        assert other.ask(answer, b'{"yes": "\xc3\xa4"}') == {
            "reply": "answer",
            "request": name,
            "state": "given",
            "ref": 7,
        }
        assert over(waits) == (0, b'{"yes": "\xc3\xa4"}', b"")
        assert other.ask(answer, b"again")["state"] == "gone"
        assert over(hook(home, STOPS)) == (0, b"", b"")
        assert told(other, 2)["hook_event_name"] == "Stop"


def test_a_question_that_was_decided_elsewhere_is_gone(home: Path) -> None:
    """The program kills the hook: that is told, and nobody can answer any more."""
    with Client(home) as client:
        client.hello()
        waits = hook(home, ASKS)
        name = told(client)["request_id"]
        waits.send_signal(signal.SIGKILL)
        assert told(client, 2) == {"hook_event_name": "PermissionRequestGone", "request_id": name}
        assert client.ask({"do": "answer", "request": name}, b"late")["state"] == "gone"
        over(waits)


def test_many_ask_at_once(home: Path) -> None:
    """Each is answered what it has asked."""
    with Client(home) as client:
        client.hello()
        waiting = {number: hook(home, {**ASKS, "number": number}) for number in range(10)}
        names = {said["number"]: said["request_id"] for said in (told(client, times) for times in range(1, 11))}
        for number, name in names.items():
            assert client.ask({"do": "answer", "request": name}, b"%d" % number)["state"] == "given"
        for number, process in waiting.items():
            assert over(process) == (0, b"%d" % number, b"")


def test_without_a_runner_a_hook_says_nothing(home: Path) -> None:
    """And starts none: the program asks the person alone. One whose runner is killed ends so, too."""
    assert over(hook(home, ASKS)) == (0, b"", b"")
    assert not serving(home)
    assert not (home / ".vibespace").exists()
    with Client(home) as client:
        client.hello()
        waits = hook(home, ASKS)
        told(client)
        kill(*serving(home))
        assert over(waits) == (0, b"", b"")
    assert over(hook(home, ASKS)) == (0, b"", b"")


@pytest.mark.parametrize("said", [b"", b"no JSON", b"[]", b"[" * 100_000, b"\xff"])
def test_what_is_no_hook_is_nothing(home: Path, said: bytes) -> None:
    """Nothing is printed that the program could take for an answer, and nothing is kept."""
    with Client(home) as client:
        client.python("pass")
        assert over(hook(home, said)) == (0, b"", b"")
        client.exit(1)
        assert [kind for *_, kind, _ in client.records] == ["start", "exit"]


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000], ids=["of no file", "too long"])
def test_a_hook_that_is_refused_says_nothing(home: Path, path: str) -> None:
    """The program is not held up by what it has told wrong."""
    with Client(home) as client:
        client.hello()
        assert over(hook(home, {"hook_event_name": "SessionStart", "transcript_path": path})) == (0, b"", b"")


@pytest.mark.parametrize(("name", "line"), [("one", b"{}\n{}\n"), ("one", b"{}"), ("two words", b"{}\n"), (7, b"{}\n")])
def test_who_relays_no_hook_is_refused(home: Path, name: Any, line: bytes) -> None:
    """A record is one line, and a question has an id."""
    with Client(home) as client:
        assert "error" in client.ask({"do": "hook", "request": name, "waits": True}, line)


def test_a_hook_does_not_wait_for_a_program_that_does_not_read(home: Path) -> None:
    """An input that is held up holds no hook, and no answer to one."""
    with Client(home) as client, Client(home) as other:
        client.start("sleep", "infinity")
        client.send({"do": "input", "input": "big"}, bytes(1 << 20))
        waits = hook(home, ASKS)
        name = told(other)["request_id"]
        assert other.ask({"do": "answer", "request": name}, b"yes")["state"] == "given"
        assert over(waits) == (0, b"yes", b"")
