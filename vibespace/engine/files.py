"""What is put into a container before it starts: root's files, which the agent reads and nobody inside changes."""

from __future__ import annotations

import io
import shlex
import tarfile
from collections.abc import Mapping

from vibespace.engine.base import USER_ID, AgentSpec

SSH = "/etc/vibespace/ssh"
"""The image's sshd reads `host_key` and `authorized_keys` here, and nowhere else."""
ENVIRONMENT = "/etc/vibespace/environment"
"""Exports the values; the image's shells read it. The engine is not told of them: its `inspect` would tell all."""


def archive(spec: AgentSpec) -> bytes:
    """A tar of them for `/`."""
    files = {
        f"{SSH}/host_key": spec.host_key,
        f"{SSH}/authorized_keys": spec.authorized_key.encode().rstrip() + b"\n",
        ENVIRONMENT: exports(spec.environment),
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, content in files.items():
            entry = tarfile.TarInfo(path[1:])
            entry.size, entry.gid, entry.mode = len(content), USER_ID, 0o440
            tar.addfile(entry, io.BytesIO(content))
    # Podman stops reading at the two empty blocks that end an archive, and when it is still being sent the padding
    # that Python adds behind them, it sometimes fails with a broken pipe.
    return packed.getvalue()[: tar.offset]


def exports(environment: Mapping[str, str]) -> bytes:
    """For a shell to read: every value in quotes, whatever is in it."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items()).encode()
