"""Whether agents are kept from this machine and private networks, and that they are where that can be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from threading import Lock
from typing import Protocol

from vibespace.app.feed import Feed
from vibespace.domain.agents import RUNNING
from vibespace.domain.vibespaces import Vibespace
from vibespace.engine.base import FAKE, KUBERNETES
from vibespace.errors import Error
from vibespace.v1.system_pb2 import SEVERITY_OK, SEVERITY_WARNING, Finding
from vibespace.v1.vibespaces_pb2 import Guard as GuardMessage


class Firewall(Protocol):
    """See setup/guard.py."""

    def hold(self, owner: str, allowed: Collection[tuple[str, str]]) -> None:
        """Make all rules, and open exactly what is `allowed`."""

    def impossible(self) -> str:
        """Why they cannot hold on this machine."""

    def missing(self) -> str:
        """Why they do not hold."""


class Guard:
    """Of one engine. `bridge` says which interface a vibespace's network is, `there` whether this machine has it."""

    def __init__(
        self, feed: Feed, firewall: Firewall, bridge: Callable[[Vibespace], str], there: Callable[[str], bool]
    ) -> None:
        self._feed = feed
        self._firewall = firewall
        self._bridge = bridge
        self._there = there
        self._one_at_a_time = Lock()
        self._refusal = ""

    async def run(self) -> None:
        """From the start on, and when what is opened changes, the firewall has it."""
        held: object = None
        while True:
            wanted = self._wanted() if self._feed.state.host and not self._cannot() else None
            if wanted is not None and wanted != held:
                with suppress(Error):  # `info` and `doctor` tell it, and an agent that starts fails of it
                    await asyncio.to_thread(self.hold)
                held = wanted
            await self._feed.news()

    def hold(self) -> None:
        """See that the firewall has it, where it can. Raises Aborted FIREWALL_REFUSED."""
        if self._cannot():
            return
        with self._one_at_a_time:  # what is wanted is looked up inside: the last one knows the most
            try:
                self._firewall.hold(self._feed.log_id, self._wanted())
            except Error as e:
                self._refusal = e.sentence
                raise
            self._refusal = ""

    async def of(self, vibespace: Vibespace) -> GuardMessage:
        """What `info` says of one."""
        reason = await asyncio.to_thread(self._why_not)
        if not reason and self.elsewhere(vibespace):
            reason = "its network is not on this machine: the engine is on another"
        return GuardMessage(held=not reason, reason=reason)

    def elsewhere(self, vibespace: Vibespace) -> bool:
        """Whether its network shows that the engine is on another machine; a user's networks are seen nowhere."""
        host = self._feed.state.host
        running = any(agent.observed == RUNNING for agent in self._feed.state.agents(vibespace.name))
        engine = host.engine if host is not None else {}
        hidden = bool(engine.get("rootless")) or engine.get("brand") == KUBERNETES
        return running and not hidden and not self._there(self._bridge(vibespace))

    async def excuse(self, vibespace: Vibespace) -> str:
        """Why it need not hold for one; empty where it ought to, whether it does or not."""
        if self._on_cluster():
            return self._unenforced()
        return "" if vibespace.closed else self._cannot() or await asyncio.to_thread(self._firewall.impossible)

    def stranger(self) -> str:
        """Why agents need not be kept from this machine as such; empty where it is one of the engine's."""
        host = self._feed.state.host
        ours = host is not None and host.engine.get("private")
        return "this machine is none of the cluster's" if self._on_cluster() and not ours else ""

    async def finding(self) -> Finding:
        """What `doctor` says."""
        reason = await asyncio.to_thread(self._why_not)
        where = "the cluster's machines" if self._on_cluster() else "this machine"
        if not reason:
            text = f"Agents reach neither what listens on {where} nor private networks."
            return Finding(severity=SEVERITY_OK, subject="guard", message=text)
        text = f"Agents may reach what listens on {where}, and private networks: {reason}."
        host = self._feed.state.host
        engine = host.engine if host is not None and host.engine else {}
        open_only = engine.get("rootless") or engine.get("brand") == FAKE  # a closed network is refused, or is none
        if self._on_cluster():
            hint = "'vibespace doctor --isolation' tells what they do reach, by real connections."
            return Finding(severity=SEVERITY_WARNING, subject="guard", message=text, hint=hint)
        hint = "An engine that runs as root has a guard." if open_only else "'--network none' closes a network."
        return Finding(severity=SEVERITY_WARNING, subject="guard", message=text, hint=hint)

    def _why_not(self) -> str:
        """A clause, whoever says it: what is a sentence gives up its full stop."""
        if self._on_cluster():
            return self._unenforced()
        try:
            reason = self._cannot() or self._refusal or self._firewall.missing()
        except Error as e:
            reason = e.sentence
        return reason.removesuffix(".")

    def _cannot(self) -> str:
        """Why rules here would be of no use."""
        host = self._feed.state.host
        if host is None or not host.engine:
            return "no engine has been chosen"
        if host.engine["brand"] == FAKE:
            return "the engine is fake, and its agents are processes of this machine"
        if host.engine["brand"] == KUBERNETES:
            return "only the cluster's own network can keep agents from it"
        if host.engine.get("rootless"):
            return "only root can guard this machine, and the engine runs without root"
        return ""

    def _on_cluster(self) -> bool:
        host = self._feed.state.host
        return host is not None and host.engine.get("brand") == KUBERNETES

    def _unenforced(self) -> str:
        """Why a cluster does not do what it was told; empty where it was seen to."""
        host = self._feed.state.host
        match host.engine.get("enforces_network_policies") if host is not None else None:
            case True:
                return ""
            case False:
                return "the cluster's network did not enforce NetworkPolicies when 'vibespace init' tried that"
            case _:
                return (
                    "whether the cluster's network enforces NetworkPolicies was not tried, which 'vibespace init' does"
                )

    def _wanted(self) -> set[tuple[str, str]]:
        everything = list(self._feed.state.vibespaces.values())  # at once: this is another thread than the feed's
        found = [each for each in everything if "allow" in each.spec]
        return {(self._bridge(each), text) for each in found for text in each.spec["allow"]}
