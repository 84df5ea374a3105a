"""Protobuf messages as plain data: the JSON that scripts read, and the words that people read.

Names are the protos' own. Enum values are the words that flags take (`claude-code`, `running`), times are RFC 3339,
numbers are numbers. What has presence and is not set is null; else a text is empty, a list empty, a number 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from vibespace.catalog import choice_word
from vibespace.v1 import options_pb2
from vibespace_cli import human

TIMESTAMP = "google.protobuf.Timestamp"


class Leaf(NamedTuple):
    """A value in a message, however deep."""

    path: tuple[str, ...]
    field: FieldDescriptor
    summary: bool


def to_data(message: Any) -> dict[str, Any]:
    """`message` as JSON can hold it."""
    return {field.name: _field(message, field) for field in message.DESCRIPTOR.fields}


def leaves(descriptor: Descriptor, above: tuple[str, ...] = ()) -> Iterator[Leaf]:
    """All values below `descriptor`, without those in lists of messages."""
    for field in descriptor.fields:
        path = (*above, field.name)
        if not is_message(field):
            yield Leaf(path, field, field.GetOptions().Extensions[options_pb2.summary])
        elif not field.is_repeated and field.message_type is not None:
            yield from leaves(field.message_type, path)


def text(message: Any, leaf: Leaf, *, local: bool = False) -> str | None:
    """The value of `leaf`; None when it is not set. With `local`, times are those of the clock on the wall."""
    for name in leaf.path[:-1]:
        if not message.HasField(name):
            return None
        message = getattr(message, name)
    if leaf.field.has_presence and not message.HasField(leaf.field.name):
        return None
    if local and leaf.field.message_type is not None:
        return human.moment(getattr(message, leaf.field.name).seconds)
    return words(_field(message, leaf.field))


def words(value: Any) -> str:
    """A value of `to_data` for a person."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(words(v) for v in value)
    return str(value)


def is_message(field: FieldDescriptor) -> bool:
    """Whether `field` holds messages that have fields of their own to show."""
    return field.message_type is not None and field.message_type.full_name != TIMESTAMP


def _field(message: Any, field: FieldDescriptor) -> Any:
    value = getattr(message, field.name)
    if field.is_repeated:
        return [_converter(field)(v) for v in value]
    if field.has_presence and not message.HasField(field.name):
        return None
    return _converter(field)(value)


def _converter(field: FieldDescriptor) -> Callable[[Any], Any]:
    if (enum := field.enum_type) is not None:
        return lambda number: _enum_word(enum, number)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return lambda value: value.decode(errors="replace")
    if is_message(field):
        return to_data
    return _timestamp if field.message_type is not None else _same


def _same(value: Any) -> Any:
    return value


def _timestamp(value: Any) -> str:
    return str(value.ToJsonString())


def _enum_word(enum: EnumDescriptor, number: int) -> str:
    value = enum.values_by_number.get(number)
    return choice_word(enum.name, value.name) if value else str(number)
