"""What `doctor` says, and what it asks for that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.cli.conftest import Run
from tests.cli.daemon import Daemon
from vibespace import errors
from vibespace.v1 import system_pb2


def test_doctor_says_once_what_also_keeps_the_daemon_away(vibespace: Run, daemon: Daemon, home: Path) -> None:
    """A state directory that others can enter is one finding, not one more by the daemon that is refused for it."""
    home.chmod(0o755)
    done = vibespace("doctor", "--json")
    found = [f for f in done.json["data"]["findings"] if f["severity"] == "error"]
    assert (done.code, [f["subject"] for f in found]) == (15, ["state directory"])


def test_doctor_asks_nothing_else_where_the_isolation_was_not_asked(vibespace: Run, daemon: Daemon) -> None:
    """--vibespace alone is refused by the daemon, and that is the answer, not a finding among others."""

    def refuse(_: object) -> Any:
        raise errors.InvalidArgument("ISOLATION_NOT_ASKED", "No.", field="parent")

    daemon.answers["SystemService/Diagnose"] = refuse
    done = vibespace("doctor", "--vibespace", "demo", "--plain")
    assert (done.code, done.out) == (2, "")


def test_doctor_claims_no_settings_file_that_is_not_there(vibespace: Run, daemon: Daemon, home: Path) -> None:
    """Without config.yaml the defaults hold; that is said."""
    daemon.answers["SystemService/Diagnose"] = lambda _: system_pb2.DiagnoseResponse()
    assert f"There is no {home}/config.yaml, so the defaults hold." in vibespace("doctor", "--plain").out
    (home / "config.yaml").touch()
    assert "the defaults hold" not in vibespace("doctor", "--plain").out


def test_an_engine_that_is_asked_for_and_not_used_is_a_finding(vibespace: Run, daemon: Daemon, home: Path) -> None:
    """It was chosen before, and stays."""
    daemon.answers["SystemService/Diagnose"] = lambda _: system_pb2.DiagnoseResponse()
    engine = system_pb2.HostEngine(brand="docker", address="/one.sock")
    host = system_pb2.Host(initialized=True, engine=engine)
    daemon.answers["SystemService/GetStatus"] = lambda _: system_pb2.GetStatusResponse(host=host)
    seen = {}
    for asked in ("/one.sock", "/other.sock"):
        (home / "config.yaml").write_text(f"engine: {{socket: {asked}}}\n")
        seen[asked] = [f["message"] for f in vibespace("doctor").json["data"]["findings"] if f["subject"] == "engine"]
    assert seen["/one.sock"] == []
    assert ["stays docker at /one.sock" in each for each in seen["/other.sock"]] == [True]


def test_what_agents_reach_is_told_alone(vibespace: Run, daemon: Daemon) -> None:
    """doctor --isolation is the daemon's findings and no others; what ought to hold and does not is exit code 15."""
    severity, refusal = system_pb2.SEVERITY_WARNING, errors.FailedPrecondition("NOTHING_RUNS", "No agent runs.")

    def answer(asked: Any) -> Any:
        if asked.parent == "vibespaces/resting":
            raise refusal
        finding = system_pb2.Finding(severity=severity, subject="isolation of demo", message="not held: x.")
        return system_pb2.DiagnoseResponse(findings=[finding])

    daemon.answers["SystemService/Diagnose"] = answer
    done = vibespace("doctor", "--isolation", "--plain")
    assert (done.code, done.out) == (0, "warning\tisolation of demo\tnot held: x.\t\n")
    severity = system_pb2.SEVERITY_ERROR
    assert vibespace("doctor", "--isolation").code == 15
    assert vibespace("doctor", "--isolation", "--vibespace", "resting").code == 16
    assert [asked.isolation for asked in daemon.asked("SystemService/Diagnose")] == [True] * 3
