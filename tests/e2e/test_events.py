"""The history: read, followed, resumed and folded."""

from __future__ import annotations

import json

import pytest

from tests.e2e.installation import Installation

pytestmark = pytest.mark.containers

LIFE = ["vibespace.created", "agent.created", "agent.observed"]
END = ["vibespace.deletion_requested", "agent.deleted", "vibespace.deleted"]


def test_followed(vs: Installation) -> None:
    """A create is seen as it happens, and whoever comes later with --after sees the rest."""
    after = str(vs.events()[-1]["cursor"]["position"])
    with vs.popen("events", "--follow", "--after", after, "--vibespace", "told") as following:
        vs.ok("create", "told", "-t", "codex")
        assert following.stdout is not None
        live = [json.loads(following.stdout.readline()) for _ in LIFE]
        following.kill()
    assert [event["type"] for event in live] == LIFE
    assert vs.events("--after", after, "--vibespace", "told") == live
    assert {event["actor"] for event in live} == {"local", "daemon"}
    assert live[2]["cause"] == live[0]["request_id"] != ""
    vs.ok("delete", "told", "--force")
    resumed = str(live[-1]["cursor"]["position"])
    assert vs.types("--after", resumed, "--vibespace", "told") == END
    assert vs.types("--after", resumed, "--vibespace", "told", "--type", "agent") == ["agent.deleted"]


def test_replayed(own: Installation) -> None:
    """Every moment can be looked at again: at each position the state is what the events up to it say."""
    own.ok("create", "one", "-t", "codex")
    own.ok("agent", "create", "--vibespace", "one")
    own.ok("stop", "one")
    own.ok("delete", "one", "--force")
    there: set[str] = set()
    history = own.events()
    assert [event["cursor"]["position"] for event in history] == list(range(1, len(history) + 1))
    for event in history:
        noun, _, happened = event["type"].partition(".")
        if noun != "host" and happened == "created":
            there.add(event["subject"])
        elif happened == "deleted":
            there.remove(event["subject"])
        told = own.data("replay", "--at", str(event["cursor"]["position"]))
        assert {found["name"] for found in (*told["vibespaces"], *told["agents"])} == there
    assert own.refused("replay", "--at", str(len(history) + 1))[:2] == (2, "POSITION_INVALID")
    assert own.refused("replay", "--at", "0")[:2] == (2, "POSITION_INVALID")


def test_replayed_now(vs: Installation, demo: str) -> None:
    """The newest moment is what `list` shows."""
    told = vs.data("replay")
    assert told["vibespaces"] == vs.data("list")["vibespaces"]
    assert demo in [found["vibespace_id"] for found in told["vibespaces"]]


def test_compared_and_verified(own: Installation) -> None:
    """What is different between a moment and now, a moment by its time, and a log that is as it was written."""
    own.ok("create", "one", "-t", "codex")
    before = own.events()[-1]
    own.ok("stop", "one")
    position = str(before["cursor"]["position"])
    told = own.data("replay", "--at", position, "--diff")
    [changed] = [one for one in told["differences"] if one["name"] == "vibespaces/one"]
    assert {field["field"] for field in changed["fields"]} >= {"intent", "status.state"}
    assert own.data("replay", "--at", before["time"])["cursor"]["position"] <= int(position)
    assert own.refused("replay", "--at", "tomorrow")[:2] == (2, "MOMENT_INVALID")
    verified = own.data("audit", "verify")
    assert (verified["damages"], verified["cursor"]["position"]) == ([], own.events()[-1]["cursor"]["position"])
