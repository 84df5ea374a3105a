"""`python -m vibespace.daemon`: puts the rooms together and serves. The one place that knows them all."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from functools import partial
from uuid import uuid4

import grpc

from vibespace import __version__, config
from vibespace.app import credentials, handing
from vibespace.app import host as host_commands
from vibespace.app.blobs import Blobs
from vibespace.app.deltas import Deltas
from vibespace.app.feed import Feed
from vibespace.app.log import Log
from vibespace.app.settings import Programs, wanted
from vibespace.app.writer import Request, Writer
from vibespace.daemon import debuglog, lock, memory, outside, server
from vibespace.daemon.agents import AgentServicer
from vibespace.daemon.approvals import ApprovalServicer
from vibespace.daemon.auditor import Auditor
from vibespace.daemon.checkpointer import Checkpointer
from vibespace.daemon.conversations import ConversationServicer
from vibespace.daemon.credentials import CredentialServicer, findings
from vibespace.daemon.doctor import Doctor
from vibespace.daemon.engines import LateEngine, machines, open_engine
from vibespace.daemon.events import EventServicer
from vibespace.daemon.guard import Guard
from vibespace.daemon.hostpaths import SOCKETS, HostPaths
from vibespace.daemon.isolation import Isolation, Surroundings
from vibespace.daemon.logins import Logins
from vibespace.daemon.looking import Looking
from vibespace.daemon.measuring import Measuring
from vibespace.daemon.returning import Installed
from vibespace.daemon.sealing import Sealing
from vibespace.daemon.system import SystemServicer
from vibespace.daemon.vibespaces import VibespaceServicer
from vibespace.domain.agents import Agent
from vibespace.domain.repositories import BARE, WORKTREES
from vibespace.domain.vibespaces import Vibespace
from vibespace.domain.worktrees import directory
from vibespace.engine import bodies
from vibespace.engine.base import FAKE, KUBERNETES, AgentSpec
from vibespace.errors import Error, Exhausted, Unavailable
from vibespace.harness.registry import HARNESSES
from vibespace.launch import LOCKED, READY, ensure_home, failure
from vibespace.net import probe
from vibespace.net.files import Files
from vibespace.net.git import Git
from vibespace.net.gitaccess import GitAccessFiles
from vibespace.net.keys import KeyFiles
from vibespace.net.logins import InsideLoginLooker
from vibespace.net.prober import InsideProber
from vibespace.net.programs import RunnerPrograms
from vibespace.net.shell import SshShell
from vibespace.net.worktrees import GitWorktrees
from vibespace.reconcile.approvals import Timeouts
from vibespace.reconcile.checkpoints import Checkpoints
from vibespace.reconcile.doors import Doors
from vibespace.reconcile.drivers import Drivers
from vibespace.reconcile.loop import Reconciler
from vibespace.reconcile.tools import Tools
from vibespace.setup import firewall, guard, installation, podman, sshconfig
from vibespace.state import State
from vibespace.state import state as find_state
from vibespace.vault import Vault

_FIRST_LOOK = 0.5
"""Seconds that a start waits for the engine's first Snapshot, at most."""
_PAUSE = 2.0
"""Seconds until an engine that could not be opened is tried again."""


class Daemon:
    """One state directory, served."""

    def __init__(self, state: State, vault: Vault | None = None, note_rest: Callable[[], None] = lambda: None) -> None:
        """`note_rest` leaves word that this daemon has ended because everything is at rest."""
        self._state = state
        self._note_rest = note_rest
        self._vault = vault or Vault(state.vault)
        self._stop = asyncio.Event()
        self._ends_at_rest = asyncio.Event()

    async def run(self, ready_fd: int | None) -> None:
        """Serve until SIGTERM, SIGINT, or until everything rests after a bare `stop`."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        async with AsyncExitStack() as stack:
            log = Log(self._state.log)
            stack.callback(log.close)
            folded = log.load()
            log.reserve.hold()
            self._vault.begin(credentials.owners(folded))
            self._feed = Feed(log, folded.copy())
            self._checkpointer, self._auditor = Checkpointer(self._feed, log), Auditor(self._feed, log)
            stack.push_async_callback(self._checkpointer.close)
            self._writer = Writer(log, folded, self._feed.publish, _now, uuid4, self._vault.mask)
            stack.push_async_callback(self._writer.close)
            if self._feed.state.host is None:
                await self._writer.run(host_commands.begin_log, Request("daemon"))
            self._installed = Installed(self._state, self._feed, self._writer)
            self._installed.mark()
            self._keys = KeyFiles(self._state.keys)
            self._paths = HostPaths(self._state.home, self._engine_address, os.environ)
            self._guard = Guard(self._feed, guard, _bridge, _is_here)
            self._late = LateEngine()
            self._measuring = Measuring(self._feed, lambda: self._late.engine)
            self._doctor = Doctor(
                self._feed,
                log,
                self._auditor,
                self._guard,
                self._measuring.disk,
                lambda: findings(self._feed.state, self._vault, _now()),
            )
            self._shell = SshShell(self._late, self._keys)
            stack.push_async_callback(self._shell.close)
            self._repositories = Git(self._shell)
            self._worktrees = GitWorktrees(self._shell, BARE, WORKTREES)
            self._logins = Logins(self._feed, InsideLoginLooker(self._shell))
            self._deltas, self._blobs = Deltas(self._vault.pieces), Blobs(self._state.blobs)
            self._drivers = Drivers(self._tools())
            self._timeouts = Timeouts(self._feed, self._writer, _now)
            grpc_server = await server.serve(self._state, self._feed, self._servicers(log), self._installed.require)
            stack.push_async_callback(grpc_server.stop, server.GRACE)
            await self._work(ready_fd, grpc_server)

    async def _work(self, ready_fd: int | None, grpc_server: grpc.aio.Server) -> None:
        """Reconcile until told to stop, or until all rests; then our own Podman ends too."""
        async with asyncio.TaskGroup() as tasks:
            reconciling, resting = tasks.create_task(self._reconcile()), tasks.create_task(self._end_at_rest())
            looking_after = [
                tasks.create_task(run())
                for run in (
                    self._checkpointer.run,
                    self._auditor.run,
                    self._hold_guard,
                    memory.run,
                    self._drivers.run,
                    self._time_out,
                )
            ]
            await self._first_look()
            gc.collect()
            gc.freeze()  # what a start has made stays: looking through it again and again costs callers 20 ms each time
            memory.keep_heaps()
            _tell(ready_fd, READY)
            await self._stop.wait()
            for task in (reconciling, resting, *looking_after):
                task.cancel()
        host = self._feed.state.host
        if resting.cancelled() or (host and host.engine and not host.resting):  # the second: woken on our way out
            return
        self._note_rest()  # before anybody is hung up on: who is not told by us looks there
        self._feed.end()
        await grpc_server.stop(server.GRACE)  # who starts everything now is to ask the next daemon
        ours = host and (host.engine.get("private") or not host.engine)  # or what an `init` that failed has left
        if ours and self._state.engine.exists():
            # Not before: who reconciles brings an engine that goes away back.
            await asyncio.to_thread(podman.stop, self._state.engine)

    async def _hold_guard(self) -> None:
        await self._installed.wait()
        await self._guard.run()

    async def _time_out(self) -> None:
        await self._installed.wait()
        await self._timeouts.run()

    async def _first_look(self) -> None:
        """Give the engine a moment to show what runs, so that the command that started us need not say `unknown`."""
        host = self._feed.state.host
        if not (host and host.engine and self._installed.now):
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_LOOK):
                while not self._feed.engine_seen and not self._stop.is_set():
                    await self._feed.news()

    async def _reconcile(self) -> None:
        while not (self._feed.state.host and self._feed.state.host.engine):
            await self._feed.news()
        await self._installed.wait()
        self._installed.mark()
        while True:
            try:
                engine = await open_engine(self._feed.state.host, self._state, os.environ)
                break
            except Error as e:
                lost = partial(host_commands.observe_engine, reason=e.sentence)
                with suppress(Exhausted):  # a full disk is no reason to give up on the engine
                    await self._writer.run(lost, Request("daemon"))
                await asyncio.sleep(_PAUSE)
        self._late.engine = self._doctor.engine = engine
        try:
            await Reconciler(
                self._feed,
                self._writer,
                engine,
                self._shell,
                self._repositories,
                self._worktrees,
                self._keys,
                self._vault,
                GitAccessFiles(self._shell),
                self._prepare,
            ).run()
        finally:
            await engine.close()

    async def _end_at_rest(self) -> None:
        """After a bare `stop`: return when nothing runs any more, and the daemon ends."""
        while True:
            await self._ends_at_rest.wait()
            host = self._feed.state.host
            if host is None or not host.engine:  # stopped before `init`
                break
            if not host.resting:  # woken before everything was at rest
                self._ends_at_rest.clear()
            elif self._feed.at_rest:
                break
            else:
                await self._feed.news()
        self._stop.set()

    def _directory(self, agent: Agent) -> str:
        return directory(agent, self._feed.state.vibespace_of(agent))

    def _tools(self) -> Tools:
        """What agents' programs are driven with."""
        return Tools(
            feed=self._feed,
            writer=self._writer,
            programs=RunnerPrograms(self._shell),
            harnesses=HARNESSES,
            blobs=self._blobs,
            deltas=self._deltas,
            checkpoints=Checkpoints(self._state.programs, self._vault.mask),
            mask=self._vault.mask,
            new_id=uuid4,
            settings=wanted,
            values=lambda agent: self._vault.values(agent.uid),
            environment=lambda agent: handing.environment(self._feed.state, self._vault, agent),
            keys=lambda agent: handing.environment_marks(self._feed.state, agent),
            directory=self._directory,
        )

    def _prepare(self, spec: AgentSpec) -> None:
        """Before an agent starts: what is shown to it is what was agreed to, and its network leads where it may."""
        self._paths.recheck(mount.source for mount in spec.mounts)
        self._guard.hold()
        host = self._feed.state.host
        if spec.closed and host and host.engine["brand"] not in (FAKE, KUBERNETES):
            firewall.close_networks()

    def _engine_address(self) -> str:
        host = self._feed.state.host
        return str(host.engine.get("address", "")) if host else ""

    def _surroundings(self) -> Surroundings:
        """What agents must not reach."""
        state = self._state
        held = [*SOCKETS, *map(str, (state.socket, state.log, state.config, state.keys / "client"))]
        return Surroundings(
            probe.addresses,
            probe.gateways,
            probe.reached,
            lambda: [*filter(None, [self._engine_address()]), *held],
            lambda: machines(self._feed.state.host, state),
        )

    def _servicers(self, log: Log) -> dict[str, object]:
        feed, writer, sealing = self._feed, self._writer, Sealing(self._feed, self._vault)
        measuring, looking = self._measuring, Looking(feed, self._worktrees)
        system = SystemServicer(
            feed,
            writer,
            self._doctor,
            Isolation(feed, self._guard, InsideProber(self._shell), self._late.addresses, self._surroundings()),
            home=str(self._state.home),
            version=__version__,
            outside=lambda: (
                *outside.listing(feed.state.host),
                *(f"{lines}: {outside.UNTIL_REMOVED}" for lines in sshconfig.outside(self._state)),
            ),
            initialized=self._installed.initialized,
            end_at_rest=self._ends_at_rest.set,
        )
        return {
            "vibespace.v1.VibespaceService": VibespaceServicer(
                feed,
                writer,
                self._repositories,
                sealing,
                self._paths,
                self._late.examine,
                measuring,
                looking,
                self._guard,
                lambda: config.load(self._state.config).network_allow,
            ),
            "vibespace.v1.AgentService": AgentServicer(
                feed,
                writer,
                self._shell,
                sealing,
                measuring,
                looking,
                Files(self._shell),
                self._late,
                Programs(feed),
            ),
            "vibespace.v1.ConversationService": ConversationServicer(
                feed, writer, self._deltas, self._blobs, Doors(feed, HARNESSES, wanted, self._directory).command
            ),
            "vibespace.v1.ApprovalService": ApprovalServicer(feed, writer),
            "vibespace.v1.CredentialService": CredentialServicer(feed, writer, sealing, self._logins),
            "vibespace.v1.EventService": EventServicer(feed, log, self._auditor, _now),
            "vibespace.v1.SystemService": system,
        }


def _bridge(vibespace: Vibespace) -> str:
    return bodies.bridge(vibespace.uid, closed=vibespace.closed)


def _is_here(bridge: str) -> bool:
    return any(bridge == name for _, name in socket.if_nameindex())  # /sys may show another network than ours


def _now() -> datetime:
    return datetime.now(UTC)


def _tell(ready_fd: int | None, line: str) -> None:
    """`ready`, or why not (launch.failure): to who started us, for the disk that stderr is on may be full."""
    if ready_fd is not None:
        with suppress(OSError):  # who started us has gone, or was told before; others may be served already
            os.write(ready_fd, f"{line}\n".encode())
            os.close(ready_fd)


def _refuse(ready_fd: int | None, error: Error) -> int:
    _tell(ready_fd, failure(error))
    with suppress(OSError):
        print(f"{error.message} {error.hint}".rstrip(), file=sys.stderr)  # noqa: T201 (for who started it by hand)
    return 1


def _unusable(error: OSError) -> Unavailable:
    return Unavailable("HOME_NOT_USABLE", f"The state directory cannot be used: {error}.")


def main() -> int:
    """Exit code 0 after an orderly end; with one line on stderr LOCKED when a daemon serves here already, 1 when this
    one cannot.
    """
    parser = argparse.ArgumentParser(prog="vibespace.daemon", description="Serves one state directory.")
    parser.add_argument("--ready-fd", type=int, help="descriptor that gets a line when the daemon serves")
    arguments = parser.parse_args()
    memory.share_one_heap()
    os.umask(0o077)
    try:
        state = find_state()
        ensure_home(state.home)
        held = lock.hold(state.lock)
        installation.refuse_leaving(state)
        vault = Vault(state.vault)
        debuglog.configure(state.debug_log, vault.mask, debug=os.environ.get("VIBESPACE_DEBUG") == "1")
        asyncio.run(Daemon(state, vault, partial(lock.note_rest, held)).run(arguments.ready_fd))
    except Error as e:
        if e.reason == "DAEMON_RUNNING":
            print(e.message, file=sys.stderr)  # noqa: T201 (for who started it by hand)
            return LOCKED
        return _refuse(arguments.ready_fd, e)
    except OSError as e:
        return _refuse(arguments.ready_fd, _unusable(e))
    return 0


if __name__ == "__main__":
    sys.exit(main())
