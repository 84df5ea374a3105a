"""What things may be called."""

from __future__ import annotations

import pytest

from vibespace.domain import names
from vibespace.errors import InvalidArgument


@pytest.mark.parametrize("name", ["a", "demo", "a1", "a-1", "claude-1", "a" * 30])
def test_names(name: str) -> None:
    """Small letters, digits and dashes, a letter first, at most 30."""
    assert names.check_name(name, "field") == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a" * 31,
        "Demo",
        "1a",
        "-a",
        "a-",
        "a_b",
        "a.b",
        "a/b",
        "../etc",
        "/",
        ".",
        "dé",
        "démo",
        "d\n",
        " d",
        "a b",
        "a\0",
    ],
)
def test_what_is_no_name(name: str) -> None:
    """Anything else is refused, with the field and in one printable line."""
    with pytest.raises(InvalidArgument) as refused:
        names.check_name(name, "vibespace_id")
    assert (refused.value.reason, refused.value.field) == ("NAME_INVALID", "vibespace_id")
    assert refused.value.message.isprintable()
    assert len(refused.value.message) < 300


def test_all_is_reserved() -> None:
    """`all` means every agent."""
    with pytest.raises(InvalidArgument, match="reserved") as refused:
        names.check_name("all", "agent_id")
    assert refused.value.reason == "NAME_RESERVED"


def test_resource_names_are_read_as_written() -> None:
    """Names that are put together come apart again."""
    assert names.parse_vibespace(names.vibespace_name("demo")) == "demo"
    assert names.parse_agent(names.agent_name("demo", "claude-1")) == ("demo", "claude-1")
    assert names.short(names.agent_name("demo", "claude-1")) == names.called("demo", "claude-1") == "claude-1@demo"
    assert names.short(names.vibespace_name("demo")) == "demo"


@pytest.mark.parametrize(
    "name",
    ["", "demo", "vibespaces", "vibespaces/", "vibespaces/a/b", "agents/a", "vibespaces/a/agents/", "x" * 10_000],
)
def test_what_is_no_resource_name(name: str) -> None:
    """Other forms are refused by both readers, and a long one is not repeated whole."""
    for parse in (names.parse_vibespace, names.parse_agent):
        with pytest.raises(InvalidArgument) as refused:
            parse(name)
        assert refused.value.reason == "RESOURCE_NAME_INVALID"
        assert len(refused.value.message) < 200


@pytest.mark.parametrize(
    ("typed", "seen"), [("Ünï x", "'Ünï x'"), ("a\u202eb", r"'a\u202eb'"), ("a\u00a0b\ud800", r"'a\xa0b\ud800'")]
)
def test_a_name_is_shown_as_it_was_typed(typed: str, seen: str) -> None:
    """Where that can be seen; else by its number."""
    with pytest.raises(InvalidArgument) as refused:
        names.check_name(typed, "name")
    assert refused.value.message.startswith(f"{seen} is not a name")
