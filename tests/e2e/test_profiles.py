"""What `create` can ask of a vibespace beyond its name: what agents get, may, and can reach."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from tests.contracts.factory import shown
from tests.e2e.clustered import CLUSTER
from tests.e2e.installation import Installation

pytestmark = pytest.mark.containers

VALUE = "correct horse battery staple"


@pytest.mark.core
@pytest.mark.clustered
def test_env(own: Installation) -> None:
    """Values reach every command and outlive a stop; no file, process or event of ours shows one, nor the engine."""
    own.restart(VIBESPACE_DEBUG="1")
    created = own.ok("create", "demo", "-t", "codex", "--env", "TOKEN", "--env", "MODE=fast", env={"TOKEN": VALUE})
    assert own.inside("codex-1@demo", "echo $TOKEN, $MODE") == f"{VALUE}, fast"
    own.ok("stop", "demo")
    own.ok("start", "demo")
    assert own.ok("exec", "codex-1@demo", "--", "printenv", "TOKEN").strip() == VALUE
    own.ok("agent", "create", "--vibespace", "demo", "--env", "MODE=slow")
    assert own.inside("codex-2@demo", "echo $TOKEN, $MODE") == ", slow"
    assert own.agent("codex-1@demo")["settings"]["env"] == ["TOKEN", "MODE"]
    [container] = [name for name in own.objects()["containers"] if own.agent("codex-1@demo")["uid"] in name]
    told = [created, own.ok("events"), own.ok("info", "demo"), own.container(container)]
    assert not any(VALUE in each for each in told)
    files = [path for path in own.home.rglob("*") if path.is_file()]
    assert own.home / "debug.log" in files
    assert [path for path in files if VALUE.encode() in path.read_bytes()] == []
    assert VALUE.encode() not in _argvs()
    own.ok("delete", "demo", "--force")
    assert [path.name for path in (own.home / "vault").iterdir()] == ["master"]


def _argvs() -> bytes:
    """The arguments of all that runs on this machine."""
    found = b""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            found += path.read_bytes()
    return found


@pytest.mark.core
@pytest.mark.clustered
def test_mounts_and_sudo(vs: Installation, tmp_path: Path, engine_kind: str) -> None:
    """A directory of this machine is seen inside and only read; root inside may install; `info` says both.

    Other machines' clusters have none of its directories, and it is refused there.
    """
    data = shown(tmp_path / "data", "hello")
    (tmp_path / "link").symlink_to(data)
    mount, seen, recorded = ["-m", f"{tmp_path}/link:/mnt/data:ro"], ["hello"], [f"{data}:/mnt/data:ro"]
    vs.allow_sudo()
    if engine_kind == CLUSTER:
        assert vs.refused("create", "profiled", "-t", "codex", *mount)[:2] == (16, "MOUNT_REFUSED")
        mount, seen, recorded = [], [], []
    vs.ok("create", "profiled", "-t", "codex", *mount, "--sudo")
    assert vs.inside("codex-1@profiled", "cat /mnt/data/file; sudo id -u").splitlines() == [*seen, "0"]
    found = vs.vibespace("profiled")
    assert (found["spec"].get("mounts", []), found["status"]["profile"]) == (recorded, "comfortable")
    vs.ok("delete", "profiled", "--force")
    assert (data / "file").read_text() == "hello\n"


@pytest.mark.parametrize(
    ("mount", "code", "reason"),
    [
        ("data:/mnt", 2, "MOUNT_INVALID"),
        ("/srv:/vibespace/x", 2, "MOUNT_INVALID"),
        ("/nowhere:/mnt", 2, "MOUNT_MISSING"),
        ("/:/mnt", 2, "MOUNT_REFUSED"),
        ("{home}/keys:/mnt", 2, "MOUNT_REFUSED"),
        ("/tmp:/mnt", 2, "MOUNT_REFUSED"),
    ],
)
def test_mounts_refused(vs: Installation, mount: str, code: int, reason: str) -> None:
    """With one sentence, and nothing is created."""
    told = vs.refused("create", "refused", "-t", "codex", "--mount", mount.format(home=vs.home))
    assert told[:2] == (code, reason)
    assert vs.refused("info", "refused")[0] == 10


@pytest.mark.core
@pytest.mark.clustered
def test_network_none(vs: Installation, demo: str, engine_kind: str) -> None:
    """Commands reach in, nothing leads out, and another vibespace's network is as open as before; a user's engine
    cannot have that, and says so before anything is made.

    That nothing answers from outside is tried by test_closed_network, on Docker too, whose route ends at its firewall.
    """
    if engine_kind.endswith("rootless"):
        told = vs.refused("create", "closed", "-t", "codex", "--network", "none")
        assert told[:2] == (16, "NETWORK_NOT_REACHABLE")
        assert vs.refused("info", "closed")[0] == 10
        return
    vs.ok("create", "closed", "-t", "codex", "--network", "none")
    assert vs.vibespace("closed")["spec"]["network"] == "none"
    assert (vs.is_closed("closed"), vs.is_closed(demo)) == (True, False)
    assert vs.inside("codex-1@closed", "echo reached") == "reached"
    if engine_kind == "podman":
        assert vs.inside("codex-1@closed", "ip route show default") == ""
    assert vs.inside(f"claude-1@{demo}", "ip route show default") != ""
    vs.ok("stop", "closed")
    vs.ok("start", "closed")
    assert vs.inside("codex-1@closed", "echo again") == "again"
    vs.ok("delete", "closed", "--force")
