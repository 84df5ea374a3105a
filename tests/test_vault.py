"""Values are sealed, found again, and told to nobody."""

from __future__ import annotations

import shutil
import tracemalloc
from pathlib import Path

import pytest

from vibespace.domain import environment
from vibespace.errors import Exhausted, InvalidArgument
from vibespace.vault import Vault

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


def test_a_full_disk_is_a_sentence(directory: Path) -> None:
    """And nothing is held of what could not be kept."""
    directory.parent.write_text("no directory")
    vault = Vault(directory)
    with pytest.raises(Exhausted):
        vault.store(UID, {"A": VALUE})
    assert vault.values(UID) == {}


def test_masked(directory: Path) -> None:
    """Values and their lines are taken out of text, the longest first; short ones are words like others."""
    directory.parent.mkdir()
    vault = Vault(directory)
    assert vault.mask("nothing") == "nothing"
    vault.store(UID, {"A": VALUE, "B": f"{VALUE} staple", "C": "first line\nsecond line\n", "D": "main"})
    assert vault.mask(f"fatal: {VALUE} staple, {VALUE}.") == "fatal: [redacted], [redacted]."
    assert vault.mask("see second line of main") == "see [redacted] of main"


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
    with pytest.raises(InvalidArgument):
        environment.parse([f"A={'x' * 70_000}"], "f")
    with pytest.raises(InvalidArgument):
        environment.parse([f"A{n}=x" for n in range(300)], "f")
