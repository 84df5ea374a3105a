"""What may be asked of the machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vibespace.app.writer import Transaction, makes_room
from vibespace.domain.host import Host
from vibespace.domain.vibespaces import NONE, OPEN
from vibespace.engine.base import KUBERNETES
from vibespace.errors import FailedPrecondition, InvalidArgument


def host(transaction: Transaction) -> Host:
    """A draft of the machine."""
    found = transaction.state.host
    assert found is not None  # begin_log is every log's first command
    return transaction.change(found)


def begin_log(transaction: Transaction) -> Host:
    """The first event: from here on this log has an id."""
    return transaction.add(Host.create(transaction.new_id()))


def initialize(transaction: Transaction, *, engine: dict[str, Any], image: str, base: str = "") -> Host:
    """Choose engine and image; `base` is what the image stands on, where it is not the default."""
    if not engine["brand"] or not engine["address"]:
        raise InvalidArgument("ENGINE_INVALID", "An engine has a brand and an address.", field="engine")
    draft = host(transaction)
    draft.initialize(engine, image, base)
    return draft


@makes_room
def rest(transaction: Transaction) -> Host:
    """Everything stops; before `init` there is nothing to stop, and nothing that would have to be woken."""
    draft = host(transaction)
    if draft.engine:
        draft.rest()
    return draft


def wake(transaction: Transaction) -> Host:
    """What ran comes back."""
    draft = host(transaction)
    draft.wake()
    return draft


def observe_engine(transaction: Transaction, *, reason: str) -> Host:
    """It answers (empty reason), or does not."""
    draft = host(transaction)
    if reason:
        draft.engine_lost(transaction.mask(reason))
    else:
        draft.engine_seen()
    return draft


def require_awake(found: Host | None, what: str) -> None:
    """Raises FailedPrecondition AT_REST after a bare `stop`: what is started now would wait for the others to run.

    `what` was not done, as the sentence begins.
    """
    if found is not None and found.resting:
        raise FailedPrecondition(
            "AT_REST",
            f"{what}: everything is at rest since 'vibespace stop'.",
            hint="'vibespace start' brings back what ran.",
        )


def require_initialized(found: Host | None) -> None:
    """Raises FailedPrecondition NOT_INITIALIZED before `init`."""
    if found is None or not found.engine:
        raise FailedPrecondition(
            "NOT_INITIALIZED", "This machine is not ready for vibespaces yet.", hint="Run 'vibespace init'."
        )


def require_network(found: Host | None, network: str) -> None:
    """Raises for a network that this machine's engine cannot give, or that there is not."""
    if network not in (OPEN, NONE):
        raise InvalidArgument("NETWORK_UNKNOWN", "A network is open or none.", field="spec.network")
    if network == NONE and found is not None and found.engine.get("rootless"):
        raise FailedPrecondition(
            "NETWORK_NOT_REACHABLE",
            "A rootless engine's containers cannot be reached when their network leads nowhere.",
            hint="Leave --network out, or use an engine that runs as root.",
        )


def require_mounts(found: Host | None, mounts: Sequence[str]) -> None:
    """Raises FailedPrecondition MOUNT_REFUSED where the engine's machines are none that anybody has directories on."""
    there = found is not None and found.engine.get("brand") == KUBERNETES and not found.engine.get("private")
    if mounts and there:
        raise FailedPrecondition(
            "MOUNT_REFUSED",
            "A cluster's nodes have no directories that could be shown to agents.",
            field="spec.mounts",
            hint="Leave -m out: 'vibespace cp' copies files in, and --repo brings a repository.",
        )
