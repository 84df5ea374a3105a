"""Uninstalling, as it is typed: asked first, complete, and nothing that is somebody else's touched."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from tests.e2e.installation import Installation, on_terminal
from tests.e2e.test_life import NOTHING
from vibespace.engine.api import Api

pytestmark = [pytest.mark.containers, pytest.mark.here("uninstall takes away what is on the machine it is typed on")]


@pytest.mark.core
@pytest.mark.clustered
def test_asked_first(own: Installation) -> None:
    """Off a terminal --force is needed, on one a yes; --dry-run says what would go. Until then nothing changes."""
    own.ok("create", "demo", "-t", "codex")
    before = own.objects()
    assert own.refused("uninstall")[:2] == (2, "FORCE_NEEDED")
    told = own.data("uninstall", "--dry-run")
    assert told["done"] is False
    assert (told["vibespaces"], told["agents"]) == (1, 1)
    assert {kind: told[kind] for kind in before} == before
    assert str(own.home / "events.db") in told["files"]
    left = " ".join(told["left"])
    assert [words for words in own.stays if words not in left] == []
    declined = on_terminal(own, "uninstall", typed="n\n")
    assert declined.returncode == 14
    assert "the data of 1 vibespace with 1 agent" in declined.stdout
    assert "1 container, 1 network, 2 volumes" in declined.stdout
    assert "Nothing was deleted." in declined.stdout
    assert own.objects() == before
    assert own.inside("codex-1@demo", "echo alive") == "alive"
    done = on_terminal(own, "uninstall", typed="y\n")
    assert done.returncode == 0
    assert "Uninstalled." in done.stdout
    assert own.objects() == NOTHING
    assert not own.home.exists()


@pytest.mark.parametrize("trouble", ["down", "killed", "hanging", "unable"])
def test_whatever_the_daemon_does(own: Installation, trouble: str) -> None:
    """With the daemon ended, killed, hanging or unable to start, all of ours goes; what is another's stays."""
    own.ok("create", "demo", "-t", "codex")
    stranger = f"stranger-of-{own.log_id}"
    asyncio.run(_make_volume(own.engine, stranger))
    if trouble == "down":
        own.ok("stop")
    elif trouble == "hanging":
        os.kill(own.pid, signal.SIGSTOP)
    else:
        own.kill(signal.SIGTERM if trouble == "unable" else signal.SIGKILL)
    if trouble == "unable":
        (own.home / "events.db").write_bytes(b"This is not a database. " * 400)
        assert own.refused("list")[:2] == (16, "LOG_UNUSABLE")
    try:
        assert own.data("uninstall", "--force")["done"] is True
        assert own.objects() == NOTHING
        assert not own.home.exists()
        assert own.call("get", f"/volumes/{stranger}")["Name"] == stranger
        assert own.data("uninstall", "--force")["containers"] == []
    finally:
        own.call("delete", f"/volumes/{stranger}")


def test_data_is_found_again(own: Installation) -> None:
    """What --keep-data leaves, told by vibespace, the next init brings back: history, files, and what ran, running."""
    own.ok("create", "demo", "-t", "codex")
    own.ok("create", "rests", "-t", "codex")
    own.ok("stop", "rests")
    own.inside("codex-1@demo", "echo kept > /vibespace/file; echo mine > ~/file")
    history = own.types()
    told = own.data("uninstall", "--force", "--keep-data")
    kept = [each.split(" (")[0] for each in told["kept"] if each.endswith(own.engine)]
    assert sorted(kept) == ["data of demo", "data of demo", "data of rests", "data of rests"]
    assert own.refused("list")[:2] == (16, "UNINSTALLED")
    left = own.objects()
    assert (left["containers"], left["networks"], len(left["volumes"])) == ([], [], 4)
    own.ok("init")
    own.ok("start", "demo")  # waits until it runs
    assert "failed" not in {event["data"]["state"] for event in own.events("--type", "agent.observed")}
    assert own.vibespace("rests")["status"]["state"] == "stopped"
    assert own.inside("codex-1@demo", "cat /vibespace/file ~/file") == "kept\nmine"
    assert own.types()[: len(history)] == history


async def _make_volume(socket: str, name: str) -> None:
    """One that another installation has on the same engine."""
    api = Api(socket)
    try:
        await api.post("/volumes/create", {"Name": name, "Labels": {"vibespace.log": name}})
    finally:
        await api.close()
