"""An agent: what it was asked to be, whether it should run, and what was last seen of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from eventsourcing.domain import event

from vibespace.domain import names
from vibespace.domain.aggregate import Aggregate
from vibespace.errors import FailedPrecondition

RUNNING, STOPPED, FAILED = "running", "stopped", "failed"
"""What can be observed; UNSEEN before the first observation."""
STARTING = "starting"
"""Observed when everything is woken, which changes no generation: from here on a container may be in the making."""
UNSEEN = ""
READY = "ready"
"""A worktree is UNSEEN, READY or FAILED."""


def given(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are set: one that is empty, or 0, is as if it was never given. Older events hold such, too."""
    return {name: value for name, value in settings.items() if value is False or value not in ("", "0", 0, [])}


class Agent(Aggregate):
    """Intent: settings, started, deleting, counted by generation. Observation: observed, and of which generations; and
    worktree.
    """

    TOPIC = "agent"

    class Event(Aggregate.Event):
        """See Aggregate.Event."""

    @event("Created", topic="agent.created")
    def __init__(
        self, vibespace_uid: str, vibespace: str, name: str, type: str, primary: bool, settings: dict[str, Any]
    ) -> None:
        self.vibespace_uid = vibespace_uid
        self.vibespace = vibespace
        self.name = name
        self.type = type
        self.primary = primary
        self.settings = given(settings)
        self.started = True
        self.deleting = False
        self.generation = 1
        self.observed = UNSEEN
        self.reason = ""
        self.image = ""
        self.observed_generation = 0
        self.observed_vibespace_generation = 0
        self.worktree = UNSEEN
        self.worktree_reason = ""
        self.worktree_notes: list[str] = []
        self.forced = False
        self.deleted = False

    @classmethod
    def name_subject(cls, **created: Any) -> str:
        return names.agent_name(created["vibespace"], created["name"])

    @property
    def subject(self) -> str:
        return names.agent_name(self.vibespace, self.name)

    @property
    def called(self) -> str:
        """As people say it."""
        return names.called(self.vibespace, self.name)

    @property
    def gone(self) -> bool:
        return self.deleted

    @property
    def env(self) -> list[str]:
        """Names of its environment variables; the values are in the vault."""
        return list(self.settings.get("env", ()))

    @property
    def shares_login(self) -> bool:
        """Its program's login is the one that agents of its vibespace share. Older events say nothing of it."""
        return bool(self.settings.get("share_credentials"))

    def change_settings(self, settings: Mapping[str, Any], unset: Collection[str] = ()) -> None:
        """Other values of these settings, and none of those in `unset`; which may change is the command's to say."""
        self.must_stay()
        wanted = given(settings)
        changed = {name: value for name, value in wanted.items() if self.settings.get(name) != value}
        gone = [name for name in (*settings, *unset) if name in self.settings and name not in wanted]
        if changed or gone:
            self._change_settings(settings=changed, unset=gone)

    def start(self) -> None:
        """It should run, when its vibespace does; asked again when it or its worktree failed, it is tried again now."""
        self.must_stay()
        if not self.started or FAILED in (self.observed, self.worktree):
            self._start()

    def stop(self) -> None:
        """It should be at rest."""
        self.must_stay()
        if self.started:
            self._stop()

    def check_deletion(self) -> None:
        """Raises FailedPrecondition AGENT_IS_PRIMARY."""
        if self.primary:
            raise FailedPrecondition(
                "AGENT_IS_PRIMARY",
                f"'{self.name}' is the primary agent of '{self.vibespace}' and goes only with it.",
                hint=f"Stop it with 'vibespace agent stop {self.called}', or delete the vibespace.",
            )

    def request_deletion(self, force: bool = False) -> None:
        """Take it away with its home and its worktree; `force`: whatever work there is in that one."""
        self.check_deletion()
        if not self.deleting:
            self._request_deletion(force=force)

    def observe(self, state: str, reason: str, image: str, generation: int, vibespace_generation: int) -> None:
        """What the engine shows of it; the same twice is no news."""
        seen = (state, reason, image, generation, vibespace_generation)
        if seen != (
            self.observed,
            self.reason,
            self.image,
            self.observed_generation,
            self.observed_vibespace_generation,
        ):
            self._observe(
                state=state,
                reason=reason,
                image=image,
                generation=generation,
                vibespace_generation=vibespace_generation,
            )

    def observe_worktree(self, state: str, reason: str = "", notes: Sequence[str] = ()) -> None:
        """How making its worktree went, READY or FAILED, and what is not in it; the same twice is no news."""
        if (state, reason, list(notes)) != (self.worktree, self.worktree_reason, self.worktree_notes):
            self._observe_worktree(state=state, reason=reason, notes=list(notes))

    def complete_deletion(self) -> None:
        """Nothing of it is left."""
        self._complete_deletion()

    def must_stay(self) -> None:
        if self.deleting:
            raise FailedPrecondition(
                "DELETING",
                f"Agent '{self.name}' is being deleted.",
                hint="'vibespace agent info' shows how far it is.",
                agent=self.name,
            )

    @event("SettingsChanged", topic="agent.settings_changed")
    def _change_settings(self, settings: dict[str, Any], unset: list[str]) -> None:
        self.settings = given({name: value for name, value in self.settings.items() if name not in unset} | settings)
        if self.observed_generation == self.generation:
            self.observed_generation += 1  # settings are the program's: its container is seen of this intent, too
        self.generation += 1

    @event("StartRequested", topic="agent.start_requested")
    def _start(self) -> None:
        self.started = True
        self.generation += 1
        self.worktree = UNSEEN  # looked at anew: whoever worked there may have removed it
        self.worktree_reason = ""
        self.worktree_notes = []

    @event("StopRequested", topic="agent.stop_requested")
    def _stop(self) -> None:
        self.started = False
        self.generation += 1

    @event("DeletionRequested", topic="agent.deletion_requested")
    def _request_deletion(self, force: bool = False) -> None:  # older events have no force
        self.deleting = True
        self.forced = force
        self.generation += 1

    @event("Observed", topic="agent.observed")
    def _observe(self, state: str, reason: str, image: str, generation: int, vibespace_generation: int) -> None:
        self.observed = state
        self.reason = reason
        self.image = image
        self.observed_generation = generation
        self.observed_vibespace_generation = vibespace_generation

    @event("WorktreeObserved", topic="agent.worktree_observed")
    def _observe_worktree(self, state: str, reason: str, notes: list[str]) -> None:
        self.worktree = state
        self.worktree_reason = reason
        self.worktree_notes = notes

    @event("Deleted", topic="agent.deleted")
    def _complete_deletion(self) -> None:
        self.deleted = True
