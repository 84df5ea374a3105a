"""`make cluster`: a cluster to play with, until Ctrl-C. It prints what `init` is told of it."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress

from tests.bench import engine
from tests.cluster.cluster import Cluster
from tests.cluster.images import take_agents
from tests.cluster.running import running

_ENDING = {signal.SIGINT, signal.SIGTERM}


async def give_image(cluster: Cluster) -> str:
    """The agents' image, which it has then; its name there."""
    async with engine.shared() as found:
        return await take_agents(cluster, found.socket)


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), running() as cluster:
        image = asyncio.run(give_image(cluster))
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        print(f"export KUBECONFIG={cluster.admin}\nvibespace init --external --image {image}", flush=True)
        print("Ctrl-C ends it.", file=sys.stderr, flush=True)
        signal.sigwait(_ENDING)
    return 0


if __name__ == "__main__":
    sys.exit(main())
