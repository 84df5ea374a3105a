"""The one process an agent that keeps its program."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import sys
import threading
from contextlib import suppress

from vibespace.runner.attachment import Attachment
from vibespace.runner.places import HOME, connect
from vibespace.runner.processes import end_former
from vibespace.runner.runner import Runner

_SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER of linux/prctl.h."""


def serve(starting: int, ready: int = -1) -> int:
    """Until killed. It holds `starting` until it listens: `lock` held by one that does not listen is a dying one's."""
    alone = os.open("lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if connect():
            sys.stderr.write("a runner serves already\n")
            return 1
        fcntl.flock(alone, fcntl.LOCK_EX)
    if ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    end_former()
    _remove_former()
    threading.stack_size(1 << 18)
    threading.excepthook = _fail
    runner = Runner()
    if os.path.exists("socket"):
        os.unlink("socket")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("socket")
    listener.listen(128)
    if ready >= 0:
        with suppress(BrokenPipeError):  # who started us is cut already; the next one is served
            os.write(ready, b"1")
        os.close(ready)
    os.close(starting)
    while True:
        client = listener.accept()[0]
        try:
            Attachment(runner, client)
        except RuntimeError:
            client.close()  # no room for a thread: the container's limit of processes


def _remove_former() -> None:
    """Other builds that were sent in: what named one for its hooks has ended, if nobody else serves in this home."""
    above, here = os.path.split(HOME)
    names = os.listdir(above)
    if any(_serves(os.path.join(above, name, "lock")) for name in names if name != here):
        return
    for name in names:
        if name.startswith("runner-") and name != os.path.basename(sys.argv[0]):
            with suppress(OSError):  # it does no harm
                os.unlink(os.path.join(above, name))


def _serves(lock: str) -> bool:
    """Whether a runner holds that lock."""
    try:
        with open(lock, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass  # it is none
    return False


def _fail(error: threading.ExceptHookArgs) -> None:
    """Crash-only: a thread that ends unforeseen may leave a program that nobody hears; the next serve begins whole."""
    sys.__excepthook__(error.exc_type, error.exc_value or SystemExit(), error.exc_traceback)
    os._exit(70)
