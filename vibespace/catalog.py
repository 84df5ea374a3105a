"""The API as commands: what the descriptors and their comments say, for whoever draws them.

Read from `api.binpb` at run time, so a new field or method is a new flag or command with no other change.
Nothing here knows any command by its name, and nothing is read before it is asked for.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

from vibespace.v1 import options_pb2

PACKAGE = "vibespace.v1"

_API = Path(__file__).parent / "v1" / "api.binpb"

MESSAGES, ENUMS, SERVICES = 4, 5, 6
FIELDS = VALUES = METHODS = 2
"""Field numbers of descriptor.proto: the paths that source comments are filed under."""

_INTEGERS = frozenset(
    {
        FieldDescriptorProto.TYPE_INT32,
        FieldDescriptorProto.TYPE_INT64,
        FieldDescriptorProto.TYPE_UINT32,
        FieldDescriptorProto.TYPE_UINT64,
    }
)


class Choice(NamedTuple):
    """One value of an enum."""

    word: str
    """As a person types and reads it: AGENT_TYPE_CLAUDE_CODE is `claude-code`."""
    number: int
    help: str


class Flag(NamedTuple):
    """A request field that a person can set."""

    path: tuple[str, ...]
    """Field names from the request down, such as `("spec", "cpu_limit")`."""
    word: str
    """`cpu-limit`, without dashes in front."""
    short: str
    """One letter, or empty."""
    argument: bool
    """Given by its position."""
    noun: str
    """`vibespace` or `agent` when it names one, else empty."""
    required: bool
    environment: bool
    """NAME=VALUE; NAME alone takes the value from the caller's environment."""
    separated: bool
    """Several values at once, with commas between them but for those within parentheses."""
    immutable: bool
    """Decided when the thing is made: a method that updates has no such flag."""
    repeated: bool
    kind: str
    """`text`, `integer`, `switch` or `choice`."""
    optional: bool
    """Leaving it out is different from its zero."""
    choices: tuple[Choice, ...]
    help: str


class Method(NamedTuple):
    """A method that is a command."""

    full_name: str
    """`VibespaceService/ListVibespaces`, as `Client` takes it."""
    words: tuple[str, ...]
    """The words of the command."""
    request: str
    """Name of the request message, without its package."""
    response: str
    client_streams: bool
    server_streams: bool
    destroys: bool
    settles: bool
    explicit: bool
    updates: bool
    """Its request names in `update_mask` which fields of a resource it is about."""
    home: str
    """`device` or `server`."""
    access: str
    """`read`, `write` or `host`."""


class Catalog:
    """All commands of one FileDescriptorSet."""

    def __init__(self, descriptors: bytes) -> None:
        files = FileDescriptorSet.FromString(descriptors).file
        self._files = [f for f in files if f.package == PACKAGE]
        self._comments: dict[str, dict[tuple[int, ...], str]] = {}

    @cached_property
    def methods(self) -> tuple[Method, ...]:
        """Every method with a (command), in the order of the protos."""
        return tuple(m for f in self._files for s in f.service for d in s.method if (m := self._method(s, d)))

    def named(self, words: tuple[str, ...]) -> tuple[Method, ...]:
        """The methods behind one command; the one that takes more arguments first."""
        found = [m for m in self.methods if m.words == words]
        return tuple(sorted(found, key=lambda m: -sum(f.argument for f in self.flags(m))) if found[1:] else found)

    def flags(self, method: Method) -> tuple[Flag, ...]:
        """The arguments, in order, and flags of `method`."""
        found = self._flags(method.request, ())
        return tuple(f for f in found if not f.immutable) if method.updates else tuple(found)

    def help(self, method: Method) -> str:
        """The method's comment: its first sentence alone must do."""
        service, _, name = method.full_name.partition("/")
        return next(
            self._comment(f, (SERVICES, i, METHODS, j))
            for f in self._files
            for i, s in enumerate(f.service)
            for j, m in enumerate(s.method)
            if s.name == service and m.name == name
        )

    def service_help(self, method: Method) -> str:
        """The comment of the service that `method` belongs to."""
        service = method.full_name.partition("/")[0]
        places = ((f, i, s.name) for f in self._files for i, s in enumerate(f.service))
        return next(self._comment(f, (SERVICES, i)) for f, i, name in places if name == service)

    def message_class(self, name: str) -> type[Any]:
        """The generated class of the message `name`; imports no other file than it needs."""
        file = self._messages[name][0].name
        module = importlib.import_module(file.removesuffix(".proto").replace("/", ".") + "_pb2")
        found: type[Any] = getattr(module, name)
        return found

    def _method(self, service: ServiceDescriptorProto, method: MethodDescriptorProto) -> Method | None:
        command = method.options.Extensions[options_pb2.command]
        if not command.path:
            return None
        request = method.input_type.rpartition(".")[2]
        home, access = method.options.Extensions[options_pb2.home], method.options.Extensions[options_pb2.access]
        return Method(
            full_name=f"{service.name}/{method.name}",
            words=tuple(command.path.split()),
            request=request,
            response=method.output_type.rpartition(".")[2],
            client_streams=method.client_streaming,
            server_streams=method.server_streaming,
            destroys=command.destroys,
            settles=command.settles,
            explicit=command.explicit,
            updates=any(field.name == "update_mask" for field in self._messages[request][2].field),
            home=options_pb2.Home.Name(home).removeprefix("HOME_").lower(),
            access=options_pb2.Access.Name(access).removeprefix("ACCESS_").lower(),
        )

    def _flags(self, message: str, above: tuple[str, ...]) -> Iterator[Flag]:
        file, index, described = self._messages[message]
        for number, field in enumerate(described.field):
            path = (*above, field.name)
            if field.options.HasExtension(options_pb2.flag):
                yield self._flag(field, path, self._comment(file, (MESSAGES, index, FIELDS, number)))
            elif field.type == FieldDescriptorProto.TYPE_MESSAGE and field.label != FieldDescriptorProto.LABEL_REPEATED:
                inner = field.type_name.removeprefix(f".{PACKAGE}.")
                if inner in self._messages:
                    yield from self._flags(inner, path)

    def _flag(self, field: FieldDescriptorProto, path: tuple[str, ...], comment: str) -> Flag:
        said = field.options.Extensions[options_pb2.flag]
        choices = self._choices(field.type_name) if field.type == FieldDescriptorProto.TYPE_ENUM else ()
        return Flag(
            path=path,
            word=said.name or field.name.replace("_", "-"),
            short=said.short,
            argument=said.argument,
            noun=options_pb2.Noun.Name(said.noun).removeprefix("NOUN_").lower() if said.noun else "",
            required=said.required,
            environment=said.environment,
            separated=said.separated,
            immutable=said.immutable,
            repeated=field.label == FieldDescriptorProto.LABEL_REPEATED,
            kind=_kind(field),
            optional=field.proto3_optional,
            choices=choices,
            help=comment,
        )

    def _choices(self, type_name: str) -> tuple[Choice, ...]:
        name = type_name.removeprefix(f".{PACKAGE}.")
        for file in self._files:
            for i, enum in enumerate(file.enum_type):
                if enum.name == name:
                    return tuple(
                        Choice(choice_word(name, v.name), v.number, self._comment(file, (ENUMS, i, VALUES, j)))
                        for j, v in enumerate(enum.value)
                        if v.number and not v.options.Extensions[options_pb2.told]
                    )
        return ()

    def _comment(self, file: FileDescriptorProto, place: tuple[int, ...]) -> str:
        known = self._comments.get(file.name)
        if known is None:
            locations = file.source_code_info.location
            known = {tuple(x.path): prose(x.leading_comments) for x in locations if x.leading_comments}
            self._comments[file.name] = known
        return known.get(place, "")

    @cached_property
    def _messages(self) -> dict[str, tuple[FileDescriptorProto, int, DescriptorProto]]:
        return {m.name: (f, i, m) for f in self._files for i, m in enumerate(f.message_type)}


def choice_word(enum: str, value: str) -> str:
    """The word for an enum's value: `AgentType`, `AGENT_TYPE_CLAUDE_CODE` -> `claude-code`."""
    prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", enum).upper() + "_"
    return value.removeprefix(prefix).lower().replace("_", "-")


@lru_cache(maxsize=1)
def load() -> Catalog:
    """The catalog of the API that this package was built with."""
    return Catalog(_API.read_bytes())


def first_sentence(comment: str) -> str:
    """What stands before the first full stop that ends a sentence."""
    return re.split(r"(?<=[.!?])\s", comment, maxsplit=1)[0]


def prose(comment: str) -> str:
    """A source comment as paragraphs without line breaks of their own."""
    paragraphs = "\n".join(line.strip() for line in comment.strip().splitlines()).split("\n\n")
    return "\n\n".join(" ".join(p.split("\n")) for p in paragraphs)


def _kind(field: FieldDescriptorProto) -> str:
    if field.type == FieldDescriptorProto.TYPE_BOOL:
        return "switch"
    if field.type == FieldDescriptorProto.TYPE_ENUM:
        return "choice"
    return "integer" if field.type in _INTEGERS else "text"
