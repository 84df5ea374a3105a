"""A vibespace from its creation to its end, by the commands a person would type."""

from __future__ import annotations

import pytest

from tests.e2e.clustered import CLUSTER
from tests.e2e.installation import Installation, on_terminal

pytestmark = pytest.mark.containers

NOTHING: dict[str, list[str]] = {"containers": [], "networks": [], "volumes": []}


@pytest.mark.core
@pytest.mark.clustered
def test_whole_life(vs: Installation) -> None:
    """Create, list, info, exec, a second agent on the same files, stop, start, all still there, delete, name free."""
    assert vs.data("create", "life", "-t", "claude-code")["vibespace"]["status"]["state"] == "running"
    assert "vibespaces/life" in [found["name"] for found in vs.data("list")["vibespaces"]]
    assert vs.vibespace("life")["status"]["state"] == "running"
    assert vs.agent("claude-1@life")["status"]["state"] == "running"
    vs.inside("claude-1@life", "echo shared > /vibespace/file; echo mine > ~/file; echo lost > /tmp/file")

    assert vs.data("agent", "create", "--vibespace", "life", "-t", "codex")["agent"]["name"].endswith("/codex-1")
    assert vs.inside("codex-1@life", "cat /vibespace/file; ls ~") == "shared"
    assert vs.inside("codex-1@life", "codex --version").startswith("codex-cli ")
    assert vs.inside("claude-1@life", "claude --version").endswith("(Claude Code)")
    vs.inside("codex-1@life", "echo from codex >> /vibespace/file")

    assert vs.data("stop", "life")["vibespace"]["status"]["state"] == "stopped"
    assert vs.objects("life")["containers"] == []
    assert vs.data("start", "life")["vibespace"]["status"]["state"] == "running"
    found = vs.inside("claude-1@life", "cat /vibespace/file ~/file; test -e /tmp/file || echo gone")
    assert found == "shared\nfrom codex\nmine\ngone"
    assert vs.vibespace("life")["status"]["kept_directories"] == ["/vibespace", "/home/agent"]

    vs.ok("delete", "life", "--force")
    assert vs.objects("life") == NOTHING
    assert vs.refused("info", "life")[:2] == (10, "VIBESPACE_NOT_FOUND")
    assert vs.data("create", "life", "-t", "codex")["vibespace"]["status"]["state"] == "running"
    assert vs.inside("codex-1@life", "ls /vibespace ~") == "/home/agent:\n\n/vibespace:"
    vs.ok("delete", "life", "--force")


@pytest.mark.core
@pytest.mark.clustered
def test_agents(vs: Installation, demo: str) -> None:
    """An agent is created by the primary's type, stops and starts alone, goes with its home, and its number with it."""
    assert vs.data("agent", "create", "--vibespace", demo)["agent"]["name"].endswith("/claude-2")
    vs.inside(f"claude-2@{demo}", "echo mine > ~/file")
    assert vs.data("agent", "stop", f"claude-2@{demo}")["agent"]["status"]["state"] == "stopped"
    assert vs.vibespace(demo)["status"]["state"] == "running"
    assert vs.refused("exec", "--json", f"claude-2@{demo}", "--", "true")[0] == 16
    assert vs.data("agent", "start", f"claude-2@{demo}")["agent"]["status"]["state"] == "running"
    assert vs.inside(f"claude-2@{demo}", "cat ~/file") == "mine"
    volumes = vs.objects(demo)["volumes"]
    vs.ok("agent", "delete", f"claude-2@{demo}", "--force")
    assert len(vs.objects(demo)["volumes"]) == len(volumes) - 1
    assert vs.data("agent", "create", "--vibespace", demo)["agent"]["name"].endswith("/claude-3")
    assert vs.data("agent", "create", "--vibespace", demo, "-n", "helper")["agent"]["name"].endswith("/helper")
    agents = [found["agent_id"] for found in vs.data("agent", "list", "--vibespace", demo)["agents"]]
    assert {"claude-1", "claude-3", "helper"} <= set(agents)
    assert "claude-2" not in agents
    assert vs.refused("agent", "delete", f"claude-1@{demo}", "--force")[:2] == (16, "AGENT_IS_PRIMARY")
    for name in ("claude-3", "helper"):
        vs.ok("agent", "delete", f"{name}@{demo}", "--force")


@pytest.mark.core
@pytest.mark.clustered
def test_kept_data(vs: Installation) -> None:
    """What --keep-data leaves, --reuse-data takes over, files and homes; without it the name is refused."""
    vs.ok("create", "keeper", "-t", "codex")
    vs.inside("codex-1@keeper", "echo kept > /vibespace/file; echo mine > ~/file")
    vs.ok("delete", "keeper", "--force", "--keep-data")
    left = vs.objects("keeper")
    assert (left["containers"], left["networks"], len(left["volumes"])) == ([], [], 2)
    assert vs.refused("create", "keeper", "-t", "codex")[:2] == (16, "DATA_KEPT")
    vs.ok("create", "keeper", "-t", "codex", "--reuse-data")
    assert vs.inside("codex-1@keeper", "cat /vibespace/file ~/file") == "kept\nmine"
    vs.ok("delete", "keeper", "--force")
    assert vs.objects("keeper") == NOTHING
    assert vs.refused("create", "keeper", "-t", "codex", "--reuse-data")[:2] == (16, "NO_KEPT_DATA")


@pytest.mark.clustered
def test_limits(vs: Installation, engine_kind: str) -> None:
    """The limits of memory, swap included, and of processor time are those the kernel holds the container to."""
    vs.ok("create", "limited", "-t", "codex", "--memory-limit", "256Mi", "--cpu-limit", "500m", "--storage", "1Gi")
    told = {limit["setting"]: limit for limit in vs.data("info", "limited")["limits"]}
    limits = {setting: limit["enforced"] for setting, limit in told.items()}
    assert limits == {"memory_limit": True, "cpu_limit": True, "storage": False}
    assert ("storage class" if engine_kind == CLUSTER else "free disk space") in told["storage"]["reason"]
    shown = on_terminal(vs, "list", "--usage").stdout
    assert "MEMORY" in shown.splitlines()[0]
    assert "limited" in shown
    assert "MEMORY" not in on_terminal(vs, "list").stdout
    group = "/sys/fs/cgroup"
    look = f"cat {group}/memory.max {group}/memory.swap.max {group}/cpu.max 2>/dev/null ||" + (
        f" cat {group}/memory/memory.limit_in_bytes {group}/memory/memory.memsw.limit_in_bytes;"
        f" echo $(cat {group}/cpu/cpu.cfs_quota_us {group}/cpu/cpu.cfs_period_us)"
    )
    memory, swap, cpu = vs.inside("codex-1@limited", look).split("\n")
    assert int(memory) == 256 << 20
    assert int(swap) in (0, 256 << 20)  # beside memory with cgroup 2, memory included with cgroup 1
    quota, period = cpu.split()
    assert int(quota) / int(period) == 0.5
    done = vs.run("exec", "codex-1@limited", "--", "python3", "-c", "print(len(b'x' * (400 << 20)))")
    assert done.returncode != 0
    vs.ok("delete", "limited", "--force")


def test_rehearsed(vs: Installation, demo: str) -> None:
    """--dry-run deletes nothing; without a terminal --force is needed; on one, whatever is not yes means no."""
    position = vs.events()[-1]["cursor"]["position"]
    assert vs.data("delete", demo, "--dry-run")["vibespace"]["name"] == f"vibespaces/{demo}"
    assert vs.refused("delete", demo)[:2] == (2, "FORCE_NEEDED")
    done = on_terminal(vs, "delete", demo, typed="n\n")
    assert done.returncode == 14
    assert "Nothing was deleted." in done.stdout
    assert vs.events()[-1]["cursor"]["position"] == position


def test_on_a_terminal(vs: Installation, demo: str) -> None:
    """On a terminal people read sentences and tables, in a pipe programs read JSON, with --plain columns."""
    assert on_terminal(vs, "list", "--no-color").stdout.split()[:2] == ["VIBESPACE", "STATE"]
    assert demo in on_terminal(vs, "info", demo).stdout
    row = next(line for line in vs.ok("list", "--plain").splitlines() if line.startswith(f"{demo}\t"))
    assert row.split("\t")[1] == "running"
    assert demo in vs.ok("list", "--plain", "-q").split()
    asked = on_terminal(vs, "create", "seen", "-t", "codex")
    assert asked.stdout.rstrip().endswith("seen is running.")
    assert on_terminal(vs, "delete", "seen", typed="y\n").stdout.rstrip().endswith("seen is deleted.")
