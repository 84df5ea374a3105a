"""A runner as a real process with a home of its own, and a client of its frames.

It is started from one zip, as it is where nothing of ours is installed.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from vibespace.net.runner_zip import packed
from vibespace.runner.processes import stat

MOST = 12 << 10
"""Private memory in KiB."""
SECONDS = 120
"""For what is waited for; then the test fails."""
Record = tuple[int, int, str, bytes]
Frame = tuple[dict[str, Any], bytes]


def program(home: Path) -> Path:
    """The zip, made where it is not there yet."""
    path = home / "runner.pyz"
    if not path.exists():
        new = home / f"{os.getpid()}-{threading.get_ident()}.pyz"
        new.write_bytes(packed())
        new.rename(path)
    return path


class Client:
    """`attach`, spoken with in frames."""

    def __init__(self, home: Path, after: tuple[int, int] = (0, 0)) -> None:
        words = [sys.executable, str(program(home)), "attach", "--after", *map(str, after)]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "HOME": str(home)}
        )
        self._limit = threading.Timer(SECONDS, self.process.kill)
        self._limit.start()
        self.records: list[Record] = []
        self.told: list[bool] = []

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()

    def cut(self) -> None:
        """As a link that breaks: nothing is said any more."""
        self._limit.cancel()
        self.process.kill()
        self.process.communicate()

    def send(self, request: dict[str, Any], data: bytes = b"") -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps({**request, "length": len(data)}).encode() + b"\n" + data)
        self.process.stdin.flush()

    def frame(self) -> Frame | None:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line.endswith(b"\n"):
            return None
        head = json.loads(line)
        data = self.process.stdout.read(head.get("length", 0))
        if len(data) < head.get("length", 0):
            return None
        if "record" in head:
            self.records.append((head["epoch"], head["seq"], head["record"], data))
        if "full" in head:
            self.told.append(head["full"])
        return head, data

    def until(self, wanted: Callable[[dict[str, Any], bytes], bool]) -> Frame:
        while found := self.frame():
            if wanted(*found):
                return found
        raise AssertionError("the attachment ended")

    def ask(self, request: dict[str, Any], data: bytes = b"") -> dict[str, Any]:
        self.send(request, data)
        return self.until(lambda head, _: "reply" in head or "error" in head)[0]

    def start(self, *argv: str, env: dict[str, str] | None = None, socket: str = "") -> dict[str, Any]:
        return self.ask({"do": "start", "argv": argv, "env": env or {}, "cwd": "/", "socket": socket})

    def python(self, text: str, env: dict[str, str] | None = None) -> dict[str, Any]:
        return self.start(sys.executable, "-uc", text, env=env)

    def record(self, kind: str, text: bytes = b"", *, times: int = 1) -> bytes:
        """The text of the `times`-th record of that kind that begins with `text`, whenever it comes."""
        seen = 0
        while True:
            for *_, each, data in self.records[seen:]:
                if each == kind and data.startswith(text):
                    times -= 1
                    if not times:
                        return data
            seen = len(self.records)
            assert self.frame(), "the attachment ended"

    def hello(self) -> None:
        """The runner serves."""
        self.until(lambda head, _: "hello" in head)

    def said(self, text: bytes) -> None:
        if not any(data == text for *_, data in self.records):
            self.until(lambda head, data: head.get("record") in ("stdout", "stderr") and data == text)

    def exit(self, epoch: int) -> dict[str, Any]:
        """How that life of the program ended."""
        for at, _, kind, data in self.records:
            if (at, kind) == (epoch, "exit"):
                return dict(json.loads(data))
        data = self.until(lambda head, _: head.get("record") == "exit" and head["epoch"] == epoch)[1]
        return dict(json.loads(data))


def output(records: list[Record], kind: str = "stdout") -> bytes:
    return b"".join(data for *_, found, data in records if found == kind)


def private(home: Path) -> int:
    """KiB of memory that only the runner has."""
    text = Path(f"/proc/{serving(home)[0]}/smaps_rollup").read_text()
    return sum(
        int(line.split()[1]) for line in text.splitlines() if line.startswith(("Private_Dirty", "Private_Clean"))
    )


def serving(home: Path) -> list[int]:
    """The processes that serve that home; not a child of one that is about to be the program."""
    found: dict[int, int] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
            here = os.readlink(f"/proc/{name}/cwd")
            parent = stat(name)[1]
        except OSError:
            continue
        if b"serve" in words and here == str(home / ".vibespace/runner"):
            found[int(name)] = parent
    return [pid for pid, parent in found.items() if parent not in found]


def until(condition: Callable[[], bool]) -> None:
    """Return when it holds; fail when it never does."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """And wait until it is gone."""
    with handle(pid) as gone:
        signal.pidfd_send_signal(gone, number)
        assert select.select([gone], [], [], SECONDS)[0], f"process {pid} does not end"


@contextmanager
def handle(pid: int) -> Iterator[int]:
    number = os.pidfd_open(pid)
    try:
        yield number
    finally:
        os.close(number)


def whole(records: list[Record]) -> bool:
    """Each epoch counts from 1 without a gap or a repeat."""
    last: dict[int, int] = {}
    for epoch, seq, *_ in records:
        if seq != last.get(epoch, 0) + 1:
            return False
        last[epoch] = seq
    return list(last) == sorted(last)
