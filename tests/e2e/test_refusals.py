"""What bad input gets: an exit code, a reason, one sentence; and nothing half done."""

from __future__ import annotations

import os
import sqlite3

import pytest

from tests.e2e.installation import Installation

pytestmark = pytest.mark.containers

CREATE = ["create", "fine", "-t", "codex"]


@pytest.mark.parametrize(
    "name",
    ["", "a" * 31, "Upper", "a/b", "../etc", "ünï", "demo-", "1st", "a b", "a.b", "a_b", "a\nb", "all", "a" * 5000],
)
def test_names(vs: Installation, name: str) -> None:
    """A name that is none is refused, shown safely, and makes nothing."""
    before = vs.events()
    of_the_agent = [[*CREATE, "-n", name]] if name else []  # an empty one is none: the next number
    for words in (["create", name, "-t", "codex"], *of_the_agent):
        code, reason, sentence = vs.refused(*words)
        assert code == 2, words
        assert reason in ("NAME_INVALID", "NAME_RESERVED"), words
        assert len(sentence) < 300
    assert vs.events() == before


@pytest.mark.parametrize("flag", ["--cpu-limit", "--memory"])
@pytest.mark.parametrize("quantity", ["10X", "-1", "0", "", "1e3", "lots", "٣", "9" * 40])
def test_quantities(vs: Installation, flag: str, quantity: str) -> None:
    """An amount that is none is refused by the name of its setting."""
    code, reason, sentence = vs.refused(*CREATE, f"{flag}={quantity}")
    assert (code, reason) == (2, "QUANTITY_INVALID")
    assert len(sentence) < 300


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (["create", "demo", "-t", "codex"], 11, "VIBESPACE_EXISTS"),
        (["create", "fine", "-t", "emacs"], 2, "USAGE"),
        (["create", "fine"], 2, None),
        (["create"], 2, "USAGE"),
        ([*CREATE, "--branch", "main"], 2, "BRANCH_WITHOUT_REPO"),
        ([*CREATE, "--cpu", "2", "--cpu-limit", "1"], 2, "QUANTITY_INVALID"),
        ([*CREATE, "--cpu-limit", "1000"], 2, "QUANTITY_INVALID"),
        ([*CREATE, "--repo", "ext::sh -c id"], 2, "REPOSITORY_INVALID"),
        ([*CREATE, "--repo", "--upload-pack=id"], 2, "REPOSITORY_INVALID"),
        ([*CREATE, "--repo", "https://example.org/x.git", "--branch", "-x"], 2, "BRANCH_INVALID"),
        (["info", "nowhere"], 10, "VIBESPACE_NOT_FOUND"),
        (["stop", "nowhere"], 10, "VIBESPACE_NOT_FOUND"),
        (["start", "nowhere"], 10, "VIBESPACE_NOT_FOUND"),
        (["delete", "nowhere", "--force"], 10, "VIBESPACE_NOT_FOUND"),
        (["delete", "nowhere", "--dry-run"], 10, "VIBESPACE_NOT_FOUND"),
        (["delete", "--force"], 2, None),
        (["agent", "info", "nobody@demo"], 10, "AGENT_NOT_FOUND"),
        (["agent", "stop", "nobody@demo"], 10, "AGENT_NOT_FOUND"),
        (["agent", "create", "--vibespace", "nowhere"], 10, "VIBESPACE_NOT_FOUND"),
        (["agent", "create", "--vibespace", "demo", "-n", "claude-1"], 11, "AGENT_EXISTS"),
        (["exec", "--json", "nobody@demo", "--", "true"], 10, "AGENT_NOT_FOUND"),
        (["exec", "--json", "claude-1@demo"], 2, None),
        (["exec", "--json", "claude-1@demo", "--", "a\0b".replace("\0", "\x01"), "x"], None, None),
        (["replay", "--at", "soon"], 2, "MOMENT_INVALID"),
        (["events", "--json", "--after", "-5"], 2, "POSITION_INVALID"),
        (["events", "--json", "--limit", "-1"], 2, "LIMIT_INVALID"),
        (["events", "--json", "--type", "nope"], 2, "TYPE_UNKNOWN"),
        (["events", "--json", "--vibespace", "nope"], 10, "VIBESPACE_NOT_FOUND"),
        (["events", "--json", "--after", "99999999"], 2, "POSITION_INVALID"),
        (["frobnicate"], 2, "USAGE"),
        (["list", "--frobnicate"], 2, "USAGE"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else None,
)
def test_refused(vs: Installation, demo: str, words: list[str], code: int | None, reason: str | None) -> None:
    """Each is refused for what it is, on stderr in a sentence and on stdout in JSON."""
    before = vs.events()
    if code is None:
        assert vs.run(*words).returncode == 127
    else:
        found = vs.refused(*words)
        assert found[0] == code
        assert reason in (None, found[1])
    assert vs.events() == before


def test_long_path(vs: Installation) -> None:
    """A state directory no socket fits in is refused with what to do."""
    code, reason, sentence = vs.refused("list", env={"VIBESPACE_HOME": f"/tmp/{'long/' * 30}"})
    assert (code, reason) == (2, "SOCKET_PATH_TOO_LONG")
    assert "VIBESPACE_HOME" in sentence


@pytest.mark.here("before init there is nothing to be far from")
def test_others_directory(bare: Installation) -> None:
    """A state directory that others can enter, or that belongs to somebody else, is not used; nor is a file."""
    bare.home.chmod(0o755)
    assert bare.refused("list")[:2] == (12, "HOME_NOT_PRIVATE")
    assert bare.refused("init")[:2] == (12, "HOME_NOT_PRIVATE")
    bare.home.chmod(0o700)
    os.chown(bare.home, 65534, 65534)
    assert bare.refused("list")[:2] == (12, "HOME_NOT_USABLE")
    assert bare.refused("init")[:2] == (12, "HOME_NOT_USABLE")
    os.chown(bare.home, 0, 0)
    file = bare.home / "file"
    file.write_text("")
    assert bare.refused("list", env={"VIBESPACE_HOME": str(file)})[:2] == (12, "HOME_NOT_USABLE")
    assert sorted(path.name for path in bare.home.iterdir()) == ["config.yaml", "file"]


@pytest.mark.here("before init there is nothing to be far from")
@pytest.mark.parametrize("kind", ["text", "database"])
def test_foreign_log(bare: Installation, kind: str) -> None:
    """A file that is no log of ours is told of by name, and left as it is."""
    log = bare.home / "events.db"
    if kind == "text":
        log.write_bytes(b"This is not a database. " * 400)
    else:
        with sqlite3.connect(log) as other:
            other.execute("CREATE TABLE stored_events (mine TEXT)")
        other.close()
    content = log.read_bytes()
    code, reason, sentence = bare.refused("list")
    assert (code, reason) == (16, "LOG_UNUSABLE")
    assert str(log) in sentence
    assert log.read_bytes() == content
    assert bare.run("doctor").returncode == 15
