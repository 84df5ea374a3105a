"""A daemon of a bench whose engine is the tests' cluster."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.bench import place
from tests.clusters import Prepared
from vibespace.v1.system_pb2 import HostEngine


@asynccontextmanager
async def serving(prepared: Prepared, through: str = "") -> AsyncIterator[place.Daemon]:
    """A daemon whose engine is the cluster, which it reaches `through` another address if one is given."""
    told = json.loads(prepared.kubeconfig.read_text())
    if through:
        told["clusters"][0]["cluster"] = {"server": through}
    with place.directory() as home:
        (home / "kubeconfig").write_text(json.dumps(told))
        address = f"{prepared.cluster.server}/{prepared.namespace}"
        with place.server("vibespace.daemon", home):
            async with place.connected(home) as daemon:
                await daemon.initialize(HostEngine(brand="kubernetes", version="1", address=address), prepared.image)
                yield daemon
