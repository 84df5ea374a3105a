"""The processes that a program has started, and their end."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator

from vibespace.runner.places import MARK


def stat(pid: str) -> tuple[str, int, int, int]:
    """State, parent, session and start of a process. Raises OSError when it is gone."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return fields[0].decode(), int(fields[1]), int(fields[3]), int(fields[19])


def processes() -> Iterator[tuple[int, int, int, int]]:
    """Id, parent, session and start of all that live."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                state, parent, session, start = stat(name)
            except OSError:
                continue  # gone while we looked
            if state not in "ZX":
                yield int(name), parent, session, start


def end_children() -> bool:
    """Kill all below us, until nobody is left; False when there are some that we may not kill (root's, by sudo)."""
    beyond: set[int] = set()
    while True:
        parents = {pid: parent for pid, parent, _, _ in processes()}
        below = {os.getpid()}
        while more := {pid for pid, parent in parents.items() if parent in below} - below:
            below |= more
        for pid in below - {os.getpid()}:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # gone by itself
            except PermissionError:
                beyond.add(pid)
        try:
            wait = any(parents.get(pid) == os.getpid() for pid in below - beyond)
            os.waitpid(-1, 0 if wait else os.WNOHANG)
        except ChildProcessError:
            return True
        if not wait and beyond:
            return False


def end_former() -> None:
    """Kill what a program of a killed runner left: what is of its session, or has our mark."""
    try:
        with open("program") as file:
            number, start, space = file.read().split()
        leader, began = int(number), int(start)
    except (OSError, ValueError):
        leader, began, space = 0, 0, ""  # there was none
    beyond = {os.getpid()}
    while True:
        alive = list(processes())
        ours = space == os.readlink("/proc/self/ns/pid") and all(p != leader or s == began for p, _, _, s in alive)
        found = [
            pid
            for pid, _, session, since in alive
            if pid not in beyond and ((ours and session == leader and since >= began) or marked(pid))
        ]
        if not found:
            break
        for pid in found:
            try:
                handle = os.pidfd_open(pid)
            except ProcessLookupError:
                continue  # gone by itself
            try:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                select.select([handle], [], [], 10)
            except PermissionError:
                beyond.add(pid)  # root's, by sudo
            except ProcessLookupError:
                pass
            finally:
                os.close(handle)


def marked(pid: int) -> bool:
    """Whether a program of ours, or who it has started, gave it its environment."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return MARK in file.read().split(b"\0")
    except OSError:
        return False  # gone, or not ours
