"""The engines that several folders' tests run on: made once for all of them, as one run at a time has each."""

from __future__ import annotations

from tests.engines import apart_network, docker, docker_rootless, podman_rootless, unprivileged
from tests.image.engine import agent_image
from tests.podman import podman_socket

__all__ = [
    "agent_image",
    "apart_network",
    "docker",
    "docker_rootless",
    "podman_rootless",
    "podman_socket",
    "unprivileged",
]
