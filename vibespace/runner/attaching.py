"""The way to the one that serves, which is started where there is none."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
import threading
from contextlib import suppress

from vibespace.runner.journal import PIECE
from vibespace.runner.places import MEMORY, connect

_FILE = os.path.abspath(sys.argv[0])
"""What we were started from, before the working directory is another."""


def lock(name: str) -> int:
    """The file, once nobody else has it."""
    file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def reach() -> socket.socket:
    """Serve's socket; the first of many who come at once starts it."""
    if client := connect():
        return client
    starting = lock("starting")
    try:
        if client := connect():
            return client
        listens, ready = os.pipe()
        if not os.fork():
            _detach(starting, ready)
        os.close(ready)
        os.wait()
        os.read(listens, 1)
        os.close(listens)
        if client := connect():
            return client
    finally:
        os.close(starting)
    raise SystemExit("the runner did not start: see ~/.vibespace/runner/serve.log")


def _detach(starting: int, ready: int) -> None:
    """The forked child: a serve of its own session, nobody's child, with nothing of ours but the ready pipe."""
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        nothing = os.open("/dev/null", os.O_RDWR)
        log = os.open("serve.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for number, file in enumerate((nothing, log, log)):
            os.dup2(file, number)
        os.set_inheritable(starting, True)
        os.set_inheritable(ready, True)
        env = {name: value for name, value in os.environ.items() if name != "VIBESPACE_PROGRAM"}
        env |= MEMORY
        words = [sys.executable, "-I", "-S", _FILE, "serve", str(starting), str(ready)]
        os.execve(sys.executable, words, env)  # noqa: S606 (no shell, on purpose)
    finally:
        os._exit(1)


def attach(after: tuple[int, int], here: str) -> int:
    """Relay, until either side ends."""
    client = reach()
    client.sendall(json.dumps({"do": "attach", "after": after, "cwd": here}).encode() + b"\n")
    threading.Thread(target=_relay, args=(client,), daemon=True).start()
    with suppress(ConnectionResetError, BrokenPipeError):  # serve was killed, or nobody reads: the next attach goes on
        while piece := client.recv(PIECE):
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(1, rest) :]
    return 0


def _relay(client: socket.socket) -> None:
    try:
        while piece := os.read(0, PIECE):
            client.sendall(piece)
        client.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # serve is gone: attach ends with what it receives


def trim(to: tuple[int, int]) -> int:
    """Ask for it, and say how many segments are gone."""
    client = reach()
    client.sendall(json.dumps({"do": "trim", "to": to}).encode() + b"\n")
    with client.makefile("rb") as replies:
        sys.stdout.write(f"{json.loads(replies.readline())['removed']}\n")
    return 0
