"""`doctor --isolation`: what agents reach, told from real connections."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.e2e.clustered import CLUSTER
from tests.e2e.installation import Installation, installation, on_terminal
from tests.engines import Served

pytestmark = pytest.mark.containers


def told(findings: list[Mapping[str, Any]], of: str) -> dict[str, str]:
    """Verdict by what was tried, from inside one vibespace."""
    mine = [each["message"].split(": ") for each in findings if each["subject"] == f"isolation of {of}"]
    return {words[1].partition(",")[0].removesuffix("."): words[0] for words in mine}


@pytest.mark.core
@pytest.mark.clustered
@pytest.mark.here("engines that lack a guard are told from those that have one by who started the daemon")
def test_what_ought_to_hold_is_told_to_hold(served: Served, own: Installation, engine_kind: str) -> None:
    """From inside each vibespace that runs; what is alone, or at rest, says what could not be tried.

    The test cluster's network enforces nothing, and what follows from that is told as well.
    """
    enforced = engine_kind != CLUSTER
    assert own.refused("doctor", "--isolation")[:2] == (16, "NOTHING_RUNS")
    own.ok("create", "shop", "-t", "codex")
    alone = told(own.data("doctor", "--isolation")["findings"], "shop")
    assert alone["other vibespaces"] == "not tried"
    own.allow_sudo()
    own.ok("create", "wide", "-t", "codex", "--sudo")
    done = own.run("doctor", "--isolation")
    assert done.returncode == (0 if enforced else 15)
    findings = json.loads(done.stdout)["data"]["findings"]
    guarded = enforced and not engine_kind.endswith("rootless")
    for name in ("shop", "wide"):
        found = told(findings, name)
        assert found.pop("private networks") in ("held", "not tried", *(() if guarded else ("not held",)))
        machine = found.pop("this machine's addresses")
        assert machine == "held" or not guarded
        namespaces = found.pop("user namespaces of its own")
        assert namespaces == "held" or engine_kind.startswith("podman")
        assert found == {
            "this machine's loopback": "held",
            "other vibespaces": "held" if enforced else "not held",
            "sockets of engines": "held",
            "powers of root": "held",
        }
    one = json.loads(own.run("doctor", "--isolation", "--vibespace", "shop").stdout)["data"]["findings"]
    assert {each["subject"] for each in one} == {"isolation of shop"}
    assert "kex_exchange" not in own.run("logs", "codex-1@shop").stderr
    assert own.refused("doctor", "--isolation", "--vibespace", "nowhere")[:2] == (10, "VIBESPACE_NOT_FOUND")


@pytest.mark.here("the firewall is that of the daemon's machine")
@pytest.mark.core("docker")
@pytest.mark.unclustered(
    "there is no guard of ours to be taken away, and a network that enforces nothing is tried above"
)
def test_what_does_not_hold_fails(served: Served) -> None:
    """Once the guard has gone from the firewall, the machine is reached: an error, and exit code 15. Docker's network
    is one of the tests' own, so that nobody else misses the rules.
    """
    with installation(served.socket, place=served.place) as own:
        own.init()
        own.ok("create", "shop", "-t", "codex")
        for family in ("iptables", "ip6tables"):
            served.place.run(family, "-t", "mangle", "-F", "INPUT")
        done = own.run("doctor", "--isolation")
        assert done.returncode == 15
        findings = json.loads(done.stdout)["data"]["findings"]
        assert told(findings, "shop")["this machine's addresses"] == "not held"
        [wrong] = [each for each in findings if each["severity"] == "error"]
        assert wrong["hint"]
        own.ok("stop", "shop")
        own.ok("start", "shop")
        shown = on_terminal(own, "doctor", "--isolation")
        assert shown.returncode == 0
        assert "isolation of shop: held: this machine's addresses, " in shown.stdout
