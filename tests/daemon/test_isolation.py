"""What a trial of the isolation means, and what is not tried at all."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.daemon.running import Running, refused
from vibespace.daemon import trials
from vibespace.daemon.trials import Trial
from vibespace.net.base import Seen
from vibespace.v1 import system_pb2 as s

HARDENED = dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), "0" * 16)
HARDENED |= {"NoNewPrivs": "1", "Seccomp": "2"}


@pytest.mark.parametrize(
    ("trial", "reached", "severity", "told"),
    [
        (Trial("x", ["a:1", "b:2"]), ["c:3"], s.SEVERITY_OK, "held: x, 2 tried."),
        (Trial("x", ["a:1", "b:2"]), ["b:2"], s.SEVERITY_ERROR, "not held: x: b:2 reached."),
        (Trial("x", ["a:1"], excuse="no root"), ["a:1"], s.SEVERITY_WARNING, "not held: x: a:1 reached (no root)."),
        (Trial("x", ["a:1"], excuse="no root"), [], s.SEVERITY_OK, "held: x, 1 tried."),
        (Trial("x", ["a:1"], untried="it is away"), [], s.SEVERITY_WARNING, "not tried: x: it is away."),
        (Trial("x", []), [], s.SEVERITY_WARNING, "not tried: x: there is nothing to try it on."),
    ],
)
def test_what_was_reached_is_judged(
    trial: Trial, reached: Sequence[str], severity: s.Severity.ValueType, told: str
) -> None:
    """What ought to hold and does not is an error, what cannot a warning with the reason; nothing tried is no yes."""
    found = trials.judge("isolation of demo", trial, reached)
    assert (found.severity, found.message) == (severity, told)
    assert bool(found.hint) == (severity == s.SEVERITY_ERROR)


@pytest.mark.parametrize(
    ("sudo", "other", "severity"),
    [
        (False, {}, s.SEVERITY_OK),
        (False, {"CapBnd": "00000000a80425fb"}, s.SEVERITY_ERROR),
        (False, {"NoNewPrivs": "0"}, s.SEVERITY_ERROR),
        (True, {"CapBnd": "00000000a80425fb", "NoNewPrivs": "0"}, s.SEVERITY_OK),
        (True, {"Seccomp": "0"}, s.SEVERITY_ERROR),
    ],
)
def test_powers_are_those_of_the_profile(sudo: bool, other: dict[str, str], severity: s.Severity.ValueType) -> None:
    """With sudo there is a way up, which goes no further than the filter of system calls lets it."""
    seen = Seen((), (), (), (), HARDENED | other)
    assert trials.powers("isolation of demo", seen, sudo=sudo).severity == severity
    assert trials.powers("isolation of demo", Seen((), (), (), (), {}), sudo=sudo).severity == s.SEVERITY_ERROR


@pytest.mark.parametrize(
    ("host", "port", "opened"),
    [("10.0.0.7", 5432, True), ("10.0.0.7", 80, False), ("10.1.0.7", 5432, False), ("fe80::1%eth0", 5432, False)],
)
def test_what_was_opened_is_not_tried(host: str, port: int, opened: bool) -> None:
    """network.allow is no hole."""
    assert trials.is_opened((host, port), ["::/0:22", "10.0.0.0/24:5432"]) is opened


async def test_a_fake_engine_proves_nothing(demo: Running) -> None:
    """Nothing that cannot be tried is told as if it held."""
    error = await refused(demo.system.Diagnose(s.DiagnoseRequest(isolation=True)))
    assert error.reason == "ENGINE_FAKE"
