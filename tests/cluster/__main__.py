"""`make cluster`: a cluster to play with, until Ctrl-C. It prints where its kubeconfig is."""

from __future__ import annotations

import signal
import sys

from tests.cluster.build import build
from tests.cluster.running import running


def main() -> int:
    build()
    with running() as cluster:
        print(f"export KUBECONFIG={cluster.admin}", flush=True)
        print("Ctrl-C ends it.", file=sys.stderr, flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    return 0


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    sys.exit(main())
