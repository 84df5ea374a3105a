"""Who is attached: what it asks, and what it is sent."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from io import BufferedReader
from typing import Any, BinaryIO

from vibespace.runner.journal import HEADER, PIECE, head_of, position, segments
from vibespace.runner.runner import Runner, usable

MOST_INPUT = 16 << 20
"""Bytes of one."""


class Attachment:
    """One client: a thread answers it, another sends it the journal, from the files, as fast as it takes it."""

    def __init__(self, runner: Runner, client: socket.socket) -> None:
        self._runner, self._client = runner, client
        self._sending = threading.Lock()
        self._gone = False
        self._follower: threading.Thread | None = None
        self._cwd = "/"
        self._asked: list[str] = []
        """Ids that wait for an answer, or did."""
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        journal = self._runner.journal
        try:
            with self._client.makefile("rb") as requests:
                while self._request(requests):
                    pass
        except (ValueError, TypeError, AttributeError, RuntimeError, OverflowError) as error:  # of 1e999
            self._end(f"{error}")
        except OSError:
            pass  # the client is gone
        with journal.changed:
            self._gone = True
            journal.changed.notify_all()
        for name in self._asked:
            self._runner.hooks.leave(name)
        self._end()
        if self._follower:
            self._follower.join()
        self._client.close()

    def _request(self, requests: BufferedReader) -> bool:
        """The next one; False when there is none. What it brought is in memory no longer than it takes."""
        line = requests.readline(PIECE << 4)
        if not line:
            return False
        request = json.loads(line)
        size = int(request.get("length", 0))
        if not 0 <= size <= MOST_INPUT:
            raise ValueError(f"an input has at most {MOST_INPUT} bytes")
        data = requests.read(size)
        if len(data) < size:
            return False
        match request.get("do"):
            case "attach":
                self._attach(request)
            case "hook":
                self._hook(request, data)
            case _:
                if request.get("do") == "start":
                    request.setdefault("cwd", self._cwd)
                reply = self._runner.answer(request, data)
                ref = {"ref": request["ref"]} if "ref" in request else {}
                self._send({"reply": request["do"], **reply, **ref})
        return True

    def _attach(self, request: dict[str, Any]) -> None:
        journal = self._runner.journal
        epoch, seq = (int(number) for number in request.get("after", (0, 0)))
        self._cwd = str(request.get("cwd", "/"))
        first = list(position(segments()[0])) if journal.end[0] else [1, 1]
        there = {"running": self._runner.running, "first": first, "last": list(journal.last)}
        self._send({"hello": journal.epoch, **there})
        self._follower = threading.Thread(target=self._follow, args=((epoch, seq),), daemon=True)
        self._follower.start()

    def _hook(self, request: dict[str, Any], line: bytes) -> None:
        """One that asks is replied to when it is answered, the others when they are kept."""
        name = request.get("request")
        if not isinstance(name, str) or not usable(name) or line.find(b"\n") != len(line) - 1:
            raise ValueError("a hook has an id, and one line")
        if request.get("waits"):
            self._runner.hooks.ask(name, line, lambda data: self._send({"reply": "hook", "length": len(data)}, data))
            self._asked.append(name)
            return
        self._runner.hooks.tell(line)
        self._send({"reply": "hook"})

    def _end(self, error: str = "") -> None:
        try:
            if error:
                self._send({"error": error})
            self._client.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it is gone already

    def _send(self, head: dict[str, Any], data: bytes = b"") -> None:
        with self._sending:
            self._client.sendall(json.dumps(head).encode() + b"\n" + data)

    def _follow(self, after: tuple[int, int]) -> None:
        try:
            for name, size in self._segments(after):
                self._segment(name, size, after)
        except (OSError, ValueError):
            self._end()

    def _segments(self, after: tuple[int, int]) -> Iterator[tuple[BinaryIO, int]]:
        """Open files of the journal, and how far they are whole, for ever; each again when it has grown."""
        journal, name, at, full = self._runner.journal, "", 0, False
        file: BinaryIO | None = None
        while True:
            with journal.changed:
                while not self._gone and journal.end in ((name, at), ("", 0)) and journal.full == full:
                    journal.changed.wait()
                end, now = journal.end, journal.full
            if self._gone:
                break
            if now != full:
                full = now
                self._send({"full": full})
            if file is None or (name != end[0] and at == os.fstat(file.fileno()).st_size):
                later = [other for other in segments() if other > name]
                if not name:  # the last that begins at or before what is asked for
                    later = [*[other for other in later if position(other) <= after][-1:], *later]
                if not later:
                    continue
                name, at = (min(later) if name else later[0]), 0
                if file:
                    file.close()
                file = open(name, "rb", buffering=0)  # noqa: SIM115 (closed when the next one is opened)
            size = end[1] if name == end[0] else os.fstat(file.fileno()).st_size
            if size > at:
                yield file, size
                at = size
        if file:
            file.close()

    def _segment(self, file: BinaryIO, size: int, after: tuple[int, int]) -> None:
        epoch = position(str(file.name))[0]
        while file.tell() < size:
            kind, seq, length = head_of(file.read(HEADER))
            if (epoch, seq) <= after:
                file.seek(length, os.SEEK_CUR)
                continue
            head = {"record": kind, "epoch": epoch, "seq": seq, "length": length}
            if length <= PIECE:
                self._send(head, file.read(length))
                continue
            with self._sending:
                self._client.sendall(json.dumps(head).encode() + b"\n")
                self._client.sendfile(file, file.tell(), length)
