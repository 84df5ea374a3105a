"""The client that is afar has nothing of its daemon's machine to go by, or the runs of other tests there would say
little. Files that tests make for `cp`, `--repo` and `--mount` are the exception: both see them.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e.afar import USER_ID, afar
from tests.e2e.installation import Installation
from tests.places import ROOT

pytestmark = [pytest.mark.containers, pytest.mark.here("these tests are about being elsewhere")]

PEER = """
import socket, struct, sys
with socket.socket(socket.AF_UNIX) as peer:
    peer.connect(sys.argv[1])
    print(struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])
"""


@pytest.fixture
def far(engine: str) -> Iterator[Installation]:
    with afar(engine) as made:
        yield made


def test_nothing_is_shared(far: Installation) -> None:
    """Neither state directory, nor engine, nor checkout is there; user, directory and what the socket tells differ."""
    look = 'for path; do [ -e "$path" ] && echo "$path"; done; id -u; pwd'
    there = [str(path) for path in (far.home / "events.db", far.home / "config.yaml", far.engine, ROOT / "tests")]
    here = subprocess.run(["sh", "-c", look, "sh", *there], capture_output=True, text=True, check=True, cwd=ROOT)
    assert here.stdout.splitlines() == [*there, "0", str(ROOT)]
    told = _there(far, "sh", "-c", look, "sh", *there)
    assert told.splitlines() == [str(USER_ID), str(far.place.home)]
    socket = far.environment()["VIBESPACE_HOME"] + "/daemon.sock"
    assert int(_there(far, "python3", "-c", PEER, socket)) not in (0, far.pid)


def test_it_uses_that_daemon(far: Installation) -> None:
    """The history is the daemon's, what it says of its own place is true there, and no second daemon has started."""
    status = far.data("status")
    assert status["cursor"]["log_id"] == far.log_id
    assert status["host"]["engine"]["address"] == far.engine
    assert far.ok("config", "path", "--plain").strip() == far.environment()["VIBESPACE_HOME"] + "/config.yaml"
    far.kill()
    assert far.refused("list")[:2] == (15, "DAEMON_LOST")
    assert not far.alive()


def _there(far: Installation, *words: str) -> str:
    command = far.place.command(*words)
    return subprocess.run(command, env=far.environment(), capture_output=True, text=True, check=True).stdout
