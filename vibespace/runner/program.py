"""One life of an agent's program."""

from __future__ import annotations

import binascii
import json
import os
import signal
import threading
from contextlib import suppress

from vibespace.runner.journal import HEADER, PIECE, Journal
from vibespace.runner.places import MARK
from vibespace.runner.processes import end_children, stat


class Pipes:
    """A program that speaks in lines on stdin, stdout and stderr.

    One that is spoken with in another way is another class with these methods: listens, write, close, end.
    """

    def __init__(self, journal: Journal, argv: list[str], env: dict[str, str], cwd: str, note: object) -> None:
        self._journal = journal
        self.epoch = journal.begin()
        journal.append("start", json.dumps({"argv": argv, "cwd": cwd, "note": note}).encode())
        theirs_in, self._stdin = os.pipe()
        stdout, theirs_out = os.pipe()
        stderr, theirs_err = os.pipe()
        self.over, self._forked, self.pid = threading.Event(), threading.Event(), 0
        self._pumps = [threading.Thread(target=self._pump, args=a) for a in (("stdout", stdout), ("stderr", stderr))]
        try:  # threads first: where the container has no room for another process, no program is left unheard
            for thread in (*self._pumps, threading.Thread(target=self._wait)):
                thread.daemon = True
                thread.start()
            self.pid = os.fork()
            if not self.pid:
                _become(argv, env, cwd, (theirs_in, theirs_out, theirs_err))
            self._handle = os.pidfd_open(self.pid)  # unlike its number never another's
        except (OSError, RuntimeError):
            if not self.pid:
                journal.append("exit", json.dumps({"code": 127}).encode())
            raise
        finally:
            for file in (theirs_in, theirs_out, theirs_err):
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
        with suppress(OSError):  # it ends already
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        self.over.wait()

    def _wait(self) -> None:
        self._forked.wait()
        if not self.pid:
            return
        while (found := os.waitpid(-1, 0))[0] != self.pid:
            pass  # what the program left behind alone ends here, for we are the reaper
        mine = end_children()
        if mine:
            for pump in self._pumps:
                pump.join()
        code = os.waitstatus_to_exitcode(found[1])
        self._journal.append("exit", json.dumps({"code": code} if code >= 0 else {"signal": -code}).encode())
        os.close(self._handle)
        self.over.set()

    def _pump(self, kind: str, file: int) -> None:
        """Lines into the journal, a piece in memory at a time: a longer line is collected in a file."""
        rest = b""
        while piece := os.read(file, PIECE):
            *lines, rest = (rest + piece).split(b"\n")
            if lines:
                self._journal.append(kind, *(line + b"\n" for line in lines))
            if len(rest) >= PIECE:
                rest = self._long(kind, file, rest)
        if rest:
            self._journal.append(kind, rest)
        os.close(file)

    def _long(self, kind: str, file: int, piece: bytes) -> bytes:
        path, length, crc, rest = f"large-{kind}", 0, 0, b""
        line = self._journal.patiently(os.open, path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        while piece:
            part, newline, rest = piece.partition(b"\n")
            part += newline
            self._journal.write(line, part, HEADER + length)
            length, crc = length + len(part), binascii.crc32(part, crc)
            if newline:
                break
            piece = os.read(file, PIECE)
        self._journal.adopt(kind, path, line, length, crc)
        if rest.count(b"\n"):
            *lines, rest = rest.split(b"\n")
            self._journal.append(kind, *(text + b"\n" for text in lines))
        return rest


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
        own = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
        os.execvpe(argv[0], argv, {**own, **env, mark: value})  # noqa: S606 (no shell, on purpose)
    except BaseException as error:  # a child that went on from here would be a second runner
        os.write(2, f"cannot start {argv[:1]} in {cwd}: {error}\n".encode(errors="replace"))
    finally:
        os._exit(127)
