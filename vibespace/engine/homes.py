"""Which agents have a home in a vibespace's claim: noted on it, one by one. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vibespace.engine import bodies

NOTE = "home.vibespace/"
"""Before an agent's name: annotation of the claim in which that agent has a home."""


def homes(claim: Mapping[str, Any]) -> Sequence[str]:
    """Those agents, by name."""
    annotations = claim["metadata"].get("annotations") or {}
    return sorted(name.removeprefix(NOTE) for name in annotations if name.startswith(NOTE))


def volume_names(claim: Mapping[str, Any]) -> Sequence[str]:
    """What is told of a claim: itself, and each home in it, by the names that volumes have on other engines."""
    uid = claim["metadata"]["labels"].get(bodies.OWNER)  # which somebody may have taken away
    return (claim["metadata"]["name"], *(bodies.home_volume(uid, agent) for agent in homes(claim) if uid))
