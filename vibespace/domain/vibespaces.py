"""A vibespace: what it was asked to be, whether it should run, and its repository."""

from __future__ import annotations

from typing import Any

from eventsourcing.domain import event

from vibespace.domain import mounts, names, repositories
from vibespace.domain.aggregate import Aggregate
from vibespace.domain.mounts import Mount
from vibespace.errors import FailedPrecondition

PENDING, READY, FAILED = "pending", "ready", "failed"
"""How far the repository is; NO_REPOSITORY when none was asked for."""
NO_REPOSITORY = ""

OPEN, NONE = "open", "none"
"""What its network may lead to: out into the world (the default), or nowhere."""

Spec = dict[str, Any]
"""Settings by name, those that were asked for: text, but `sudo` and `worktree` are true, `mounts` and `allow` lists
of text.
"""


class Vibespace(Aggregate):
    """Intent: spec, started, deleting, counted by generation. Observation: repository, what deleted agents have left in
    it, and why deleting takes long.
    """

    TOPIC = "vibespace"

    class Event(Aggregate.Event):
        """See Aggregate.Event."""

    @event("Created", topic="vibespace.created")
    def __init__(self, name: str, data_uid: str, spec: Spec) -> None:
        self.name = name
        self.data_uid = data_uid
        self.spec = spec
        self.started = True
        self.deleting = False
        self.keep_data = False
        self.generation = 1
        self.repository = PENDING if "repo" in spec else NO_REPOSITORY
        self.repository_reason = ""
        self.commit = ""
        self.left: dict[str, bool] = {}
        """Deleted agents whose worktree is to be removed -> whether with all that is in it."""
        self.deletion_reason = ""
        self.deleted = False

    @classmethod
    def name_subject(cls, **created: Any) -> str:
        return names.vibespace_name(created["name"])

    @property
    def subject(self) -> str:
        return names.vibespace_name(self.name)

    @property
    def gone(self) -> bool:
        return self.deleted

    @property
    def directory(self) -> str:
        """Where its repository lies, or else the shared files."""
        if self.worktree:
            return repositories.BARE
        return repositories.directory(self.spec["repo"]) if "repo" in self.spec else repositories.ROOT

    @property
    def waits_for_upload(self) -> bool:
        """Its repository must be sent by a client."""
        return self.repository in (PENDING, FAILED) and repositories.is_path(self.spec["repo"])

    @property
    def worktree(self) -> bool:
        """Each of its agents has a working copy of its own."""
        return bool(self.spec.get("worktree"))

    @property
    def closed(self) -> bool:
        """Its network leads nowhere."""
        return bool(self.spec.get("network") == NONE)

    @property
    def image(self) -> str:
        """The image that was asked for; empty: the agents' own."""
        return str(self.spec.get("image", ""))

    @property
    def mounts(self) -> list[Mount]:
        """Directories of the engine's machine that are to be seen inside."""
        return [mounts.parse(text, "spec.mounts") for text in self.spec.get("mounts", ())]

    def change_spec(self, spec: Spec) -> None:
        """Other settings; which may change is the command's to say."""
        self.must_stay()
        if spec != self.spec:
            self._change_spec(spec=spec)

    def start(self, again: bool = False) -> None:
        """Bring its agents back, and try a failed repository again; `again`: an agent failed and is tried again."""
        self.must_stay()
        if again or not self.started or self.repository == FAILED:
            self._start()

    def stop(self) -> None:
        """Put its agents to rest."""
        self.must_stay()
        if self.started:
            self._stop()

    def request_deletion(self, keep_data: bool) -> None:
        """Take it away, with or without what is stored."""
        if not self.deleting:
            self._request_deletion(keep_data=keep_data)

    def repository_ready(self, commit: str) -> None:
        """It was cloned."""
        if self.repository in (PENDING, FAILED):
            self._repository_ready(commit=commit)

    def repository_failed(self, reason: str) -> None:
        """It could not be cloned."""
        if self.repository == PENDING or (self.repository == FAILED and self.repository_reason != reason):
            self._repository_failed(reason=reason)

    def leave_worktree(self, agent: str, force: bool) -> None:
        """That agent is gone, and its worktree is to be removed; `force`: whatever work there is in it."""
        self._leave_worktree(agent=agent, force=force)

    def worktree_removed(self, agent: str, reason: str) -> None:
        """The worktree that a deleted agent has left is gone, or stays for a reason."""
        if agent in self.left:
            self._worktree_removed(agent=agent, reason=reason)

    def deletion_failed(self, reason: str) -> None:
        """Something of it could not be taken away yet; it is tried again."""
        if reason != self.deletion_reason:
            self._deletion_failed(reason=reason)

    def complete_deletion(self) -> None:
        """Nothing of it is left but data that was to be kept."""
        if self.keep_data:
            self._keep_data(name=self.name, data_uid=self.data_uid)
        self._complete_deletion()

    def must_stay(self) -> None:
        """Raises FailedPrecondition DELETING."""
        if self.deleting:
            raise FailedPrecondition(
                "DELETING",
                f"Vibespace '{self.name}' is being deleted.",
                hint=f"'vibespace info {self.name}' shows how far it is.",
                vibespace=self.name,
            )

    @event("SpecChanged", topic="vibespace.spec_changed")
    def _change_spec(self, spec: Spec) -> None:
        self.spec = spec
        self.generation += 1

    @event("StartRequested", topic="vibespace.start_requested")
    def _start(self) -> None:
        self.started = True
        self.generation += 1
        if self.repository == FAILED:
            self.repository = PENDING
            self.repository_reason = ""

    @event("StopRequested", topic="vibespace.stop_requested")
    def _stop(self) -> None:
        self.started = False
        self.generation += 1

    @event("DeletionRequested", topic="vibespace.deletion_requested")
    def _request_deletion(self, keep_data: bool) -> None:
        self.deleting = True
        self.keep_data = keep_data
        self.generation += 1

    @event("RepositoryReady", topic="vibespace.repository_ready")
    def _repository_ready(self, commit: str) -> None:
        self.repository = READY
        self.repository_reason = ""
        self.commit = commit

    @event("RepositoryFailed", topic="vibespace.repository_failed")
    def _repository_failed(self, reason: str) -> None:
        self.repository = FAILED
        self.repository_reason = reason

    @event("WorktreeLeft", topic="vibespace.worktree_left")
    def _leave_worktree(self, agent: str, force: bool) -> None:
        self.left = self.left | {agent: force}

    @event("WorktreeRemoved", topic="vibespace.worktree_removed")
    def _worktree_removed(self, agent: str, reason: str) -> None:  # noqa: ARG002 (for who reads the history)
        self.left = {name: force for name, force in self.left.items() if name != agent}

    @event("DeletionFailed", topic="vibespace.deletion_failed")
    def _deletion_failed(self, reason: str) -> None:
        self.deletion_reason = reason

    @event("DataKept", topic="vibespace.data_kept")
    def _keep_data(self, name: str, data_uid: str) -> None:
        """The live state remembers it; the aggregate has nothing to add."""

    @event("Deleted", topic="vibespace.deleted")
    def _complete_deletion(self) -> None:
        self.deleted = True
