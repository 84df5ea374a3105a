"""A program that is spoken with over a socket of its own."""

from __future__ import annotations

import json
import os
import signal
import threading

from vibespace.runner.journal import Journal
from vibespace.runner.lines import Draft
from vibespace.runner.places import in_home
from vibespace.runner.program import Pipes
from vibespace.runner.websocket import WebSocket

LONGEST = 107
"""Bytes of a socket's path."""
_SOON, _LATE = 0.02, 1.0
"""Seconds before it is tried again to connect: at first, and at most."""


class Socketed(Pipes):
    """A program that serves WebSockets at `socket`, on one of which we are the client: a message is what a line is."""

    KINDS = ("stderr",)

    def __init__(
        self, journal: Journal, argv: list[str], env: dict[str, str], cwd: str, socket: str, note: object
    ) -> None:
        self._path = in_home(socket, LONGEST)
        self._gone = threading.Event()
        self._connection: WebSocket | None = None
        self._open = self._closed = False
        self._listener = threading.Thread(target=self._listen)
        super().__init__(journal, argv, env, cwd, socket=socket, note=note)

    @property
    def listens(self) -> bool:
        return self._open and not self._closed and not self.over.is_set()

    def write(self, data: bytes) -> bool:
        """A message; False when the connection is gone, or goes with half of it."""
        connection = self._connection
        if not connection:
            return False
        try:
            connection.send(data.removesuffix(b"\n"))
        except OSError:
            connection.abort()
            return False
        return True

    def close(self) -> None:
        """And it is asked to end: there is no end of a stdin by which it would know. It is heard until it does."""
        super().close()
        if not self._closed:
            self._closed = True
            self._signal(signal.SIGTERM)

    def _others(self) -> list[threading.Thread]:
        return [self._listener]

    def _hear_out(self, mine: bool) -> None:
        self._gone.set()
        if connection := self._connection:
            connection.end()
        self._listener.join()
        super()._hear_out(mine)

    def _listen(self) -> None:
        self._forked.wait()
        pause = _SOON
        while self.pid and not self._gone.is_set():
            pause = _SOON if self._converse() else min(2 * pause, _LATE)
            self._gone.wait(pause)

    def _is_mine(self, connection: WebSocket) -> bool:
        """Another program may have taken the place, one that was typed in a shell: what is said to it is lost to us."""
        try:
            return os.getsid(connection.server) == self.pid
        except OSError:
            return False  # it is gone

    def _converse(self) -> bool:
        """One connection, for as long as it lasts; whether anything was said on it."""
        try:
            connection = WebSocket(self._path)
        except OSError:
            return False  # nobody listens there yet, or not any more
        if not self._is_mine(connection):
            connection.close()
            return False
        self._connection = connection
        draft = Draft(self._journal, "stdout", "message")
        said = False
        try:
            if self._gone.is_set():
                connection.end()
            connection.open()
            self._journal.append("connected", b"{}")
            self._open = True
            while True:
                for piece in connection.receive():
                    draft.add(piece)
                draft.add(b"\n")
                draft.keep()
                said = True
        except (ConnectionError, TimeoutError) as error:
            why = f"{error}"
        draft.drop()
        self._connection = None
        connection.close()
        if self._open:
            self._open = False
            self._journal.append("disconnected", json.dumps({"why": why}).encode())
        return said
