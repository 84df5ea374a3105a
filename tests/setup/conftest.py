"""The engine and the image are those of tests/image."""

from tests.image.engine import agent_image
from tests.podman import podman_socket

__all__ = ["agent_image", "podman_socket"]
