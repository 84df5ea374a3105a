"""What config.yaml says, with the line of what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from yaml import MappingNode, Mark, Node, ScalarNode, SequenceNode

from vibespace.config import HINT, Settings, parse_allowance
from vibespace.errors import InvalidArgument


def parse(path: Path, text: str) -> dict[str, Any]:
    """Fields of Settings that are set. Raises InvalidArgument CONFIG_INVALID."""
    try:
        tree = yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as e:
        where = _place(path, e.problem_mark or e.context_mark)
        raise InvalidArgument("CONFIG_INVALID", f"{where} is not YAML: {e.problem}.", hint=HINT) from e
    except (yaml.YAMLError, RecursionError) as e:  # the second: nested without an end
        said = " ".join(str(e).split())
        raise InvalidArgument("CONFIG_INVALID", f"{path} is not YAML: {said}.", hint=HINT) from e
    return dict(_settings(path, tree))


def _settings(path: Path, tree: Node | None) -> Iterator[tuple[str, str | tuple[str, ...]]]:
    """Field of Settings and value, each once. Raises InvalidArgument with line and column of what is wrong."""
    known = {f.name: f.name.replace("_", ".", 1) for f in fields(Settings)}
    seen: set[str] = set()
    for group, values in _pairs(path, tree, "settings by name, such as 'engine:'"):
        for key, value in _pairs(path, values, f"settings by name below '{group.value}'"):
            told = f"{group.value}.{key.value}"
            name = told.replace(".", "_", 1)
            if name not in known:
                near = get_close_matches(told, known.values(), 1)
                meant = f"Did you mean '{near[0]}'?" if near else f"There are {', '.join(sorted(known.values()))}."
                raise _wrong(path, key, f"there is no setting '{told}'", hint=meant)
            if name in seen:
                raise _wrong(path, key, f"'{told}' is set twice", hint="Leave one out.")
            seen.add(name)
            yield name, _allowances(path, value, told) if name == "network_allow" else _text(path, value, f"'{told}'")


def _allowances(path: Path, value: Node, told: str) -> tuple[str, ...]:
    """Each once, as it will be compared."""
    if not isinstance(value, SequenceNode):
        raise _wrong(path, value, f"'{told}' must be a list", hint="Such as [192.168.1.10/32:5432].")
    found: dict[str, None] = {}
    for item in value.value:
        try:
            network, port = parse_allowance(_text(path, item, f"an entry of '{told}'"))
        except ValueError as e:
            raise _wrong(path, item, f"'{told}': {e}", hint="Write CIDR:PORT, such as 192.168.1.10/32:5432.") from e
        found[f"{network}:{port}"] = None
    return tuple(found)


def _text(path: Path, value: Node, told: str) -> str:
    if not isinstance(value, ScalarNode) or value.tag != _TEXT:
        raise _wrong(path, value, f"{told} must be text", hint="Quote it if it is meant as it stands.")
    return str(value.value)


def _pairs(path: Path, node: Node | None, wanted: str) -> list[tuple[ScalarNode, Node]]:
    """Key and value of each entry; nothing of a file or a group in which all is commented out."""
    if node is None or node.tag == "tag:yaml.org,2002:null":
        return []
    if not isinstance(node, MappingNode) or not all(isinstance(key, ScalarNode) for key, _ in node.value):
        raise _wrong(path, node, f"there must be {wanted}", hint=HINT)
    return list(node.value)


_TEXT = "tag:yaml.org,2002:str"


def _wrong(path: Path, node: Node, what: str, *, hint: str) -> InvalidArgument:
    return InvalidArgument("CONFIG_INVALID", f"{_place(path, node.start_mark)}: {what}.", hint=hint)


def _place(path: Path, mark: Mark | None) -> str:
    """`FILE:LINE:COLUMN`, as editors and terminals jump to."""
    return f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
