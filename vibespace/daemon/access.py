"""What a caller may say in a request: some fields reach the machine itself, and are not for devices."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from vibespace.daemon.principal import Principal
from vibespace.errors import PermissionDenied
from vibespace.v1 import options_pb2


def check_fields(request: Any, caller: Principal) -> None:
    """Raises PermissionDenied FIELD_NOT_ALLOWED, naming the field, for who is not of this machine."""
    if caller.kind in ("local", "daemon") or not isinstance(request, Message):
        return
    for path in _host_fields(request.DESCRIPTOR):
        if _is_set(request, path):
            name = ".".join(path)
            raise PermissionDenied(
                "FIELD_NOT_ALLOWED",
                f"{name} reaches the machine that the engine runs on; a device may not set it.",
                field=name,
                hint="Ask for it on that machine itself.",
            )


@lru_cache(maxsize=256)
def _host_fields(descriptor: Descriptor) -> tuple[tuple[str, ...], ...]:
    """Paths of the fields below `descriptor` that are marked ACCESS_HOST."""
    found: list[tuple[str, ...]] = []
    for field in descriptor.fields:
        if field.GetOptions().Extensions[options_pb2.field_access] == options_pb2.ACCESS_HOST:
            found.append((field.name,))
        elif field.message_type is not None and not field.is_repeated:
            found += [(field.name, *below) for below in _host_fields(field.message_type)]
    return tuple(found)


def _is_set(message: Any, path: tuple[str, ...]) -> bool:
    for name in path[:-1]:
        if not message.HasField(name):
            return False
        message = getattr(message, name)
    return any(field.name == path[-1] for field, _ in message.ListFields())
