"""The engines that several folders' tests run on: made once for all of them, as one run at a time has each."""

from __future__ import annotations

from zlib import crc32

import pytest

from tests.clusters import cluster, cluster_image, prepared
from tests.engines import KINDS, apart_network, docker, docker_rootless, podman_rootless, unprivileged
from tests.image.engine import agent_image
from tests.podman import podman_socket

__all__ = [
    "agent_image",
    "apart_network",
    "cluster",
    "cluster_image",
    "docker",
    "docker_rootless",
    "podman_rootless",
    "podman_socket",
    "prepared",
    "unprivileged",
]

_LONGEST_ID = 200

GROUPS = {
    "cluster": {"cluster", "kubernetes"},
    "others": {"apart_network", "docker", "docker_rootless", "podman_rootless", "unprivileged", *KINDS[1:]},
    "podman": {"podman_socket", "agent_image"},
}
"""What tests ask for, or run on; the first that is asked for counts."""


def pytest_make_parametrize_id(val: object) -> str | None:
    """A long value is told by its beginning: the name of a test is in the environment of all that it starts."""
    if not isinstance(val, str | bytes) or len(val) <= _LONGEST_ID:
        return None
    return f"{val[:30]!a} {crc32(val if isinstance(val, bytes) else val.encode()):08x}"


def pytest_collection_finish(session: pytest.Session) -> None:
    """Raises UsageError where pytest-xdist is to keep groups together, and does not know of them."""
    grouped = [item for item in session.items if item.get_closest_marker("xdist_group")]
    if session.config.getoption("loadgroup", default=False) and any("@" not in item.nodeid for item in grouped):
        raise pytest.UsageError("this pytest-xdist does not keep groups of tests together with this pytest")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Groups of tests run side by side, those of one after each other: who kills an engine takes it from nobody."""
    assert isinstance(item, pytest.Function)
    asked = {*item.fixturenames, str(item.callspec.params.get("run_on", "")) if hasattr(item, "callspec") else ""}
    for group, those in GROUPS.items():
        if asked & those:
            item.add_marker(pytest.mark.xdist_group(group))
            return
