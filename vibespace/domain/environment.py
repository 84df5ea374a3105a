"""What may be given as an environment variable."""

from __future__ import annotations

import re
from collections.abc import Iterable

from vibespace.errors import InvalidArgument

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
LONGEST = 64 * 1024
"""Bytes of a value; Linux takes no single one over 128 KiB."""
MOST_TOGETHER = 512 * 1024
"""Bytes of all values. Linux starts nothing with more than 2 MiB; as much again may come by credentials."""
_MOST = 200
_TAKEN = frozenset(
    (
        *("HOME", "LOGNAME", "USER", "SHELL", "PWD", "OLDPWD", "SHLVL", "TERM", "PATH", "_"),
        *("UID", "EUID", "PPID", "BASHOPTS", "SHELLOPTS", "BASH_ENV", "ENV", "VIBESPACE_COMMAND"),
        *("CLAUDE_CONFIG_DIR", "CODEX_HOME"),
    )
)
"""Made by the login, constant in the shell, or read by it as a program; and what moves away what we look for in the
homes of agents' programs: their conversations, and where they are spoken with.
"""


def parse(entries: Iterable[str], field: str) -> dict[str, str]:
    """Value by name of `NAME=VALUE` entries, the last one of a name. Raises InvalidArgument ENV_INVALID.

    No error shows a value, nor an entry that may be one.
    """
    found: dict[str, str] = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not equals or not _NAME.fullmatch(name):
            text = "An environment variable is NAME=VALUE, with at most 100 letters, digits and '_' in its name."
            raise _invalid(text, field)
        check_name(name, field)
        if "\0" in value or len(value.encode(errors="replace")) > LONGEST:
            raise _invalid(f"The value of {name} is longer than 64 KiB or has a NUL in it.", field)
        found[name] = value
    if len(found) > _MOST:
        raise _invalid(f"More than {_MOST} environment variables were given.", field)
    if sum(len(value.encode(errors="replace")) for value in found.values()) > MOST_TOGETHER:
        raise _invalid(f"The values have more than {MOST_TOGETHER // 1024} KiB together.", field)
    return found


def check_name(name: str, field: str) -> None:
    """Raises InvalidArgument ENV_INVALID for what no variable is called, or none that can be given."""
    if not name:
        raise _invalid("It was not said which environment variable it is.", field)
    if not _NAME.fullmatch(name):
        text = "The name of an environment variable has at most 100 letters, digits and '_', and no digit first."
        raise _invalid(text, field)
    if name in _TAKEN or name.startswith(("SSH_", "BASH_FUNC_")):
        raise _invalid(f"{name} is for the login, the shell or vibespace to set, and cannot be given.", field)


def _invalid(sentence: str, field: str) -> InvalidArgument:
    return InvalidArgument("ENV_INVALID", sentence, field=field)
