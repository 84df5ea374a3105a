"""Whatever people and files say, a parser takes it or refuses it in one sentence; it never fails."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from vibespace_cli import names as typed
from vibespace_cli.session import Session

from vibespace import config
from vibespace.daemon import pages
from vibespace.domain import names, quantities, repositories
from vibespace.errors import Error, InvalidArgument
from vibespace.v1.agents_pb2 import ListAgentsResponse

T = TypeVar("T")

MANY = settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])

ODD = st.text(max_size=60) | st.text("aZ0-_./@:#?[]\\ \n\0~^*{}%é\u202e٣\udcff", max_size=40)
"""Any text, and much of what parsers look at; a byte that is no character is half a surrogate pair."""
ALMOST_NAMES = ODD | st.text("az0-", min_size=1, max_size=35)
ALMOST_PATHS = ODD | st.lists(ALMOST_NAMES | st.just("vibespaces") | st.just("agents"), max_size=6).map("/".join)
ALMOST_QUANTITIES = ODD | st.builds(
    "{}{}".format, st.text("0159٣.", max_size=20), st.sampled_from(["", "m", "k", "Ki", "Mi", "Gi", "T", "e3"])
)
ALMOST_URLS = ODD | st.builds(
    "{}{}{}/{}".format,
    st.sampled_from(["https://", "ssh://", "git@", "file://", "ext::", "http://me:secret@", "//", ""]),
    ALMOST_NAMES,
    st.sampled_from(["", ":22", ":x", "]", "@", "?a=b", "#c"]),
    ODD,
)


def attempt(call: Callable[[], T]) -> T | Error:
    """What the call returns, or the error by which it refuses; anything else is a failure."""
    try:
        return call()
    except Error as e:
        return e


def sentence(call: Callable[[], T]) -> T | None:
    """What the call returns, or None when it refused as it should."""
    answer = attempt(call)
    if not isinstance(answer, Error):
        return answer
    assert isinstance(answer, InvalidArgument)
    assert answer.reason.replace("_", "").isupper()
    assert answer.field
    assert answer.message.isprintable()
    assert len(answer.message) < 1000
    return None


@MANY
@given(ALMOST_NAMES)
def test_names(text: str) -> None:
    """What is taken for a name is one: it fits in a host name, a path and a shell word."""
    if (taken := sentence(lambda: names.check_name(text, "name"))) is not None:
        assert taken == text
        assert text.isascii()
        assert text.replace("-", "a").isalnum()
        assert len(text) <= 30


@MANY
@given(ALMOST_PATHS)
def test_resource_names(text: str) -> None:
    """What comes apart goes together again."""
    if vibespace := sentence(lambda: names.parse_vibespace(text)):
        assert names.vibespace_name(vibespace) == text
    if agent := sentence(lambda: names.parse_agent(text)):
        assert names.agent_name(*agent) == text


@MANY
@given(ALMOST_QUANTITIES)
def test_quantities(text: str) -> None:
    """Amounts are whole numbers within what an engine takes."""
    millis = sentence(lambda: quantities.cpu_millis(text, "cpu"))
    assert millis is None or 1 <= millis <= 10**6
    size = sentence(lambda: quantities.memory_bytes(text, "memory"))
    assert size is None or 2**24 <= size <= 2**60


@MANY
@given(ALMOST_URLS)
@example("https://[::1/x")
def test_repositories(text: str) -> None:
    """What git is given cannot be taken for an option, and lands in one directory of the shared files."""
    if sentence(lambda: repositories.check_source(text, "repo")) is not None:
        assert not text.startswith("-")
        assert "\n" not in text
        directory = repositories.directory(text)
        root, _, last = directory.rpartition("/")
        assert (root, last in (".", "..", ""), last.isascii()) == ("/vibespace", False, True)


@MANY
@given(ODD)
def test_branches(text: str) -> None:
    """Nor can a branch, and no glob or revision is one."""
    if sentence(lambda: repositories.check_branch(text, "branch")) is not None:
        assert text[0] not in "-/."
        assert not set(text) & set(" ~^:?*[\\\n\0")


@MANY
@given(ODD, st.lists(st.text("az0-", min_size=1, max_size=30), max_size=5), st.integers(-3, 7))
def test_page_tokens(token: str, keys: Sequence[str], size: int) -> None:
    """A token that is nobody's is refused; a page is a piece of what there is."""
    page = sentence(lambda: pages.cut(sorted(keys), size, token))
    assert page is None or set(page[0]) <= set(keys)


YAML = st.recursive(
    st.none() | st.booleans() | st.integers() | ODD,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["engine", "image", "socket"]) | ODD, inner)
    ),
    max_leaves=6,
)


@MANY
@given(YAML.map(repr) | ODD | st.binary())
@example("engine:\n  socket: [")
@example("{? [a] : b}")
@example("a: &x [*x]")
@example("? {a: b}\n: c")
@example("engine: {1: a}")
@example("2020-13-45: x")
@example("x: 2020-13-45")
def test_config(text: str | bytes) -> None:
    """A file of settings is read, or refused naming the file."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(text if isinstance(text, bytes) else text.encode(errors="surrogatepass"))
        file.flush()
        answer = attempt(lambda: config.load(Path(file.name)))
    if isinstance(answer, Error):
        assert (answer.reason, file.name in answer.message) == ("CONFIG_INVALID", True)


@MANY
@given(st.none() | ALMOST_PATHS | st.builds("{}@{}".format, ALMOST_NAMES, ALMOST_NAMES), st.none() | ALMOST_NAMES)
def test_mentions(agent: str | None, beside: str | None) -> None:
    """AGENT@VIBESPACE becomes the name of one resource, in the vibespace that was said."""
    with patch.object(Session, "call", return_value=ListAgentsResponse()):
        found = attempt(lambda: typed.agent(Session(), agent or "claude-1", beside or "demo"))
    if isinstance(found, Error):
        assert found.reason in ("NAME_INVALID", "VIBESPACE_CONTRADICTED", "NO_PRIMARY")
    elif not (agent or "").startswith("vibespaces/"):
        assert found.split("/")[::2] == ["vibespaces", "agents"]


@pytest.mark.parametrize("text", ["", "x" * 10_000])
def test_how_a_long_one_is_shown(text: str) -> None:
    """What is refused is not repeated whole."""
    assert sentence(lambda: names.check_name(text, "name")) is None
