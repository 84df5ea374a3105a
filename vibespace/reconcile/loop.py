"""Makes it so: wakes for what changed, asks a pure plan what to do, does it, and asks again.

Level-triggered: a wake-up says only that a key deserves a look. Nothing is remembered here that the log and the engine
do not say again after a restart.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol
from uuid import UUID

from vibespace.app import agents as agent_commands
from vibespace.app import handing
from vibespace.app import host as host_commands
from vibespace.app import vibespaces as vibespace_commands
from vibespace.app.feed import Feed
from vibespace.app.live import State
from vibespace.app.vault import Vault
from vibespace.app.writer import Command, Request, Writer
from vibespace.domain.agents import FAILED, Agent
from vibespace.domain.aggregate import Aggregate
from vibespace.domain.credentials import Credential
from vibespace.domain.vibespaces import Vibespace
from vibespace.engine.base import AgentSpec, Condition, Engine, Snapshot, Status, Target
from vibespace.errors import Error, Exhausted, NotFound, Unavailable
from vibespace.net.base import Shell
from vibespace.net.gitbase import GitKeeper, Repositories, Worktrees
from vibespace.reconcile import agents, git, vibespaces
from vibespace.reconcile.credentials import Handing
from vibespace.reconcile.queue import Queue

_AT_ONCE = 8
"""Engine calls under way at the same time."""
_SECOND_LOOK = 5.0
"""Seconds after which an engine that said yes is looked at again, should no Snapshot have come."""
_LONGEST = 600.0
"""Seconds after which one that does not answer is given up. Its calls have limits of their own; this holds for all."""
_FIRST_SNAPSHOT = 150.0
"""Seconds that the engine gets to show what there is, which begins with starting it and takes a call or two."""
_PATIENCE = 5.0
"""Longest pause, in seconds, before the engine is asked again whether it answers."""

_log = logging.getLogger(__name__)


class Keys(Protocol):
    """The key files of agents. Each call may wait for the disk."""

    def make_host_key(self, agent_uid: str) -> bytes:
        """Private key of that agent's sshd, OpenSSH format; made when there is none."""

    def authorized_key(self) -> str:
        """Our public key, one line."""

    def delete(self, agent_uid: str) -> None:
        """That agent is gone."""


class Reconciler:
    """One per engine. `run` until cancelled."""

    def __init__(
        self,
        feed: Feed,
        writer: Writer,
        engine: Engine,
        shell: Shell,
        repositories: Repositories,
        worktrees: Worktrees,
        keys: Keys,
        vault: Vault,
        git_keeper: GitKeeper,
        prepare: Callable[[AgentSpec], None],
    ) -> None:
        """`prepare` sees that this machine is fit for an agent that is about to start. It may wait for the disk, and
        raises what makes it unfit.
        """
        self._feed = feed
        self._writer = writer
        self._engine = engine
        self._shell = shell
        self._repositories = repositories
        self._worktrees = worktrees
        self._keys = keys
        self._vault = vault
        self._prepare = prepare
        self._handing = Handing(feed, vault, git_keeper)
        self._statuses: dict[str, Status] = {}
        self._begun: set[str] = set()
        """Those that the engine was told to start and not to end since: no Snapshot may have shown them yet."""
        self._ended: dict[str, float] = {}
        """When those were stopped that no Snapshot begun since has shown: what an older one shows of them is gone."""
        self._doubted: dict[str, Status] = {}
        """What such an older one showed: believed when no other has come by the second look, for it shows the next."""
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def run(self) -> None:
        """Until cancelled: what the engine shows and what people ask become what is."""
        self._feed.engine_is_seen(False)  # whatever another loop has seen: all is looked at anew
        async with asyncio.TaskGroup() as tasks:
            self._queue = Queue(tasks, self._step)
            self._logins = Queue(tasks, self._step_logins)
            tasks.create_task(self._follow_engine())
            tasks.create_task(self._follow_intent())
            try:
                await asyncio.Event().wait()  # until cancelled, from outside or because a follower failed
            finally:
                self._queue.close()
                self._logins.close()

    # What wakes keys

    async def _follow_intent(self) -> None:
        position, mood = 0, self._feed.mood
        while True:
            state = self._feed.state
            everything = self._feed.mood != mood
            changed = state.aggregates.values() if everything else list(state.changed_since(position))
            for aggregate in list(changed):
                self._wake(aggregate, hurry=_is_asked(state, aggregate, position) or everything)
            for gone in state.gone_since(position):
                if isinstance(gone.aggregate, Credential):
                    self._wake(gone.aggregate, hurry=True)
            position, mood = state.position, self._feed.mood
            await self._feed.news()

    def _wake(self, aggregate: Aggregate, *, hurry: bool) -> None:
        wake: Callable[[str], None] = self._queue.hurry if hurry else self._queue.wake
        if isinstance(aggregate, Credential):
            for agent in handing.reached(self._feed.state, aggregate):
                self._logins.hurry(agent.uid)
        elif isinstance(aggregate, Agent | Vibespace):
            wake(aggregate.uid)
        if isinstance(aggregate, Vibespace):
            for agent in self._feed.state.agents(aggregate.name):
                wake(agent.uid)

    async def _follow_engine(self) -> None:
        pause = 0.1
        while True:
            try:
                snapshots = aiter(self._engine.watch())
                async with _limited(_FIRST_SNAPSHOT):
                    first = await anext(snapshots)  # the next may be long in coming: nothing may change
                pause = 0.1
                await self._take(first)
                async for snapshot in snapshots:
                    await self._take(snapshot)
            except Unavailable as e:
                self._feed.engine_is_seen(False)
                await self._note_engine(e.sentence)
            except Error as e:  # it answers, and refuses to list: what was seen of it still holds
                _log.warning("the engine could not be followed: %s", e.message)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _PATIENCE)

    async def _take(self, snapshot: Snapshot) -> None:
        before, now = self._statuses, {status.agent_uid: status for status in snapshot.statuses}
        self._ended = {uid: ended for uid, ended in self._ended.items() if snapshot.begun < ended}
        self._doubted = {uid: now.pop(uid) for uid in self._ended if uid in now}
        self._statuses = now
        changed = [uid for uid in before.keys() | now.keys() if before.get(uid) != now.get(uid)]
        for uid in changed:
            if uid in before and (uid not in now or now[uid].started != before[uid].started):
                await self._shell.forget(uid)
        if not self._feed.engine_seen:
            self._feed.engine_is_seen(True)
            await self._note_engine("")
            changed = [aggregate.uid for aggregate in self._feed.state.aggregates.values()]
        for uid in (*changed, *self._doubted):
            self._queue.wake(uid)

    def _shown(self, agent_uid: str) -> Status | None:
        doubted = self._doubted.get(agent_uid)
        if doubted and time.monotonic() - self._ended[agent_uid] >= _SECOND_LOOK:
            return doubted
        return self._statuses.get(agent_uid)

    async def _note_engine(self, reason: str) -> None:
        """Why the engine does not answer; empty: it does. A full disk is no reason to stop following it."""
        try:
            await self._record(partial(host_commands.observe_engine, reason=reason))
        except Exhausted as e:
            _log.warning("what the engine does was not recorded: %s", e.message)

    # What a woken key gets

    async def _step(self, uid: str) -> bool:
        """Look at one key until there is nothing to do; False when something failed."""
        try:
            while self._feed.engine_seen and (found := self._find(uid)):
                if isinstance(found, Agent):
                    done, good = await self._step_agent(found)
                else:
                    done, good = await self._step_vibespace(found)
                if done:
                    return good
        except NotFound:
            return True  # it went while we looked
        except Error as e:
            _log.info("%s waits: %s", uid, e.message)
            return False
        return True

    def _find(self, uid: str) -> Agent | Vibespace | None:
        found = self._feed.state.aggregates.get(UUID(uid))
        return found if isinstance(found, Agent | Vibespace) else None

    async def _step_agent(self, agent: Agent) -> tuple[bool, bool]:
        state = self._feed.state
        host, vibespace = state.host, state.vibespace_of(agent)
        assert host is not None
        host_key = await asyncio.to_thread(self._keys.make_host_key, agent.uid)
        authorized_key = await asyncio.to_thread(self._keys.authorized_key)
        values = self._vault.values(agent.uid)
        spec = agents.specify(agent, vibespace, host.image, host_key, authorized_key, values)
        status, begun = self._shown(agent.uid), agent.uid in self._begun
        match agents.plan(agent, vibespace, host, spec, status, begun=begun):
            case None:
                if status and status.condition == Condition.RUNNING:
                    self._logins.wake(agent.uid)
                return True, True
            case agents.Observe(seen, reason, image):
                await self._observe(agent, vibespace, seen, reason, image)
                return seen == FAILED, seen != FAILED
            case agents.Apply(wanted):
                self._queue.later(agent.uid, _SECOND_LOOK)  # the engine may say yes, and show something else
                if not await self._ask_engine(partial(self._apply, agent, wanted), agent, vibespace):
                    return True, False
                if not wanted.running:
                    await self._note_ended(agent.uid)
                return wanted.running, True
            case agents.Delete(target, keep_data):
                delete = partial(self._engine.delete, target, keep_data=keep_data)
                if not await self._ask_engine(delete, agent, vibespace):
                    return True, False
                self._begun.discard(agent.uid)
                await self._shell.forget(agent.uid)
                await asyncio.to_thread(self._keys.delete, agent.uid)  # before it is forgotten whose key that was
                await asyncio.to_thread(self._vault.delete, agent.uid)
                await self._delete_credentials(agent)
                await self._record(
                    partial(agent_commands.complete_deletion, vibespace=vibespace.name, name=agent.name),
                    agent,
                    vibespace,
                )
                self._handing.forget(agent.uid)
                self._logins.hurry(agent.uid)  # which finds nobody, and forgets what failed
                return True, True

    async def _step_logins(self, uid: str) -> bool:
        """Give an agent that runs its logins: apart from its step, which it could keep from ever stopping it."""
        agent, status = self._find(uid), self._shown(uid)
        if not isinstance(agent, Agent) or status is None or status.condition != Condition.RUNNING:
            return True  # it is looked at again when it runs
        try:
            await self._handing.see_to(agent, status.started)
        except Error as e:
            _log.info("%s waits for its logins: %s", uid, e.message)
            return self._find(uid) is None
        return True

    async def _give_logins(self, uid: str) -> None:
        """Return when the agent has its logins; raises what Handing.see_to raises."""
        agent, status = self._find(uid), self._shown(uid)
        if isinstance(agent, Agent) and status:
            await self._handing.see_to(agent, status.started)

    async def _apply(self, agent: Agent, spec: AgentSpec) -> None:
        if spec.running:
            agents.check_values(agent, spec)
            await asyncio.to_thread(self._prepare, spec)
            self._begun.add(agent.uid)
        await self._engine.apply(spec)

    async def _note_ended(self, agent_uid: str) -> None:
        """Its container is gone, whatever the next Snapshot says of it: somebody may have asked for a start by now."""
        self._begun.discard(agent_uid)
        self._handing.forget(agent_uid)
        self._statuses.pop(agent_uid, None)
        self._doubted.pop(agent_uid, None)
        self._ended[agent_uid] = time.monotonic()
        await self._shell.forget(agent_uid)

    async def _ask_engine(self, ask: Callable[[], Awaitable[None]], agent: Agent, vibespace: Vibespace) -> bool:
        """Tell the engine; the next Snapshot wakes the key again. False when it refused, and the agent shows why."""
        try:
            async with self._slots, _limited(_LONGEST):
                await ask()
        except Unavailable:
            raise
        except Error as e:
            await self._observe(agent, vibespace, FAILED, e.sentence, "")
            return False
        return True

    async def _step_vibespace(self, vibespace: Vibespace) -> tuple[bool, bool]:
        state = self._feed.state
        assert state.host is not None
        match vibespaces.plan(vibespace, list(state.agents(vibespace.name)), state.host):
            case None:
                return True, True
            case vibespaces.Clone() as asked:
                logins = partial(self._give_logins, asked.agent_uid)
                await self._record(await git.clone(self._repositories, vibespace, asked, logins), vibespace)
                return True, True
            case vibespaces.MakeWorktrees(missing):
                await git.make_worktrees(self._worktrees, missing, lambda *told: self._record(*told, vibespace))
                return True, True
            case vibespaces.RemoveWorktree() as asked:
                await self._record(await git.remove_worktree(self._worktrees, vibespace, asked), vibespace)
                return True, True
            case vibespaces.Delete(target, keep_data):
                return True, await self._delete(vibespace, target, keep_data)

    async def _delete(self, vibespace: Vibespace, target: Target, keep_data: bool) -> bool:
        """Take away what is left of it; False when the engine refused, and the vibespace shows why."""
        command: Command = partial(vibespace_commands.complete_deletion, name=vibespace.name)
        try:
            async with self._slots, _limited(_LONGEST):
                await self._engine.delete(target, keep_data=keep_data)
        except Unavailable:
            raise
        except Error as e:
            command = partial(vibespace_commands.deletion_failed, name=vibespace.name, reason=e.sentence)
            await self._record(command, vibespace)
            return False
        await self._delete_credentials(vibespace)
        await self._record(command, vibespace)
        return True

    async def _delete_credentials(self, whose: Agent | Vibespace) -> None:
        """The values of those that are for it alone, which go with it."""
        for credential in list(self._feed.state.credentials.get(whose.subject, {}).values()):
            await asyncio.to_thread(self._vault.delete, credential.sealed)

    # What is recorded

    async def _observe(self, agent: Agent, vibespace: Vibespace, state: str, reason: str, image: str) -> None:
        command = partial(
            agent_commands.observe_agent,
            vibespace=vibespace.name,
            name=agent.name,
            state=state,
            reason=reason,
            image=image,
            generation=agent.generation,
            vibespace_generation=vibespace.generation,
        )
        await self._record(command, agent, vibespace)

    async def _record(self, command: Command, *about: Aggregate) -> None:
        state = self._feed.state
        host = [state.host] if state.host else []
        await self._writer.run(command, Request("daemon", cause=state.cause(*about, *host) if about else ""))


@asynccontextmanager
async def _limited(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as e:
        text = "The container engine did not answer in time."
        raise Unavailable("ENGINE_UNREACHABLE", text, hint="See that it runs.") from e


def _is_asked(state: State, aggregate: Aggregate, position: int) -> bool:
    """The news about `aggregate` is that somebody asked for something."""
    return state.asked.get(aggregate.id, (0, ""))[0] > position
