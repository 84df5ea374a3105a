"""What a credential may be for, and what may be its value."""

from __future__ import annotations

import pytest

from vibespace.domain.credentials import check_key, check_settings, check_value
from vibespace.errors import InvalidArgument


@pytest.mark.parametrize(
    ("typed", "host"),
    [
        ("github.com", "github.com"),
        ("https://GitHub.com/", "github.com"),
        ("example.org:8443", "example.org:8443"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("[::1]:8443", "[::1]:8443"),
    ],
)
def test_a_host_is_told_as_git_is(typed: str, host: str) -> None:
    """Small letters, without https, which is what is meant."""
    assert check_key("git", typed, "", "credential") == host


@pytest.mark.parametrize(
    ("type", "host", "variable", "reason", "field"),
    [
        ("", "", "", "CREDENTIAL_TYPE_UNKNOWN", "type"),
        ("git", "", "", "HOST_INVALID", "host"),
        ("git", "github.com/me", "", "HOST_INVALID", "host"),
        ("git", "me@github.com", "", "HOST_INVALID", "host"),
        ("git", 'a"]\n[core', "", "HOST_INVALID", "host"),
        ("git", "ssh://github.com", "", "HOST_INVALID", "host"),
        ("git", "*", "", "HOST_INVALID", "host"),
        ("anthropic", "github.com", "", "FIELD_NOT_FOR_TYPE", "host"),
        ("git", "github.com", "A", "FIELD_NOT_FOR_TYPE", "variable"),
        ("environment", "", "", "ENV_INVALID", "variable"),
        ("environment", "", "HOME", "ENV_INVALID", "variable"),
        ("environment", "", "A=B", "ENV_INVALID", "variable"),
        ("environment", "", "OPENAI_API_KEY", "VARIABLE_HAS_TYPE", "variable"),
    ],
)
def test_what_there_cannot_be_is_refused(type: str, host: str, variable: str, reason: str, field: str) -> None:
    """By name of the field."""
    with pytest.raises(InvalidArgument) as e:
        check_key(type, host, variable, "credential")
    assert (e.value.reason, e.value.field) == (reason, f"credential.{field}")


@pytest.mark.parametrize("said", ["", " ", "a\nb", "a <b>", "x" * 201])
def test_what_is_said_of_git_is_one_line(said: str) -> None:
    """What is no name is refused; a name of any letters is one."""
    check_settings("git", {"author_name": 'Jörg "J" \\ Ö', "expires": "2027-01-31T00:00:00+00:00"}, "credential")
    for name in ("username", "author_name", "author_email"):
        with pytest.raises(InvalidArgument, match=name):
            check_settings("git", {name: said}, "credential")
    with pytest.raises(InvalidArgument, match="with type git"):
        check_settings("openai", {"username": "me"}, "credential")


@pytest.mark.parametrize("type", ["anthropic", "openai", "git"])
def test_a_value_is_one_word(type: str) -> None:
    """What is pasted with more around it is refused, and not shown."""
    check_value(type, "", "sk-ant-api03-abc_DEF", "value")
    for wrong in ("hunter2 ", "hunter2\nhunter3", "hunter2\0", "hünter2", "hunter2" * 10_000):
        with pytest.raises(InvalidArgument) as e:
            check_value(type, "", wrong, "value")
        assert (e.value.reason, e.value.field) == ("VALUE_INVALID", "value")
        assert "nter2" not in e.value.sentence
    with pytest.raises(InvalidArgument, match="empty"):
        check_value(type, "", "", "value")


def test_a_variable_may_have_lines() -> None:
    """Whatever an environment can hold."""
    check_value("environment", "KEY_FILE", "-----BEGIN\nabc\n", "value")
    with pytest.raises(InvalidArgument) as e:
        check_value("environment", "KEY_FILE", "hunter2\0", "value")
    assert "hunter2" not in e.value.sentence
