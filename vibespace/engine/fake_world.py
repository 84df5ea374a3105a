"""What the fake engine's "machine" holds: containers, volumes and networks, in memory or also in a directory.

It outlives every FakeEngine opened on it, and with a directory the process too: a daemon that is killed and started
again finds its containers as it left them.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vibespace.engine.base import AgentSpec, HostMount, Resources
from vibespace.engine.fake_ssh import end_programs

KINDS = ("container", "volume", "network")


@dataclass(frozen=True)
class Thing:
    """A container, a volume or a network; only the first has a spec."""

    log_id: str
    owner: str
    spec: AgentSpec | None = None
    started: str = ""
    """Which run of the container this is."""
    ended: str = ""
    """Why it runs no more; empty while it does."""
    vibespace: str = ""
    """Name of the one that it was made for."""


class World:
    """A machine. With a directory: one small file a thing, so that thousands cost no more each than one does."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._files: Path | None = directory and directory / "files"
        self._wakes: set[asyncio.Event] = set()
        self.reachable = True
        self.outages = 0
        self.processors = 16
        self.things: dict[tuple[str, str], Thing] = dict(_load(directory)) if directory else {}

    @property
    def address(self) -> str:
        return str(self._directory or "memory")

    def set_reachable(self, reachable: bool) -> None:
        """Whether the engine answers. A watch does not outlive an outage, however short."""
        self.reachable = reachable
        self.outages += not reachable
        self._stir()

    def put(self, kind: str, name: str, thing: Thing) -> None:
        """Make it, or change it."""
        if self._directory is not None:
            path = self._directory / kind / f"{name}.json"
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            unfinished = path.with_suffix(".new")
            unfinished.write_text(_encode(thing))
            os.replace(unfinished, path)
        self.things[kind, name] = thing
        self._stir()

    def drop(self, kind: str, name: str) -> None:
        """Take it away, a volume with its files, a container with its memory; what is not there is no error."""
        if self.things.pop((kind, name), None) is None:
            return
        if kind != "network" and self._files is not None:
            shutil.rmtree(self._files / name, ignore_errors=True)
        if self._directory is not None:
            (self._directory / kind / f"{name}.json").unlink(missing_ok=True)
        self._stir()

    def end(self, name: str, reason: str) -> None:
        """The container ends by itself."""
        self.put("container", name, replace(self.things["container", name], ended=reason))

    def files(self, name: str) -> Path:
        """The directory that a volume, or a container's memory, is; made when first asked for."""
        if self._files is None:
            self._files = Path(tempfile.mkdtemp(prefix="vibespace-fake-"))
        path = self._files / name
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def close(self) -> None:
        """Remove what was only for this process. A directory that was given stays."""
        if self._directory is None and self._files is not None:
            if any(self._files.glob("*/.vibespace")):
                end_programs(self._files)
            shutil.rmtree(self._files, ignore_errors=True)
            self._files = None

    @contextmanager
    def listening(self) -> Iterator[asyncio.Event]:
        """An event that is set at every change."""
        wake = asyncio.Event()
        self._wakes.add(wake)
        try:
            yield wake
        finally:
            self._wakes.discard(wake)

    def _stir(self) -> None:
        for wake in self._wakes:
            wake.set()


def _load(directory: Path) -> Iterator[tuple[tuple[str, str], Thing]]:
    for kind in KINDS:
        for path in sorted((directory / kind).glob("*.json")):
            yield (kind, path.stem), _decode(path.read_text())


def _encode(thing: Thing) -> str:
    told: dict[str, Any] = asdict(thing)
    if thing.spec is not None:
        told["spec"]["host_key"] = base64.b64encode(thing.spec.host_key).decode()
    return json.dumps(told)


def _decode(text: str) -> Thing:
    told = json.loads(text)
    if spec := told["spec"]:
        spec["resources"] = Resources(**spec["resources"])
        spec["mounts"] = tuple(HostMount(**mount) for mount in spec["mounts"])
        told["spec"] = AgentSpec(**spec | {"host_key": base64.b64decode(spec["host_key"])})
    return Thing(**told)
