"""Takes an installation away: the daemon, what is in the engine, what lies outside, then the state directory.

Each step may run twice: killed at any moment, the next run goes on with what is left.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from vibespace import durable
from vibespace.engine.base import FAKE, KUBERNETES
from vibespace.errors import Error, FailedPrecondition, PermissionDenied, Unavailable
from vibespace.setup import (
    base,
    cluster,
    clusterobjects,
    engine,
    firewall,
    guard,
    image,
    installation,
    k3sremains,
    objects,
    podman,
    sshconfig,
    tree,
)
from vibespace.setup.build import Progress
from vibespace.setup.ending import alone
from vibespace.setup.engine import Choice
from vibespace.setup.init import api
from vibespace.setup.installation import Installation
from vibespace.setup.objects import NOTHING, Objects
from vibespace.setup.ping import brand_at
from vibespace.setup.root import Root
from vibespace.state import KEPT, MADE, State

_UNMOUNTED = 'umount "$0" 2>/dev/null; exec "$@"'
"""Runs a command once $0 is no mount: in namespaces it has just made, Podman mounts its storage upon itself first."""

ROOTS_CACHE = Path("/var/lib/containers/cache")
"""The one place of Podman's that no setting moves."""


@dataclass(frozen=True)
class Plan:
    """What will go, and what will stay."""

    state: State
    installation: Installation
    objects: Objects
    files: Sequence[Path]
    """Entries of the state directory."""
    kept: Sequence[str]
    """What --keep-data leaves, and where."""
    outside: Sequence[str]
    """What lies outside the state directory and the engine."""
    left: Sequence[str]
    """What stays because it is not ours, or not ours alone."""
    keep_data: bool
    data_bytes: int | None = None
    """In the volumes that will go; None where that was not asked for, or cannot be known."""


def plan(state: State, *, keep_data: bool, measured: bool = False) -> Plan | None:
    """What there is to do; None where there is nothing. Nothing is changed by looking. `measured`: also how much data,
    which an engine may take a while to count.

    Raises FailedPrecondition NOT_OURS for a directory without our marker, and what opening the engine raises.
    """
    if not os.path.lexists(state.home):
        return None
    found = _installation(state)
    with _opened(found.engine, state):
        measured = measured and not keep_data
        there, size = asyncio.run(_find(state, found, measured=measured)) if found.engine else (NOTHING, None)
    entries = _entries(state, MADE if keep_data else (*KEPT, *MADE, state.marker.name))
    kept: list[str] = []
    left = [*_left(state, found, entries), *k3sremains.left(state)]
    if keep_data:
        there, kept = there and _without_data(there), _kept(state, found, there or NOTHING)
    outside = [*sshconfig.outside(state), *k3sremains.outside(state, keep_data=keep_data)]
    if there is None:
        (kept if keep_data else outside).append("all that is in the cluster of this machine, which does not answer now")
    return Plan(state, found, there or NOTHING, entries, kept, outside, left, keep_data, size)


def carry_out(plan: Plan, progress: Progress, as_root: Root) -> None:
    """Do it. Raises what opening the engine, ending the daemon and removing raise; what was done stays done."""
    state, found = plan.state, replace(plan.installation, leaving=True)
    patterns = MADE if plan.keep_data else (*KEPT, *MADE)
    for entry in _entries(state, patterns):
        if entry not in (state.engine, state.k3s):  # their own mounts are taken away first
            tree.refuse_mounts(entry)
    progress("Ending the daemon")
    with alone(state):
        installation.write(state, found)
        if found.engine:
            if not _ends_with_us(found.engine):
                engine.reopen(found.engine, state)
            asyncio.run(_take(plan, progress))
        if k3sremains.there(state):  # also where an `init` has begun it, and not recorded
            progress("Ending the cluster of this machine")
            end = k3sremains.stop if plan.keep_data else k3sremains.remove
            end(state, as_root)
        podman.stop(state.engine)  # also one that an `init` has tried, and then taken another
        if os.geteuid() == 0:
            guard.release(found.log_id)
            firewall.remove_unless_used()
        sshconfig.remove(state)
        progress(f"Removing {state.home}")
        if plan.keep_data:
            tree.remove(_entries(state, patterns))
            installation.write(state, replace(found, leaving=False, uninstalled=True))
            return
        if (state.engine / "store").exists():  # also where the agents' image was made for a cluster
            _remove_rootless(state)
        # From here on the engine is not asked any more: its storage may be half gone.
        installation.write(state, replace(found, engine=None))
        tree.remove(_entries(state, patterns))
        tree.remove([state.marker, durable.draft(state.marker)])
    _remove_home(state)


def _installation(state: State) -> Installation:
    if state.home.stat().st_uid != os.geteuid():
        raise PermissionDenied(
            "HOME_NOT_USABLE", f"{state.home} belongs to another user.", hint="Uninstall as that user."
        )
    found = installation.read(state)
    if found is None:
        raise FailedPrecondition(
            "NOT_OURS",
            f"{state.home} does not look like a state directory of ours: it has no {state.marker.name}.",
            hint="If it is one, 'vibespace status' makes that file. Nothing was touched.",
        )
    if found.engine is None and not found.leaving and (there := cluster.kept(state)):
        return replace(found, engine=Choice(KUBERNETES, there.address, private=bool(there.node)))  # as below
    if found.engine is None and not found.leaving and (state.engine / "containers.conf").exists():
        private = Choice("podman", str(podman.socket_path(state.engine)), private=True)
        return replace(found, engine=private)  # what an `init` that failed has left
    return replace(found, engine=None) if found.engine and found.engine.brand == FAKE else found


@contextmanager
def _opened(choice: Choice | None, state: State) -> Iterator[None]:
    """The engine answers; our own rests again afterwards when it did before."""
    if choice is None or _ends_with_us(choice):
        yield
        return
    rests = choice.private and not brand_at(Path(choice.socket))
    try:
        engine.reopen(choice, state)
    except Unavailable as e:
        again = f"Then uninstall again: it has what is ours. If it is gone for good, delete {state.home}."
        e.hint = f"{e.hint or 'Start it.'} {again}"
        raise
    try:
        yield
    finally:
        if rests:
            podman.stop(state.engine)


def _ends_with_us(choice: Choice) -> bool:
    """Whether all that is in it goes with it, or stays with it: it need not answer for that."""
    return choice.brand == KUBERNETES and choice.private


async def _find(state: State, found: Installation, *, measured: bool) -> tuple[Objects | None, int | None]:
    """What is there; None where nobody can tell. And how much data, where that was asked for."""
    assert found.engine is not None
    if found.engine.brand == KUBERNETES:
        try:
            return await clusterobjects.look(state, found.log_id), None
        except Error:
            if not _ends_with_us(found.engine):
                raise
            return None, None
    async with api(found.engine) as speaking:
        there = await objects.find(speaking, found.log_id, private=found.engine.private)
        return there, await objects.measure(speaking, there) if measured else None


async def _take(plan: Plan, progress: Progress) -> None:
    """What is there now, for something may have come or gone since the plan was made."""
    found = plan.installation
    assert found.engine is not None
    if found.engine.brand == KUBERNETES:
        try:
            await clusterobjects.take(plan.state, found.log_id, progress, keep_data=plan.keep_data)
        except Error:
            if not _ends_with_us(found.engine):
                raise
        return
    async with api(found.engine) as speaking:
        there = await objects.find(speaking, found.log_id, private=found.engine.private)
        if plan.keep_data:
            there = _without_data(there)
        elif found.engine.private:
            there = replace(there, images=(), layers=())  # they go with the storage
        await objects.take(speaking, there, progress)


def _without_data(there: Objects) -> Objects:
    """What goes with --keep-data: no volumes, and no images that `init` does not make, for an agent may be on one."""
    theirs = _theirs(there)
    return replace(there, volumes=(), images=tuple(id for id in there.images if id not in theirs))


def _theirs(there: Objects) -> dict[str, list[str]]:
    """By image, its names that are none of ours."""
    ours = (image.NAME, base.IMPORTED)
    names = {id: [tag for tag in tags if not tag.startswith(ours)] for id, tags in there.tags.items()}
    return {id: found for id, found in names.items() if found}


def _entries(state: State, patterns: Sequence[str]) -> list[Path]:
    return sorted(path for pattern in patterns for path in state.home.glob(pattern))


def _kept(state: State, found: Installation, there: Objects) -> list[str]:
    kept = [str(path) for path in _entries(state, KEPT) if path.suffix in ("", ".yaml", ".db")]  # a log closed is whole
    if found.engine:
        ours = "our own cluster" if found.engine.brand == KUBERNETES else "our own Podman"
        where = ours if found.engine.private else f"{found.engine.brand} at {found.engine.socket}"
        kept += [f"{_told(name, there)}, in {where}" for name in there.volumes]
        kept += [f"image {name}, in {where}" for name in sorted(chain(*_theirs(there).values()))]
    return kept


def _told(volume: str, there: Objects) -> str:
    return f"data of {there.of[volume]} ({volume})" if volume in there.of else f"volume {volume}"


def _left(state: State, found: Installation, entries: Sequence[Path]) -> list[str]:
    ours = {*_entries(state, (*KEPT, *MADE)), state.marker, durable.draft(state.marker)}
    left = [str(path) for path in sorted(state.home.iterdir()) if path not in ours]
    left += [f"{os.path.realpath(path)}, which {path} is a link to" for path in entries if path.is_symlink()]
    if found.engine and found.engine.brand == KUBERNETES and found.engine.private:
        return left
    if found.engine and found.engine.brand == KUBERNETES:
        left.append(f"the namespace of {found.engine.socket}, with the account 'vibespace' and its Role")
    elif found.engine and not found.engine.private:
        left.append(_images(found.engine))
    elif found.engine and os.geteuid() == 0 and ROOTS_CACHE.exists():
        left.append(f"{ROOTS_CACHE}, where Podmans of root note which layers came from where")
    return left


def _images(engine: Choice) -> str:
    """In an engine that others use: what was built in it may be theirs too, and what a build leaves has no label."""
    names = f"{image.NAME}, {base.IMPORTED} if a tar was imported, and untagged ones that their build has left"
    return f"images in {engine.brand} at {engine.socket}: {names} ('{engine.brand} image prune' takes unused ones away)"


def _remove_rootless(state: State) -> None:
    """What a user's containers wrote belongs to their users, whom only `podman unshare` may act for."""
    if os.geteuid() != 0:
        store = state.engine / "store"
        through = ("podman", "unshare", "sh", "-c", _UNMOUNTED, str(store / "overlay"))
        try:
            tree.remove([store, state.engine / "run"], through, podman.environment(state.engine))
        finally:
            podman.stop(state.engine)  # `podman unshare` has left a process that keeps the namespaces it made


def _remove_home(state: State) -> None:
    """The directory itself, and a link to it; what is not ours keeps it, and so does a mount."""
    real = Path(os.path.realpath(state.home))
    try:
        real.rmdir()
    except OSError:
        return  # the plan has told what is left in it
    if state.home.is_symlink():
        state.home.unlink()
