"""What agents reach that they should not, tried by real connections from inside what runs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any

from vibespace.app.feed import Feed
from vibespace.daemon import trials
from vibespace.daemon.guard import Guard
from vibespace.daemon.trials import Trial
from vibespace.domain import names
from vibespace.domain.agents import RUNNING
from vibespace.domain.vibespaces import Vibespace
from vibespace.engine.base import FAKE, SSHD_PORT
from vibespace.errors import Error, FailedPrecondition, Unavailable, ended
from vibespace.net.base import Prober, Seen, Target
from vibespace.v1.system_pb2 import SEVERITY_WARNING, Finding

_AT_ONCE = 8
_NEIGHBOURS = 16
_HANDFUL = 4
"""Addresses of each: one that somebody has put into many networks by hand has more."""
_GATEWAYS = 3
_MACHINE = 48
"""Of the addresses of this machine, which has some for each network. Together no more than probe.AT_ONCE are tried from
one agent.
"""
_SECONDS = 15.0
"""For one agent; what it tries takes less than two, unless its machine is very busy."""
_IN_ALL = 180.0
"""Seconds for all of them: 16 that answer take five, on two processors that have much else to do."""
_NODES = 16
"""Of what the machines of a cluster serve."""
_OWN = ("127.0.0.1", SSHD_PORT)
"""Always there: who does not reach it, has tried nothing."""
_METADATA = ("169.254.169.254", 80)
Locate = Callable[[Collection[str]], Awaitable[Mapping[str, Sequence[str]]]]
"""Addresses by the uid of an agent."""


class Surroundings:
    """What there is to try on this machine: see net/probe.py."""

    def __init__(
        self,
        addresses: Callable[[], list[str]],
        gateways: Callable[[], list[str]],
        reached: Callable[[list[Target]], list[Target]],
        paths: Callable[[], Sequence[str]],
        nodes: Callable[[], Sequence[Target]] = tuple,
    ) -> None:
        """`paths` are sockets of engines, and what we hold; `nodes` what the machines of a cluster serve."""
        self.addresses = addresses
        self.gateways = gateways
        self.reached = reached
        self.paths = paths
        self.nodes = nodes

    def private(self) -> list[Target]:
        """Of private networks, what answers from here; what does not proves nothing inside."""
        gateways = [gateway for gateway in self.gateways()[:_GATEWAYS] if ip_address(gateway).is_private]
        found = [_METADATA, *((gateway, port) for gateway in gateways for port in (80, 443)), *self.nodes()[:_NODES]]
        return self.reached(found)


class Isolation:
    """For `doctor`."""

    def __init__(self, feed: Feed, guard: Guard, prober: Prober, locate: Locate, here: Surroundings) -> None:
        """`locate` is LateEngine.addresses."""
        self._feed = feed
        self._guard = guard
        self._prober = prober
        self._locate = locate
        self._here = here
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._looking: set[asyncio.Task[Seen]] = set()
        """Those that nobody waits for any more are in it too, until they have ended."""

    async def examine(self, parent: str) -> list[Finding]:
        """From inside one vibespace, or all, in bounded time: who does not answer in it was not tried.

        Raises NotFound, FailedPrecondition NOTHING_RUNS, ENGINE_FAKE, and what the engine does.
        """
        until = asyncio.get_running_loop().time() + _IN_ALL
        only = names.parse_vibespace(parent, "parent") if parent else names.ANY
        chosen = [self._feed.state.vibespace(only)] if only != names.ANY else [*self._feed.state.vibespaces.values()]
        running = self._running()
        within = [each for each in chosen if each.name in running]
        if not within:
            raise FailedPrecondition(
                "NOTHING_RUNS",
                "No agent runs from inside which anything could be tried.",
                hint="Start or create one; it may be deleted afterwards.",
            )
        located = await self._located(running)
        private = await asyncio.to_thread(self._here.private)
        found = await asyncio.gather(*(self._try(each, running[each.name], located, private, until) for each in within))
        return [finding for findings in found for finding in findings]

    async def _located(self, running: Mapping[str, str]) -> Mapping[str, Sequence[str]]:
        """By vibespace where the engine has that agent: one that told it itself could name another's place."""
        try:
            async with asyncio.timeout(_SECONDS):
                found = await self._locate(running.values())
        except TimeoutError:
            found = {}
        return {name: found.get(uid, ()) for name, uid in running.items()}

    def _running(self) -> dict[str, str]:
        """By vibespace the uid of an agent that runs."""
        state = self._feed.state
        if state.host and state.host.engine.get("brand") == FAKE:
            raise FailedPrecondition("ENGINE_FAKE", f"The engine is {FAKE} and keeps nobody from anything.")
        if not self._feed.engine_seen:
            raise Unavailable("ENGINE_UNREACHABLE", "The engine has not been seen yet.", hint="See 'vibespace doctor'.")
        return {agent.vibespace: agent.uid for agent in reversed([*state.agents()]) if agent.observed == RUNNING}

    async def _try(
        self,
        vibespace: Vibespace,
        uid: str,
        located: Mapping[str, Sequence[str]],
        private: Sequence[Target],
        until: float,
    ) -> list[Finding]:
        try:
            async with asyncio.timeout_at(until), self._slots:  # around the listeners too: each has descriptors
                return await self._try_now(vibespace, uid, located, private)
        except TimeoutError:
            hint = f"Try it alone: 'vibespace doctor --isolation --vibespace {vibespace.name}'."
            late = Unavailable("PROBE_FAILED", f"all together took more than {_IN_ALL:.0f} seconds", hint=hint)
            return [_untried(vibespace, late)]

    async def _look(self, look: Coroutine[Any, Any, Seen]) -> Seen | Error:
        """What it sees. One that hangs may hang in its end as well, for which nobody waits."""
        looking = asyncio.create_task(look)
        self._looking.add(looking)
        looking.add_done_callback(self._ended)
        try:
            await asyncio.wait((looking,), timeout=_SECONDS)
            if not looking.done():
                return Unavailable("PROBE_FAILED", f"it did not answer within {_SECONDS:.0f} seconds")
            return looking.result()
        except Error as e:
            return e
        finally:
            looking.cancel()

    def _ended(self, looking: asyncio.Task[Seen]) -> None:
        self._looking.discard(looking)
        if not looking.cancelled():
            looking.exception()  # seen, though nobody may have waited for it

    async def _try_now(
        self, vibespace: Vibespace, uid: str, located: Mapping[str, Sequence[str]], private: Sequence[Target]
    ) -> list[Finding]:
        here = sorted(await asyncio.to_thread(self._here.addresses), key=lambda each: "%" in each)
        # Link-local ones are the last, for most are of other networks than this one's.
        others, apart = _neighbours(vibespace.name, located)
        allowed = vibespace.spec.get("allow", ())
        private = [each for each in private if not trials.is_opened(each, allowed)]
        with _listening() as (everywhere, loopback):
            machine = [(address, everywhere) for address in here]
            machine = [each for each in machine if not trials.is_opened(each, allowed)]
            of_machine = f", of {len(machine)}" if len(machine) > _MACHINE else ""
            machine = machine[:_MACHINE]
            targets = [_OWN, *machine, *others, *private]
            paths = self._here.paths()
            seen = await self._look(self._prober(uid, targets=targets, loopback=[loopback], paths=paths))
        if isinstance(seen, Seen) and _OWN not in seen.reached:
            seen = Unavailable("PROBE_FAILED", "from inside not even its own sshd was reached")
        if isinstance(seen, Error):
            return [_untried(vibespace, seen)]
        subject = _subject(vibespace)
        networks = await self._networks(vibespace, machine, seen.loopback, private, of_machine)
        networks.insert(2, apart)
        return [
            *(trials.judge(subject, trial, _words(seen.reached)) for trial in networks),
            trials.judge(subject, Trial("sockets of engines, and the state directory", paths), seen.opened),
            trials.powers(subject, seen, sudo=bool(vibespace.spec.get("sudo"))),
            trials.namespaces(subject, seen, self._brand()),
        ]

    def _brand(self) -> str:
        host = self._feed.state.host
        return str(host.engine.get("brand", "")) if host else ""

    async def _networks(
        self,
        vibespace: Vibespace,
        machine: Sequence[Target],
        loopback: Sequence[Target],
        private: Sequence[Target],
        of_machine: str,
    ) -> list[Trial]:
        excuse = await self._guard.excuse(vibespace)
        away = "the engine is on another machine" if self._guard.elsewhere(vibespace) else ""
        mute = "" if private else "nothing that was looked for answers there, from here either"
        return [
            Trial("this machine's addresses", _words(machine), away, excuse or self._guard.stranger(), of_machine),
            Trial("this machine's loopback", _words(loopback), away),
            Trial("private networks", _words(private), mute, excuse),
        ]


def _neighbours(name: str, located: Mapping[str, Sequence[str]]) -> tuple[list[Target], Trial]:
    """Those after it, in a ring, so that each is tried by as many; and what is told of it."""
    names = sorted(located)
    after = [*names[names.index(name) + 1 :], *names[: names.index(name)]]
    theirs = [found[:_HANDFUL] for found in map(located.__getitem__, after) if found]
    sample = f", in {_NEIGHBOURS} of {len(theirs)}" if len(theirs) > _NEIGHBOURS else ""
    targets = [(address, SSHD_PORT) for found in theirs[:_NEIGHBOURS] for address in found]
    alone = "the engine tells no address of another" if after else "no other vibespace runs"
    return targets, Trial("other vibespaces", _words(targets), "" if targets else alone, sample=sample)


def _untried(vibespace: Vibespace, why: Error) -> Finding:
    text = ended(f"not tried: anything: {why.message}")
    return Finding(severity=SEVERITY_WARNING, subject=_subject(vibespace), message=text, hint=why.hint)


def _subject(vibespace: Vibespace) -> str:
    return f"isolation of {vibespace.name}"


@contextmanager
def _listening() -> Iterator[tuple[int, int]]:
    """A port of all addresses of this machine, and one of its loopback. The kernel accepts; nobody is spoken with."""
    family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    both = family == socket.AF_INET6
    with (
        socket.create_server(("", 0), family=family, dualstack_ipv6=both, backlog=512) as everywhere,
        socket.create_server(("127.0.0.1", 0), backlog=64) as loopback,
    ):
        yield everywhere.getsockname()[1], loopback.getsockname()[1]


def _words(targets: Sequence[Target]) -> list[str]:
    return [trials.told(each) for each in targets]
