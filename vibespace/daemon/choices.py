"""What a request may choose from: a number that none of an enum's values has would be taken for something else."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor
from google.protobuf.message import Message

from vibespace.errors import InvalidArgument


def check(message: Message) -> None:
    """Raises InvalidArgument VALUE_UNKNOWN, naming the first field at fault. In lists of messages nothing is looked at:
    no request has one.
    """
    for path, enum in _choices(message.DESCRIPTOR):
        for number in _numbers(message, path):
            if number not in enum.values_by_number:
                known = ", ".join(value.name for value in enum.values if value.number)
                name = ".".join(path)
                raise InvalidArgument("VALUE_UNKNOWN", f"{name} is {number}, and none of {known}.", field=name)


@lru_cache(maxsize=256)
def _choices(descriptor: Descriptor) -> tuple[tuple[tuple[str, ...], EnumDescriptor], ...]:
    """Paths of the fields below `descriptor` that hold a choice."""
    found: list[tuple[tuple[str, ...], EnumDescriptor]] = []
    for field in descriptor.fields:
        if field.enum_type is not None:
            found.append(((field.name,), field.enum_type))
        elif field.message_type is not None and not field.is_repeated:
            found += [((field.name, *path), enum) for path, enum in _choices(field.message_type)]
    return tuple(found)


def _numbers(message: Any, path: tuple[str, ...]) -> list[int]:
    for name in path[:-1]:
        if not message.HasField(name):
            return []
        message = getattr(message, name)
    value = getattr(message, path[-1])
    return [value] if isinstance(value, int) else list(value)
