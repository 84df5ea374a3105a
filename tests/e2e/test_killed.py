"""The daemon killed with -9 between any two steps of its work on real containers: the end is what was asked.

The relay in front of the engine counts the calls that change something. At the n-th it kills the daemon, before the
engine hears of it or after it has answered. What the command line then does is what it does for everybody: it starts
the next daemon.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from tests.e2e.cuts import MOMENTS, interrupted
from tests.e2e.installation import Installation, installation
from tests.e2e.relay import Relay

pytestmark = [
    pytest.mark.containers,
    pytest.mark.here("the daemon is killed, and the next one starts beside its client"),
]

CREATE = ["network", "volume", "volume", "container", "keys", "start"]
"""The calls of a create, in some order where they are made together."""
STOP = ["stop", "remove"]
DELETE = ["stop", "remove", "network", "volume", "volume"]


@pytest.fixture(scope="module")
def relay(engine: str) -> Iterator[Relay]:
    made = Relay(engine)
    yield made
    made.close()


@pytest.fixture(scope="module")
def killed(engine: str, relay: Relay) -> Iterator[Installation]:
    """An installation whose daemon is killed again and again."""
    with installation(engine, relay.socket) as made:
        yield made.init()


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("step", range(1, len(CREATE) + 1))
def test_create(killed: Installation, relay: Relay, step: int, moment: str) -> None:
    """A create that was cut off comes to its end once: one container, one network, two volumes, and it works.

    Then so does its delete, cut off as well: nothing is left.
    """
    name = f"cut-{step}-{moment}"
    interrupted(killed, relay, step, moment, "create", name, "-t", "codex")
    made = killed.objects()
    assert {kind: len(names) for kind, names in made.items()} == {"containers": 1, "networks": 1, "volumes": 2}
    assert killed.inside(f"codex-1@{name}", "echo works") == "works"
    assert killed.types("--vibespace", name).count("vibespace.created") == 1
    assert killed.types("--vibespace", name).count("agent.created") == 1

    interrupted(killed, relay, min(step, len(DELETE)), moment, "delete", name, "--force")
    assert killed.objects() == {"containers": [], "networks": [], "volumes": []}
    assert [found["name"] for found in killed.data("list")["vibespaces"]] == []
    assert killed.types("--vibespace", name).count("vibespace.deleted") == 1


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("step", range(1, len(STOP) + 1))
def test_stop(killed: Installation, relay: Relay, step: int, moment: str) -> None:
    """A stop that was cut off ends with everything at rest, and a start with everything back."""
    killed.ok("create", "rest", "-t", "codex")
    killed.inside("codex-1@rest", "echo kept > ~/file")
    interrupted(killed, relay, step, moment, "stop", "rest")
    assert killed.objects()["containers"] == []
    assert killed.vibespace("rest")["status"]["state"] == "stopped"
    killed.ok("start", "rest")
    assert killed.inside("codex-1@rest", "cat ~/file") == "kept"
    killed.ok("delete", "rest", "--force")
    assert killed.objects() == {"containers": [], "networks": [], "volumes": []}


def test_steps(killed: Installation, relay: Relay) -> None:
    """The steps these tests cut are all the steps there are."""
    count = partial(relay.watch_calls)
    count()
    killed.ok("create", "steps", "-t", "codex")
    assert len(relay.calls) == len(CREATE)
    count()
    killed.ok("stop", "steps")
    assert len(relay.calls) == len(STOP)
    killed.ok("start", "steps")
    count()
    killed.ok("delete", "steps", "--force")
    assert len(relay.calls) == len(DELETE)
