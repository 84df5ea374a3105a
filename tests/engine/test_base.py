"""What decides whether a container that runs is replaced."""

from __future__ import annotations

from dataclasses import replace

from vibespace.engine.base import AgentSpec, Resources, spec_hash

SPEC = AgentSpec("a", "claude-1", "v", "demo", "d", "sha256:1", resources=Resources(pids=7), host_key=b"key")


def test_an_upgrade_replaces_nothing() -> None:
    """The hash of a spec is the same in every build, fields that it does not set included: it lies in labels."""
    assert spec_hash(SPEC) == "eda4dc8e901d279e6c6a961292e2320f27a816282d5934c05904e76d82a37ac9"


def test_what_counts_as_another_spec() -> None:
    """A limit and a key do; the image and the intent to run do not."""
    same = [replace(SPEC, image="sha256:2"), replace(SPEC, running=False)]
    others = [replace(SPEC, resources=Resources()), replace(SPEC, host_key=b"other"), replace(SPEC, authorized_key="k")]
    assert {spec_hash(spec) for spec in same} == {spec_hash(SPEC)}
    assert len({spec_hash(spec) for spec in (SPEC, *others)}) == 1 + len(others)
