"""An agent's program for tests, which does what it is told: it speaks the lines of tests/harness/echo.py.

`echo_agent.py [--terminal] CONVERSATION`. What it remembers of a conversation is in ~/.echo-CONVERSATION: ids of
messages, of which it ignores repeats. On a terminal it also takes what somebody has typed, which is a file ~/typed that
it removes, and ends when it is asked to leave. A message is commands, one a line:

    say TEXT          answers; `many N` N times, with numbers, and `more N` goes on from there
    spell TEXT        answers in pieces and then whole; `begin TEXT` not whole
    call COMMAND      asks whether it may, and runs COMMAND of the shell
    look AT           uses a tool that need not be allowed
    wait PATH         goes on when there is such a file; meanwhile it listens
    garbage | utf8 | long N | half       lines that are none, or have N bytes; after half a line it is gone
    child COMMAND     starts what outlives it
    hang | stubborn   never goes on; nor when it is interrupted
    crash | deaf      dies of a signal; closes its standard input
    words TEXT        to standard error
    env NAME          says how many characters that variable has
    fail TROUBLE TEXT        the turn fails by that

and what is none of these is answered with `gone on`.

Before it takes anything up it ends with 3 and a word on standard error if there is a file ~/die; it removes one byte
of that at each time, and the empty file. So it does with ~/late when it has noted the message and not said so, and with
~/again before it is `gone on`. Of a repeat it only says that it has heard it.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

HOME = Path(os.path.expanduser("~"))


def tell(kind: str, **what: Any) -> None:
    sys.stdout.write(json.dumps({"is": kind, **what}) + "\n")
    sys.stdout.flush()


class Stopped(Exception):
    """The turn was interrupted."""


class Echo:
    """One process."""

    def __init__(self, conversation: str) -> None:
        self._known = HOME / f".echo-{conversation}"
        self._heard = self._known.read_text().split() if self._known.exists() else []
        self._waiting: queue.Queue[dict[str, Any]] = queue.Queue()
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._stopped = threading.Event()
        self._over = threading.Event()
        self._turn = ""
        self._failed: dict[str, str] = {}
        self._count = 0
        self._said = 0

    def run(self, *, on_terminal: bool) -> None:
        for work in (self._work, *([self._look] if on_terminal else [])):
            threading.Thread(target=work, daemon=True).start()
        for line in sys.stdin.buffer:
            if on_terminal and line == b"leave\n":
                os._exit(0)
            told = json.loads(line)
            match told["do"]:
                case "say" if told["id"] in self._heard:
                    tell("heard", id=told["id"], text=told["text"])
                case "say" if self._turn:
                    self._hear(told)
                    self._perform(told["text"])
                case "say":
                    self._waiting.put(told)
                case "stop":
                    self._stopped.set()
                    self._answers.put({})
                    tell("done", id=told["id"])
                case "answer":
                    self._answers.put(told)
                case _:
                    tell("done", id=told["id"])
        self._waiting.join()

    def _work(self) -> None:
        while True:
            told = self._waiting.get()
            self._take(told)
            self._waiting.task_done()

    def _look(self) -> None:
        """For what somebody types."""
        typed, number = HOME / "typed", 0
        while True:
            if typed.exists():
                text = typed.read_text()
                typed.unlink()  # before it is acted upon, which may end this process
                self._waiting.put({"id": f"typed-{os.getpid()}-{number}", "text": text})
                number += 1
            time.sleep(0.01)

    def _take(self, told: dict[str, Any]) -> None:
        self._die("die")
        self._turn = f"turn-of-{told['id']}"
        self._stopped.clear()
        tell("begin", id=self._turn)
        self._hear(told)
        self._failed = {}
        with suppress(Stopped):
            self._perform(told["text"])
        self._turn = ""
        tell("end", **self._failed)

    def _die(self, name: str) -> None:
        lives = HOME / name
        if lives.exists():
            left = lives.read_bytes()[1:]
            lives.write_bytes(left) if left else lives.unlink()
            sys.stderr.write("there is no room for echoes\n")
            sys.stderr.flush()
            os._exit(3)

    def _hear(self, told: dict[str, Any]) -> None:
        self._heard.append(told["id"])
        self._known.write_text("\n".join(self._heard))
        self._die("late")
        tell("heard", id=told["id"], text=told["text"])

    def _perform(self, text: str) -> None:
        for line in text.splitlines():
            word, _, rest = line.partition(" ")
            if self._stopped.is_set():
                raise Stopped
            getattr(self, f"_do_{word}", self._do_go_on)(rest)

    def _id(self) -> str:
        self._count += 1
        return f"{self._turn}-{self._count}"

    def _do_say(self, text: str) -> None:
        tell("said", id=self._id(), text=text)

    def _do_spell(self, text: str) -> None:
        block = self._begin(text)
        tell("said", id=self._id(), text=text, block=block)

    def _do_begin(self, text: str) -> None:
        self._begin(text)

    def _begin(self, text: str) -> str:
        block = self._id()
        for at in range(0, len(text), 100):
            tell("saying", id=self._id(), text=text[at : at + 100], block=block)
        return block

    def _do_go_on(self, _: str) -> None:
        self._die("again")
        self._do_say("gone on")

    def _do_many(self, number: str) -> None:
        self._said = 0
        self._do_more(number)

    def _do_more(self, number: str) -> None:
        for _ in range(int(number)):
            self._do_say(f"{self._said}")
            self._said += 1

    def _do_look(self, at: str) -> None:
        tell("call", id=self._id(), tool="Shell", input={"command": at})

    def _do_call(self, command: str) -> None:
        name = self._id()
        what = {"id": name, "tool": "Shell", "input": {"command": command}}
        tell("call", **what)
        tell("may", **what)
        answer = self._answers.get()
        if not answer:
            raise Stopped
        if not answer["allow"]:
            tell("did", id=name, text="denied", failed=True)
            return
        done = subprocess.run(command, shell=True, capture_output=True, text=True)
        tell("did", id=name, text=done.stdout, failed=bool(done.returncode))

    def _do_wait(self, path: str) -> None:
        while not (HOME / path).exists():
            if self._stopped.wait(0.01):
                raise Stopped

    def _do_garbage(self, _: str) -> None:
        self._write(b"Segmentation fault (core dumped)\n")

    def _do_half(self, _: str) -> None:
        self._write(b'{"is": "said", "id": "h')
        os._exit(0)

    def _do_utf8(self, _: str) -> None:
        self._write(b'{"is": "said", "text": "\xff\xfe"}\n')

    def _do_long(self, size: str) -> None:
        self._write(b'{"is": "said", "id": "long", "text": "' + b"x" * int(size) + b'"}\n')

    def _write(self, data: bytes) -> None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    def _do_child(self, command: str) -> None:
        subprocess.Popen(["sh", "-c", command], start_new_session=True)

    def _do_hang(self, _: str) -> None:
        while not self._stopped.wait(1000):
            pass

    def _do_stubborn(self, _: str) -> None:
        threading.Event().wait()

    def _do_crash(self, _: str) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def _do_deaf(self, _: str) -> None:
        os.close(0)

    def _do_words(self, text: str) -> None:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def _do_env(self, name: str) -> None:
        self._do_say(str(len(os.environ.get(name, ""))))

    def _do_fail(self, rest: str) -> None:
        trouble, _, words = rest.partition(" ")
        self._failed = {"failed": words, "trouble": trouble}
        raise Stopped


if __name__ == "__main__":
    Echo(sys.argv[-1]).run(on_terminal="--terminal" in sys.argv)
