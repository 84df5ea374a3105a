"""What is tried from inside a vibespace, and what it means that it was reached, or was not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from vibespace.net.base import USER_NAMESPACES, Seen, Target
from vibespace.v1.system_pb2 import SEVERITY_ERROR, SEVERITY_OK, SEVERITY_WARNING, Finding

_HINT = "It ought to hold: docs/security.md, in vibespace's sources, says why."
_EXPECTED = {
    "hardened": {"NoNewPrivs": "1", "Seccomp": "2"}
    | dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), "0" * 16),
    "comfortable": {"Seccomp": "2", "CapEff": "0" * 16},  # until it asks for more, which it may
}


@dataclass(frozen=True)
class Trial:
    """Something that agents are kept from."""

    what: str
    """As in: it does not reach `what`."""
    tried: Sequence[str]
    untried: str = ""
    """Why nothing could be tried, or nothing would be proved by it."""
    excuse: str = ""
    """Why it need not hold, which `info` says too; empty where it ought to."""
    sample: str = ""
    """Of how many more, where not all were tried."""


def judge(subject: str, trial: Trial, reached: Collection[str]) -> Finding:
    """One finding: held, not held, or not tried."""
    got = [each for each in trial.tried if each in reached]
    if trial.untried or not trial.tried:
        text = f"not tried: {trial.what}: {trial.untried or 'there is nothing to try it on'}."
        return Finding(severity=SEVERITY_WARNING, subject=subject, message=text)
    if not got:
        text = f"held: {trial.what}, {len(trial.tried)} tried{trial.sample}."
        return Finding(severity=SEVERITY_OK, subject=subject, message=text)
    why = f" ({trial.excuse})" if trial.excuse else ""
    text = f"not held: {trial.what}: {', '.join(got)} reached{trial.sample}{why}."
    severity = SEVERITY_WARNING if trial.excuse else SEVERITY_ERROR
    return Finding(severity=severity, subject=subject, message=text, hint=_HINT if severity == SEVERITY_ERROR else "")


def powers(subject: str, seen: Seen, *, sudo: bool) -> Finding:
    """What the kernel lets it do."""
    expected = _EXPECTED["comfortable" if sudo else "hardened"]
    other = [f"{name} {seen.powers.get(name, 'unknown')}" for name, value in expected.items()]
    wrong = [each for each, (name, value) in zip(other, expected.items(), strict=True) if each != f"{name} {value}"]
    trial = Trial("powers of root, and ways to them", other)
    return judge(subject, trial, wrong)


def namespaces(subject: str, seen: Seen, brand: str) -> Finding:
    """Whether it may make a user namespace: nothing outside is reached by one, but more of the kernel is."""
    found = seen.powers.get(USER_NAMESPACES, "")
    untried = "" if found in ("0", "1") else "from inside it was not said"
    excuse = "Podman's filter of system calls allows it" if brand == "podman" else ""
    one = "one with all capabilities in it"
    return judge(subject, Trial("user namespaces of its own", [one], untried, excuse), [one] * (found == "1"))


def told(target: Target) -> str:
    """A target as a person reads it."""
    host, port = target
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_opened(target: Target, allowed: Sequence[str]) -> bool:
    """Whether `network.allow` has opened it, for which an address that is no name of an engine is needed."""
    for text in allowed:
        network, _, port = text.rpartition(":")
        found, within = ip_address(target[0]), ip_network(network)
        if int(port) == target[1] and found.version == within.version and found in within:
            return True
    return False
