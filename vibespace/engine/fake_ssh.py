"""The inside of a fake container: an ssh server whose commands are processes of this machine.

It is given its connections one by one, so it listens nowhere and costs nothing until somebody dials.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
from collections.abc import Mapping
from pathlib import Path

import asyncssh

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Inside:
    """One fake container's connections. `mounts` says which directory stands for which path inside, `first` what every
    command's shell runs before it.
    """

    def __init__(
        self,
        host_key: bytes,
        authorized_key: str,
        mounts: Mapping[str, Path],
        environment: Mapping[str, str],
        first: str = "",
    ) -> None:
        self._host_key = asyncssh.import_private_key(host_key)
        self._authorized = asyncssh.import_authorized_keys(authorized_key)
        self._mounts = mounts
        self._environment = environment
        self._first = first
        self._serving: set[asyncio.Task[None]] = set()
        self._commands: set[asyncio.Task[None]] = set()

    def dial(self) -> socket.socket:
        """A connected, non-blocking socket to the server."""
        ours, theirs = _tcp_pair()
        task = asyncio.create_task(self._serve(theirs))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        return ours

    async def close(self) -> None:
        """End all connections, and every command with them, as the end of a container does."""
        for tasks in (self._serving, self._commands):
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, sock: socket.socket) -> None:
        try:
            connection = await asyncssh.run_server(
                sock,
                server_factory=lambda: _Server(self._mounts, self._environment, self._first, self._commands),
                server_host_keys=[self._host_key],
                authorized_client_keys=self._authorized,
                encoding=None,
            )
        except (OSError, asyncssh.Error):
            return  # whoever dialled went away, or was not let in, which he was told
        try:
            await connection.wait_closed()
        finally:
            connection.abort()


def end_programs(home: Path) -> None:
    """Kill what outlives the command that started it, and has its home there or below: a container's end would."""
    begin = b"\0HOME=" + os.fsencode(home)
    while found := [pid for pid in filter(str.isdigit, os.listdir("/proc")) if _lives_in(pid, begin)]:
        for pid in found:
            with contextlib.suppress(ProcessLookupError):  # gone by itself
                os.kill(int(pid), signal.SIGKILL)


def _lives_in(pid: str, begin: bytes) -> bool:
    try:
        environment = b"\0" + Path("/proc", pid, "environ").read_bytes()
    except OSError:
        return False  # gone, or not ours
    place = environment.find(begin)
    return place >= 0 and environment[place + len(begin) : place + len(begin) + 1] in (b"\0", b"/")


def _tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of one connection. Not a socketpair: asyncssh wants addresses, which only TCP has."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        while True:
            theirs, address = listener.accept()
            if address == ours.getsockname():
                break
            theirs.close()  # another process of this machine was quicker
    ours.setblocking(False)
    theirs.setblocking(False)
    return ours, theirs


class _Server(asyncssh.SSHServer):
    def __init__(
        self, mounts: Mapping[str, Path], environment: Mapping[str, str], first: str, commands: set[asyncio.Task[None]]
    ) -> None:
        self._mounts = mounts
        self._environment = environment
        self._first = first
        self._commands = commands

    def session_requested(self) -> _Process:
        return _Process(self._mounts, self._environment, self._first, self._commands)

    def connection_requested(self, dest_host: str, *_more: object) -> bool:
        return dest_host in LOOPBACK


class _Process(asyncssh.SSHServerProcess[bytes]):
    """One command, in a process group of its own."""

    def __init__(
        self, mounts: Mapping[str, Path], environment: Mapping[str, str], first: str, commands: set[asyncio.Task[None]]
    ) -> None:
        super().__init__(self._run, None, 0, False)
        self._mounts = mounts
        self._environment = environment
        self._first = first
        self._commands = commands
        self._group = 0

    def signal_received(self, name: str) -> None:
        self._kill(getattr(signal, f"SIG{name}", signal.SIGTERM))

    def connection_lost(self, exc: Exception | None) -> None:
        self._kill(signal.SIGKILL)
        super().connection_lost(exc)

    async def _run(self, _process: asyncssh.SSHServerProcess[bytes]) -> None:
        """A task of the library's, which forgets it: whoever ends us waits for it."""
        task = asyncio.current_task()
        assert task is not None
        self._commands.add(task)
        task.add_done_callback(self._commands.discard)
        home = self._mounts["/home/agent"]
        command = ("/bin/bash", "-c", self._local(self._first + self.command)) if self.command else ("/bin/bash",)
        (stdin, to_stdin), (from_stdout, stdout), (from_stderr, stderr) = os.pipe(), os.pipe(), os.pipe()
        login = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "USER": "agent", "LANG": "C.UTF-8"}
        started = await asyncio.create_subprocess_exec(
            *command,
            cwd=home,
            env={**login, **{name: self._local(value) for name, value in self._environment.items()}},
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        for end in (stdin, stdout, stderr):
            os.close(end)
        self._group = started.pid
        try:
            await self.redirect(to_stdin, from_stdout, from_stderr)
            await self.stdout.drain()
            await self.stderr.drain()
            code = await started.wait()
            if code < 0:
                self.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))
            else:
                self.exit(code)
        finally:
            self._kill(signal.SIGKILL)
            self._group = 0
            while started.returncode is None:
                with contextlib.suppress(asyncio.CancelledError):  # it is about to be gone
                    await started.wait()
            await self.wait_closed()

    def _local(self, command: str) -> str:
        """The command with the container's paths as this machine's: there is no mount namespace around it."""
        inside = "|".join(re.escape(path) for path in self._mounts)
        return re.sub(rf"(?<![\w./-])({inside})(?![\w-])", lambda found: str(self._mounts[found[0]]), command)

    def _kill(self, number: int) -> None:
        if self._group:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._group, number)
