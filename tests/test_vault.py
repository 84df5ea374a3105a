"""Values are sealed, found again, and told to nobody."""

from __future__ import annotations

import json
import shutil
import sys
import tracemalloc
from base64 import b64encode, urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vibespace.domain import environment
from vibespace.errors import InvalidArgument, Unavailable
from vibespace.vault import DEEPEST, Vault

UID, OTHER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
VALUE = "correct horse battery"
LONG = 10_000
"""Characters."""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "home" / "vault"


def reopened(directory: Path, *uids: str) -> Vault:
    vault = Vault(directory)
    vault.begin(set(uids))
    return vault


def test_values_come_back(directory: Path) -> None:
    """Another vault on the same directory opens them; nobody else's are among them."""
    directory.parent.mkdir()
    values = {"TOKEN": VALUE, "EMPTY": "", "LINES": "a\nb ü\n"}
    Vault(directory).store(UID, values)
    vault = reopened(directory, UID)
    assert vault.values(UID) == values
    assert vault.values(OTHER) == {}


def test_files_tell_nothing(directory: Path) -> None:
    """No file holds a value, all are 0600 in directories that are 0700, and the same value is sealed differently."""
    directory.parent.mkdir()
    Vault(directory).store(UID, {"A": VALUE, "B": VALUE})
    files = [path for path in directory.rglob("*") if path.is_file()]
    assert sorted(path.name for path in files) == ["A", "B", "master"]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (directory, directory / UID)} == {0o700}
    assert not any(VALUE.encode() in path.read_bytes() for path in files)
    assert (directory / UID / "A").read_bytes() != (directory / UID / "B").read_bytes()


@pytest.mark.parametrize("harm", ["swapped", "changed", "cut", "other master", "no master"])
def test_what_was_touched_is_not_opened(directory: Path, harm: str) -> None:
    """A value whose file or key is not what it was is missing, and nothing else is made of it."""
    directory.parent.mkdir()
    Vault(directory).store(UID, {"A": VALUE, "B": "the other value"})
    a, master = directory / UID / "A", directory / "master"
    match harm:
        case "swapped":
            shutil.copy(directory / UID / "B", a)
        case "changed":
            sealed = a.read_bytes()
            a.write_bytes(sealed[:-1] + bytes([sealed[-1] ^ 1]))
        case "cut":
            a.write_bytes(a.read_bytes()[:20])
        case "other master":
            master.write_bytes(b"k" * 32)
        case "no master":
            master.unlink()
    assert "A" not in reopened(directory, UID).values(UID)


def test_what_nobody_has_is_removed(directory: Path) -> None:
    """At a start, and when an agent goes; the others' values stay."""
    directory.parent.mkdir()
    vault = Vault(directory)
    for uid in (UID, OTHER):
        vault.store(uid, {"A": VALUE})
    vault = reopened(directory, UID)
    assert sorted(path.name for path in directory.iterdir()) == [UID, "master"]
    assert vault.values(UID) == {"A": VALUE}
    vault.delete(UID)
    vault.delete(UID)
    assert [path.name for path in directory.iterdir()] == ["master"]
    assert vault.mask(VALUE) == VALUE


def test_what_is_stored_at_once_is_all_held(directory: Path) -> None:
    """By threads that come and go as they like: an agent's values and a credential's."""
    directory.parent.mkdir()
    vault = Vault(directory)
    wanted = {f"uid-{n}": {"A": f"value-{n}"} for n in range(200)}
    often = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(vault.store, wanted, wanted.values()))
    finally:
        sys.setswitchinterval(often)
    assert {uid: vault.values(uid) for uid in wanted} == wanted
    again = reopened(directory, *wanted)
    assert {uid: again.values(uid) for uid in wanted} == wanted


def test_a_directory_that_cannot_be_written_to_is_said(directory: Path) -> None:
    """And nothing is held of what could not be kept."""
    directory.parent.write_text("no directory")
    vault = Vault(directory)
    with pytest.raises(Unavailable) as e:
        vault.store(UID, {"A": VALUE})
    assert (e.value.reason, str(directory) in e.value.message) == ("HOME_NOT_USABLE", True)
    assert vault.values(UID) == {}


def test_masked(directory: Path) -> None:
    """Values and their lines are taken out of text, the longest first; short ones are words like others."""
    directory.parent.mkdir()
    vault = Vault(directory)
    assert vault.mask("nothing") == "nothing"
    vault.store(UID, {"A": VALUE, "B": f"{VALUE} staple", "C": "first line\nsecond line\n", "D": "main"})
    assert vault.mask(f"fatal: {VALUE} staple, {VALUE}.") == "fatal: [redacted], [redacted]."
    assert vault.mask("see second line of main") == "see [redacted] of main"


@pytest.mark.parametrize("value", ["ghp_0123456789abcdef", 'pass"word\\with/ünïcode?', "a\tb" * 5])
def test_masked_however_it_is_written(directory: Path, value: str) -> None:
    """In JSON, in a URL, and inside base64 wherever it begins there, as a login over HTTP has it."""
    directory.parent.mkdir()
    vault = Vault(directory)
    vault.store(UID, {"A": value})
    for text in (value, json.dumps({"token": value}), json.dumps(value, ensure_ascii=False), quote(value, safe="")):
        masked = vault.mask(f"<{text}>")
        assert masked.startswith("<")
        assert "[redacted]" in masked
        for part in (value, json.dumps(value)[1:-1], quote(value, safe="")):
            assert part not in masked
    for user in ("", "a", "me", "x-access-token"):
        for encode in (b64encode, urlsafe_b64encode):
            login = encode(f"{user}:{value}:more".encode()).decode()
            masked = vault.mask(f"Authorization: Basic {login}")
            assert "[redacted]" in masked
            left = masked.removeprefix("Authorization: Basic ").partition("[redacted]")
            assert len(left[0]) <= (len(user) + 1) * 4 // 3 + 3


@pytest.mark.parametrize("value", ['{"key": "planted-inner"}', "C:\\planted\\inner", "plänted-\t-inner"])
def test_masked_in_json_in_json(directory: Path, value: str) -> None:
    """What a tool printed as JSON stands in the JSON of who tells it; each writes other letters in its way."""
    directory.parent.mkdir()
    vault = Vault(directory)
    vault.store(UID, {"A": value})
    for ways in product((True, False), repeat=DEEPEST):
        text = value
        for ascii_only in ways:
            text = json.dumps(f"A={text}", ensure_ascii=ascii_only)
            assert "inner" not in vault.mask(text)


LETTERS = st.text("ab", min_size=8, max_size=12)


@settings(deadline=None)
@given(
    values=st.lists(LETTERS, min_size=1, max_size=3), pieces=st.lists(st.text("abc", max_size=10) | LETTERS, max_size=8)
)
def test_masked_in_pieces(values: list[str], pieces: list[str]) -> None:
    """However a text is cut, no value is in what is told of it, and what is no value is told as it is."""
    with TemporaryDirectory() as home:
        vault = Vault(Path(home) / "vault")
        vault.store(UID, {f"V{n}": value for n, value in enumerate(values)})
        masking = vault.pieces()
        told = "".join([*map(masking.feed, pieces), masking.end()])
        assert not any(value in told for value in values)
        assert told == vault.mask(told)
        if not any(value in "".join(pieces) for value in values):
            assert told == "".join(pieces)


def test_only_what_may_be_a_value_waits(directory: Path) -> None:
    """Text goes on at once, but for its end where that begins one; that comes with the next piece, or at the end."""
    directory.parent.mkdir()
    vault = Vault(directory)
    vault.store(UID, {"A": "hunter2-hunter2"})
    masking = vault.pieces()
    said = [masking.feed(piece) for piece in ("it is hun", "ter2-hunter2, I ", "hunt", "ed")]
    assert said == ["it is ", "[redacted], I ", "", "hunted"]
    assert [masking.feed("hunter2-h"), masking.end(), masking.end()] == ["", "hunter2-h", ""]


def test_what_is_deleted_is_not_held(directory: Path) -> None:
    """However many values come and go, memory holds none of them after."""
    directory.parent.mkdir()
    vault = Vault(directory)
    vault.store(OTHER, {"A": VALUE})
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(20):
            vault.store(UID, {"A": f"{number}" * LONG})
            vault.delete(UID)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < LONG


def test_fingerprints(directory: Path) -> None:
    """Equal for equal values, and for nobody without the master key."""
    directory.parent.mkdir()
    vault = Vault(directory)
    assert vault.fingerprint("a") == Vault(directory).fingerprint("a") != vault.fingerprint("b")
    (directory / "master").unlink()
    assert vault.fingerprint("a") != Vault(directory.with_name("another")).fingerprint("a")


def test_environment_variables() -> None:
    """NAME=VALUE, the last one of a name; a refusal names the variable at most."""
    assert environment.parse(["A=1", "B=x=y", "C=", "A=2"], "f") == {"A": "2", "B": "x=y", "C": ""}
    for wrong in ("hunter2", "=hunter2", "1A=hunter2", "A B=hunter2", "HOME=hunter2", "SSH_X=hunter2", "A=hunter2\0"):
        with pytest.raises(InvalidArgument) as refused:
            environment.parse([wrong], "settings.env")
        assert (refused.value.reason, refused.value.field) == ("ENV_INVALID", "settings.env")
        assert "hunter2" not in refused.value.message
    for taken in ("PATH", "CLAUDE_CONFIG_DIR", "CODEX_HOME"):
        with pytest.raises(InvalidArgument, match=f"^{taken} is for"):
            environment.check_name(taken, "settings.env")
    with pytest.raises(InvalidArgument):
        environment.parse([f"A={'x' * 70_000}"], "f")
    with pytest.raises(InvalidArgument):
        environment.parse([f"A{n}=x" for n in range(300)], "f")
    with pytest.raises(InvalidArgument):
        environment.parse([f"A{n}={'x' * 60_000}" for n in range(9)], "f")
