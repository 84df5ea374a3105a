"""A cluster with what makes it useful: volumes to claim, and what holds its pods."""

from __future__ import annotations

import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster.build import build, cache
from tests.cluster.cluster import Cluster, cluster
from tests.cluster.images import load_pause
from tests.cluster.volumes import Volumes


@contextmanager
def running() -> Iterator[Cluster]:
    """One at a time: the next run waits until the node of this one is gone."""
    programs = build()
    with open(cache() / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another run has the cluster; this one waits for it.", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        with cluster() as found:
            load_pause(found, programs.pause)
            volumes = Volumes(found)
            volumes.start()
            try:
                yield found
            finally:
                volumes.stop()
