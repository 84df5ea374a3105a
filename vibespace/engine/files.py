"""What is put into a container before it starts: root's files, which the agent reads and nobody inside changes."""

from __future__ import annotations

import io
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vibespace.engine.base import USER_ID, AgentSpec

SSH = "/etc/vibespace/ssh"
"""The image's sshd reads `host_key` and `authorized_keys` here, and nowhere else."""
ENVIRONMENT = "/etc/vibespace/environment"
"""Exports the values, and makes the links; the image's shells read it before anything else. The engine is not told of
the values: its `inspect` would tell all.
"""

_LINK = """\
if [ ! -L "$HOME"/{path} ]; then
  mkdir -p "$HOME"/{parent}
  if [ -f "$HOME"/{path} ] && [ ! {target} -nt "$HOME"/{path} ]; then
    cp -p "$HOME"/{path} {target}.$$ && mv {target}.$$ {target} && rm "$HOME"/{path}
  fi
  [ -e "$HOME"/{path} ] || ln -s {target} "$HOME"/{path}
fi 2>/dev/null
"""
"""For bash. What is moved is there whole under its name, or not at all."""


def archive(spec: AgentSpec) -> bytes:
    """A tar of them for `/`."""
    files = {
        f"{SSH}/host_key": spec.host_key,
        f"{SSH}/authorized_keys": spec.authorized_key.encode().rstrip() + b"\n",
        ENVIRONMENT: exports(spec.environment) + links(spec.links),
    }
    return _tar([_Entry(path[1:], gid=USER_ID, mode=0o440, content=content) for path, content in files.items()])


def store(spec: AgentSpec) -> bytes:
    """A tar of the agent's directory in the store of logins, for LOGINS: the mount itself is root's on Docker, for no
    image need have a place for it. What is there already stays.
    """
    return _tar([_Entry(spec.logins, uid=USER_ID, gid=USER_ID, mode=0o700)])


@dataclass(frozen=True)
class _Entry:
    """A file, or a directory without content."""

    path: str
    gid: int
    mode: int
    uid: int = 0
    content: bytes | None = None


def _tar(entries: Sequence[_Entry]) -> bytes:
    """Podman stops reading at the two empty blocks that end an archive, and when it is still being sent the padding
    that Python adds behind them, it sometimes fails with a broken pipe.
    """
    import tarfile  # noqa: PLC0415 (half a megabyte, which a daemon at rest spares)

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for each in entries:
            entry = tarfile.TarInfo(each.path)
            entry.uid, entry.gid, entry.mode = each.uid, each.gid, each.mode
            entry.type = tarfile.DIRTYPE if each.content is None else tarfile.REGTYPE
            entry.size = len(each.content or b"")
            tar.addfile(entry, io.BytesIO(each.content or b""))
    return packed.getvalue()[: tar.offset]


def exports(environment: Mapping[str, str]) -> bytes:
    """For a shell to read: every value in quotes, whatever is in it."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items()).encode()


def links(links: Mapping[str, str]) -> bytes:
    """For a shell to run before a command; see AgentSpec."""
    return "".join(
        _LINK.format(path=shlex.quote(path), parent=shlex.quote(os.path.dirname(path)), target=shlex.quote(target))
        for path, target in links.items()
    ).encode()
