"""A socket between a daemon and the engine: it can hang up as an engine that died does, and count what passes.

The engine's client opens a connection for every call, so a connection is a call, and its first line says which.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.relays import pass_on

_CHANGES = re.compile(rb"(POST|PUT|DELETE) ")


class Relay:
    """Serves `socket` by the engine behind it."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._folder = tempfile.mkdtemp(prefix="vs-relay-", dir="/tmp")
        self.socket = str(Path(self._folder) / "sock")
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.calls: list[str] = []
        """What changed something, since `watch_calls`: method and path."""
        self._before: Callable[[int], bool] | None = None
        self._after: Callable[[int], bool] | None = None
        self.start()

    def start(self) -> None:
        """Listen, again."""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.socket)
        listener.listen(128)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def stop(self) -> None:
        """Hang up on everybody, and answer nobody, as an engine does whose process was killed."""
        listener, self._listener = self._listener, None
        if listener is not None:
            os.unlink(self.socket)
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def watch_calls(
        self, before: Callable[[int], bool] | None = None, after: Callable[[int], bool] | None = None
    ) -> None:
        """Count the calls that change something from 1 on: each is announced before it reaches the engine, which it
        never does where that is said to be so, and after the engine has answered it but before the answer reaches the
        daemon.
        """
        self.calls, self._before, self._after = [], before, after

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # stopped
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as engine:
            with self._lock:
                self._open |= {client, engine}
            try:
                self._relay(client, engine)
            except OSError:
                return  # one of them hung up, which hangs up on the other
            finally:
                with self._lock:
                    self._open -= {client, engine}

    def _relay(self, client: socket.socket, engine: socket.socket) -> None:
        engine.connect(self._engine)
        first = client.recv(65536)
        number = self._number(first)
        after = self._after
        if number and self._before and self._before(number):
            return
        engine.sendall(first)
        threading.Thread(target=pass_on, args=(client, engine), daemon=True).start()
        answer = engine.recv(65536)
        if number and after:
            after(number)
        while answer:
            client.sendall(answer)
            answer = engine.recv(65536)

    def _number(self, first: bytes) -> int:
        """Which of the counted calls this is; 0 for one that only looks."""
        if not _CHANGES.match(first):
            return 0
        with self._lock:
            method, target = first.split(b" ")[:2]
            self.calls.append(f"{method.decode()} {target.decode().partition('?')[0]}")
            return len(self.calls)
