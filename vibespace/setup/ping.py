"""Which engine answers at a Unix socket, asked without an event loop."""

from __future__ import annotations

import http.client
import socket
from pathlib import Path

SECONDS = 5.0
"""A Podman that has just been started takes half a second to its first answer."""


def brand_at(path: Path) -> str:
    """`podman`, `docker`, or nothing where no container engine answers."""
    connection = _UnixConnection(path)
    try:
        connection.request("GET", "/_ping")
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()
    if response.getheader("Libpod-API-Version"):
        return "podman"
    return "docker" if response.getheader("Api-Version") else ""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("engine", timeout=SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
