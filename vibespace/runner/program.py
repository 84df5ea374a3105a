"""One life of an agent's program."""

from __future__ import annotations

import json
import os
import signal
import threading
from contextlib import suppress
from typing import Any

from vibespace.runner import memory
from vibespace.runner.journal import PIECE, Journal
from vibespace.runner.lines import Lines
from vibespace.runner.places import MARK, MEMORY
from vibespace.runner.processes import end_children, stat


class Pipes:
    """A program that speaks in lines on stdin, stdout and stderr."""

    KINDS: tuple[str, ...] = ("stdout", "stderr")
    """Of the lines of each of its outputs; one kind for both, and they are one pipe."""

    def __init__(self, journal: Journal, argv: list[str], env: dict[str, str], cwd: str, **told: object) -> None:
        self._journal = journal
        self.epoch = journal.begin(json.dumps({"argv": argv, "cwd": cwd, **told}).encode())
        theirs_in, self._stdin = os.pipe()
        outputs = [os.pipe() for _ in self.KINDS]
        theirs = (theirs_in, outputs[0][1], outputs[-1][1])
        self.over, self._forked, self.pid = threading.Event(), threading.Event(), 0
        self._ended_before, self._by_us = memory.ended(), False
        pumps = zip(self.KINDS, (output for output, _ in outputs), strict=True)
        self._pumps = [threading.Thread(target=self._pump, args=each) for each in pumps]
        try:  # threads first: where the container has no room for another process, no program is left unheard
            for thread in (*self._pumps, *self._others(), threading.Thread(target=self._wait)):
                thread.daemon = True
                thread.start()
            self.pid = os.fork()
            if not self.pid:
                _become(argv, env, cwd, theirs)
            self._handle = os.pidfd_open(self.pid)  # unlike its number never another's
        except (OSError, RuntimeError):
            if not self.pid:
                journal.append("exit", json.dumps({"code": 127}).encode())
            raise
        finally:
            for file in {*theirs}:
                os.close(file)
            self._forked.set()

    def write(self, data: bytes) -> bool:
        """All of it, waiting while the program does not read; False when it is gone or has no stdin any more."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._stdin, rest) :]
        except OSError:
            return False
        return True

    @property
    def listens(self) -> bool:
        """Whether anything can be said to it."""
        return self._stdin >= 0 and not self.over.is_set()

    def close(self) -> None:
        """Nothing more is said to it. Idempotent; never while write runs."""
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1

    def end(self) -> None:
        """Kill it and all it has started; returns when its exit is in the journal."""
        self._by_us = True
        self._signal(signal.SIGKILL)
        self.over.wait()

    def _signal(self, number: int) -> None:
        if not self.over.is_set():
            with suppress(OSError):  # it ends already
                signal.pidfd_send_signal(self._handle, number)

    def _others(self) -> list[threading.Thread]:
        """What else hears it."""
        return []

    def _hear_out(self, mine: bool) -> None:
        """It is gone, and if all that it has started is, too, nobody can write any more: wait until that is heard."""
        if mine:
            for pump in self._pumps:
                pump.join()

    def _wait(self) -> None:
        self._forked.wait()
        if not self.pid:
            return
        while (found := os.waitpid(-1, 0))[0] != self.pid:
            pass  # what the program left behind alone ends here, for we are the reaper
        self._hear_out(end_children())
        self._journal.append("exit", json.dumps(self._how(os.waitstatus_to_exitcode(found[1]))).encode())
        self.over.set()
        os.close(self._handle)

    def _how(self, code: int) -> dict[str, Any]:
        """See `exit`. That memory was short is not told of a signal; but the kernel counts whom it ends for that."""
        if code >= 0:
            return {"code": code}
        short = -code == signal.SIGKILL and not self._by_us and memory.ended() > self._ended_before
        return {"signal": -code, **({"memory": True} if short else {})}

    def _pump(self, kind: str, file: int) -> None:
        lines = Lines(self._journal, kind)
        while piece := os.read(file, PIECE):
            lines.feed(piece)
        lines.end()
        os.close(file)


def _become(argv: list[str], env: dict[str, str], cwd: str, files: tuple[int, int, int]) -> None:
    """The forked child: it writes down who it is before it is the program, and holds the runner's lock until then."""
    try:
        os.setsid()
        record = f"{os.getpid()} {stat('self')[3]} {os.readlink('/proc/self/ns/pid')}\n".encode()
        with open("program.new", "wb") as file:
            file.write(record)
        os.rename("program.new", "program")
        for number, file_number in enumerate(files):
            os.dup2(file_number, number)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)  # Python ignores them, and what is ignored is inherited
        os.chdir(cwd)
        mark, _, value = os.fsdecode(MARK).partition("=")
        own = {name: value for name, value in os.environ.items() if name not in MEMORY}
        os.execvpe(argv[0], argv, {**own, **env, mark: value})  # noqa: S606 (no shell, on purpose)
    except BaseException as error:  # a child that went on from here would be a second runner
        os.write(2, f"cannot start {argv[:1]} in {cwd}: {error}\n".encode(errors="replace"))
    finally:
        os._exit(127)
