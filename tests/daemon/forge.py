"""Starts daemons by the hundred: imports the daemon once and forks, so that a start costs 50 ms instead of 700.

Reads the path of a state directory a line, and after tabs, if it is to die, where (see points.py). Answers with the
pid of its new daemon, and with a line that says `ready` or `ended` once it is known which. Run as
`python -m tests.daemon.forge`.
"""

from __future__ import annotations

import os
import signal
import sys

from tests.daemon import points
from vibespace.daemon import __main__ as composition
from vibespace.daemon import checkpointer


def main() -> None:
    """Until the end of the input; daemons go on."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that nobody has to wait for those that are killed
    for line in sys.stdin:
        ready, tell = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(ready)
            serve(*line.rstrip("\n").split("\t"), ready_fd=tell)
        os.close(tell)
        print(pid, flush=True)
        print("ready" if os.read(ready, 6) else "ended", flush=True)
        os.close(ready)


def serve(home: str, *death: str, ready_fd: int) -> None:
    """As the daemon's own main, in this process; does not return."""
    if death:
        points.arm(*death)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    os.environ["VIBESPACE_HOME"] = home
    os.environ["VIBESPACE_FAKE_ENGINE"] = f"{home}.engine"
    vars(checkpointer).update(EVERY=20, _PAUSE=0.01)  # so that checkpoints too are met half written
    sys.argv = ["vibespace.daemon", "--ready-fd", str(ready_fd)]
    os._exit(composition.main())


if __name__ == "__main__":
    main()
