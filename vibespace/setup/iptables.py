"""iptables and ip6tables: rules of the mangle table, which comes before the one where others, netavark too, accept."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vibespace.errors import Aborted
from vibespace.setup.path import program

Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Inside:
    """Where the networks are: this machine's own place for them, or one that a command enters."""

    enter: Sequence[str] = ()
    environment: Mapping[str, str] | None = None


HOST = Inside()


def families() -> tuple[str, ...]:
    """Bridges have link-local addresses wherever there is IPv6 at all."""
    return ("iptables", "ip6tables") if Path("/proc/net/if_inet6").exists() else ("iptables",)


def mangle(verb: str, chain: str, *rule: str, family: str = "iptables", inside: Inside = HOST) -> Done:
    """One rule, made, looked for or taken away."""
    return _run(family, "-w", "-t", "mangle", verb, chain, *rule, inside=inside)


def rules(family: str) -> list[str]:
    """All of the table, as it is written in `change`. Raises Aborted FIREWALL_REFUSED."""
    done = _run(f"{family}-save", "-t", "mangle")
    _check(done, family)
    return done.stdout.splitlines()


def change(family: str, *lines: str) -> None:
    """All of these lines or none; chains that they do not declare stay. Raises Aborted FIREWALL_REFUSED."""
    text = "\n".join(("*mangle", *lines, "COMMIT", ""))
    _check(_run(f"{family}-restore", "-w", "--noflush", text=text), family)


def _check(done: Done, family: str) -> None:
    if done.returncode != 0:
        said = " ".join(done.stderr.split())
        raise Aborted(
            "FIREWALL_REFUSED",
            f"the firewall does not take the rules that guard this machine: {said}",
            hint=f"See '{family} -t mangle -S' as root.",
        )


def _run(name: str, *arguments: str, text: str = "", inside: Inside = HOST) -> Done:
    command = (*inside.enter, program(name) or name, *arguments)
    try:
        return subprocess.run(command, input=text, env=inside.environment, capture_output=True, text=True, check=False)
    except OSError as e:
        raise Aborted(
            "FIREWALL_REFUSED", f"{name} cannot be run: {e.strerror}", hint="As root: apt-get install -y iptables"
        ) from e
