"""The key files."""

from __future__ import annotations

import os
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vibespace.errors import Internal, Unavailable
from vibespace.net.keys import KeyFiles

UID = "6f1c2f0e-0000-4000-8000-000000000001"


@pytest.fixture
def keys(tmp_path: Path) -> KeyFiles:
    return KeyFiles(tmp_path / "keys")


def test_files(keys: KeyFiles, tmp_path: Path) -> None:
    """Each key is one file that only its owner reads, in such a directory, and nothing else is there."""
    keys.client_key()
    keys.make_host_key(UID)
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "keys").iterdir()}
    assert files == {"client": 0o600, UID: 0o600}
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700


def test_kept(keys: KeyFiles, tmp_path: Path) -> None:
    """A key is made once and stays the same, for whoever opens the directory later too."""
    assert keys.client_key() == keys.client_key() == KeyFiles(tmp_path / "keys").client_key()
    assert keys.make_host_key(UID) == keys.make_host_key(UID)
    assert keys.client_key() != keys.make_host_key(UID)


def test_openssh_reads_them(keys: KeyFiles, tmp_path: Path) -> None:
    """OpenSSH's own tool finds in the private key the public one that we tell."""
    keys.make_host_key(UID)
    for name, public in (("client", keys.authorized_key()), (UID, keys.host_key(UID))):
        told = subprocess.run(["ssh-keygen", "-y", "-f", tmp_path / "keys" / name], check=True, capture_output=True)
        assert told.stdout.decode().split()[:2] == public.split()
        assert public.startswith("ssh-ed25519 ")
        assert "\n" not in public


def test_deleted(keys: KeyFiles) -> None:
    """The key of a deleted agent is gone, and asking for its public half makes none."""
    keys.make_host_key(UID)
    keys.delete(UID)
    keys.delete(UID)
    with pytest.raises(Unavailable) as caught:
        keys.host_key(UID)
    assert caught.value.reason == "AGENT_UNREACHABLE"


def test_on_the_disk(keys: KeyFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is handed out will still be found: its file, its name and its directory's name are synced."""
    synced: set[str] = set()
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.add(os.readlink(f"/proc/self/fd/{descriptor}")))
    keys.client_key()
    [file] = synced - {str(tmp_path), str(tmp_path / "keys")}
    assert len(synced) == 3
    assert file.startswith(str(tmp_path / "keys/.client."))


def test_made_at_once(keys: KeyFiles) -> None:
    """Of many who ask for the first time at once all get the same key."""
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(keys.make_host_key, [UID] * 32))) == 1


@pytest.mark.parametrize("uid", ["", "client", "../x", "a/b", ".", "a b"])
def test_no_other_files(keys: KeyFiles, uid: str) -> None:
    """What is no uid names no file: not our own key either."""
    for use in (keys.make_host_key, keys.host_key, keys.delete):
        with pytest.raises(Internal):
            use(uid)


def test_not_told(keys: KeyFiles) -> None:
    """A private key is in nothing that is printed of them."""
    assert "PRIVATE" not in repr(keys)
