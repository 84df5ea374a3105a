"""Somebody at a terminal, who reads what it shows and types."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.e2e.installation import Installation


class Person:
    """Somebody at a terminal on which one command runs."""

    def __init__(self, vs: Installation, *arguments: str) -> None:
        self.mine, its = pty.openpty()
        self.resize(24, 80)
        self.before = termios.tcgetattr(its)
        self.its = its
        """Kept open, so that what the command leaves of it can be looked at."""
        self.process = subprocess.Popen(
            vs.command(*arguments),
            env=vs.environment(TERM="xterm"),
            stdin=its,
            stdout=its,
            stderr=its,
            process_group=0,
        )
        self.seen = b""

    def type(self, keys: str) -> None:
        os.write(self.mine, keys.encode())

    def enters(self, words: str) -> None:
        """Type a line, and Enter once the screen shows the line: what comes at once is taken for something pasted."""
        self.type(words)
        self.sees(".{1,60}".join(map(re.escape, words.split()[-2:])))
        self.type("\r")

    def sees(self, pattern: str) -> re.Match[bytes]:
        """Return when the screen has shown it since the last time; what comes after it is left for the next."""
        while not (found := re.search(pattern.encode(), self.seen)):
            assert select.select([self.mine], [], [], 60)[0], self.seen
            self.seen += os.read(self.mine, 65536)
        self.seen = self.seen[found.end() :]
        return found

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.mine, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    @property
    def restored(self) -> bool:
        return termios.tcgetattr(self.its) == self.before

    def wait(self) -> int:
        return self.process.wait(60)

    def leave(self) -> None:
        """Close the terminal."""
        for descriptor in (self.mine, self.its):
            with suppress(OSError):
                os.close(descriptor)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@contextmanager
def person(vs: Installation, *arguments: str) -> Iterator[Person]:
    there = Person(vs, *arguments)
    try:
        yield there
    finally:
        there.leave()
