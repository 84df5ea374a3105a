"""Volumes for whoever claims one: made beforehand, for nothing here makes them when they are asked for."""

from __future__ import annotations

import shutil
import threading
from contextlib import suppress
from itertools import count
from urllib.error import URLError

from tests.cluster import settings
from tests.cluster.cluster import Cluster

AHEAD = 40
"""How many are free at any time, so that none who asks must wait."""
EVERY = 0.5


class Volumes:
    """Keeps enough of them there, on a thread of its own, and takes away those that were let go."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._names = (f"volume-{number}" for number in count())
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self.refill()
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def refill(self) -> None:
        """What was let go is taken away with what was in it, and what is missing is made."""
        free = 0
        for found in self._cluster.get("/api/v1/persistentvolumes")["items"]:
            name, phase = found["metadata"]["name"], found.get("status", {}).get("phase", "Pending")
            if phase == "Released":
                self._cluster.delete(f"/api/v1/persistentvolumes/{name}")
                if "local" in found["spec"]:
                    shutil.rmtree(self._cluster.at / "volumes" / name, ignore_errors=True)
            elif phase in ("Available", "Pending") and "local" in found["spec"]:
                free += 1
        for _ in range(AHEAD - free):
            name = next(self._names)
            path = self._cluster.at / "volumes" / name
            path.mkdir()
            path.chmod(0o777)
            self._cluster.create("/api/v1/persistentvolumes", settings.volume(name, path))

    def _run(self) -> None:
        while not self._ended.wait(EVERY):
            with suppress(URLError, OSError):  # the API server is being killed by a test
                self.refill()
