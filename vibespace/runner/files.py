"""Files that a program is to find when it starts."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from vibespace.runner.places import in_home


def put(files: Mapping[str, Any]) -> None:
    """Have these files, by their path in the home, hold these texts, or these fields beside what they hold."""
    for path, content in files.items():
        place = in_home(path)
        text = content if isinstance(content, str) else _joined(place, content)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        new = f"{place}.{os.getpid()}"
        with open(new, "w") as file:
            file.write(text)
        os.rename(new, place)


def _joined(path: str, fields: Mapping[str, Any]) -> str:
    """The JSON object in that file, with these fields; what is none stays as it is, for its program to mend."""
    try:
        with open(path) as file:
            text = file.read()
    except FileNotFoundError:
        text = "{}"
    try:
        there = json.loads(text)
    except ValueError:
        return text
    return json.dumps(_added(there, fields), indent=2) if isinstance(there, dict) else text


def _added(there: Any, fields: Mapping[str, Any]) -> Any:
    """What is there already stays; of lists, what is missing comes to their end."""
    for name, value in fields.items():
        if isinstance(value, dict):
            if isinstance(there.setdefault(name, {}), dict):
                _added(there[name], value)
        elif isinstance(value, list) and isinstance(there.get(name), list):
            there[name] += [each for each in value if each not in there[name]]
        else:
            there.setdefault(name, value)
    return there
