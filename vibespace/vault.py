"""Values that must not be seen, sealed: a file each, by the uid of who has them and name. The log knows names only.

A file is sealed with a data key of its own (AES-GCM), which is wrapped by the one master key. Both lie in a directory
of ours, 0700: that is what keeps them. The sealing keeps a single file, a backup of some, or one put in another's
place from telling anything.
"""

from __future__ import annotations

import hmac
import json
import os
import shutil
from base64 import b64encode
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock
from urllib.parse import quote

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from vibespace.durable import make_directory, refusal, write_new

MASTER = "master"
MASKED = "[redacted]"
SHORTEST_MASKED = 8
"""Characters. Shorter values are also words of other sentences, which must stay readable."""

DEEPEST = 4
"""Times that a value may be JSON inside JSON, which is how a program tells what a tool has printed, or a file holds."""

_KEY, _NONCE, _TAG = 32, 12, 16


class Vault:
    """Values by the uid of who has them, and name. Each method may wait for the disk, except `mask` and `values`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._holding = Lock()
        self._values: dict[str, dict[str, str]] = {}
        self._secrets: Sequence[str] = ()
        """What is masked, the longest first. No pattern: `re` keeps the last 512, and with them what was deleted."""

    def begin(self, uids: Collection[str]) -> None:
        """Open what these have, and remove what nobody has: what a crash cut off left it."""
        if not self._directory.exists():
            return
        for owned in [path for path in self._directory.iterdir() if path.is_dir()]:
            if owned.name not in uids:
                shutil.rmtree(owned)
            else:
                self._hold(owned.name, {name: value for name, value in self._opened(owned) if value is not None})

    def store(self, uid: str, values: Mapping[str, str]) -> None:
        """Seal `values`; on the disk when this returns. Raises `refusal`."""
        owned = self._directory / uid
        try:
            make_directory(self._directory)
            make_directory(owned)
            for name, value in values.items():
                write_new(owned / name, self._seal(value.encode(), f"{uid}/{name}".encode()))
        except OSError as e:
            raise refusal(e, self._directory) from e
        self._hold(uid, values)

    def values(self, uid: str) -> Mapping[str, str]:
        """All of its that could be opened."""
        return self._values.get(uid, {})

    def delete(self, uid: str) -> None:
        """Forget the values of who is gone for good."""
        shutil.rmtree(self._directory / uid, ignore_errors=True)
        if uid in self._values:
            self._hold(uid, {})

    def fingerprint(self, value: str) -> str:
        """Tells equal values from others, and tells whoever lacks the master key nothing more."""
        return hmac.digest(self._master(), b"fingerprint\0" + value.encode(), "sha256").hex()

    def mask(self, text: str) -> str:
        """`text` without any value we hold, nor a line of one, also as JSON (in JSON), URLs and base64 write them."""
        for secret in self._secrets:
            text = text.replace(secret, MASKED)
        return text

    def pieces(self) -> Pieces:
        """`mask` for a text that comes in pieces."""
        return Pieces(lambda: self._secrets, self.mask)

    def _hold(self, uid: str, values: Mapping[str, str]) -> None:
        """Replaced, never changed: other threads mask meanwhile, and some of them have something to hold as well."""
        with self._holding:
            others = {other: held for other, held in self._values.items() if other != uid}
            self._values = {**others, uid: dict(values)} if values else others
            parts = {
                part.strip()
                for held in self._values.values()
                for value in held.values()
                for part in (value, *value.splitlines())
                if len(part.strip()) >= SHORTEST_MASKED
            }
            self._secrets = sorted({form for part in parts for form in _forms(part)}, key=len, reverse=True)

    def _opened(self, owned: Path) -> Iterable[tuple[str, str | None]]:
        for path in owned.iterdir():
            yield path.name, self._open(path.read_bytes(), f"{owned.name}/{path.name}".encode())

    def _seal(self, value: bytes, place: bytes) -> bytes:
        data_key = AESGCM.generate_key(8 * _KEY)
        nonces = os.urandom(_NONCE), os.urandom(_NONCE)
        wrapped = AESGCM(self._master()).encrypt(nonces[0], data_key, place)
        return nonces[0] + wrapped + nonces[1] + AESGCM(data_key).encrypt(nonces[1], value, place)

    def _open(self, sealed: bytes, place: bytes) -> str | None:
        """None for what another key sealed, for another place, or what was changed since."""
        wrapped, rest = sealed[: _NONCE + _KEY + _TAG], sealed[_NONCE + _KEY + _TAG :]
        try:
            data_key = AESGCM(self._master()).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], place)
            return AESGCM(data_key).decrypt(rest[:_NONCE], rest[_NONCE:], place).decode()
        except (InvalidTag, ValueError):
            return None

    def _master(self) -> bytes:
        path = self._directory / MASTER
        with self._holding:  # made once
            try:
                return path.read_bytes()
            except FileNotFoundError:
                make_directory(self._directory)
                write_new(path, os.urandom(_KEY))
                return path.read_bytes()


class Pieces:
    """Masks what comes in pieces: a value that is cut in two is one all the same, so its beginning waits for the
    rest.
    """

    def __init__(self, secrets: Callable[[], Sequence[str]], mask: Callable[[str], str]) -> None:
        self._secrets = secrets
        self._mask = mask
        self._held = ""

    def feed(self, piece: str) -> str:
        """As much as can be told now, masked."""
        text = self._held + piece
        cut = _safe(text, self._secrets())
        self._held = text[cut:]
        return self._mask(text[:cut])

    def end(self) -> str:
        """The rest: nothing more comes."""
        text, self._held = self._held, ""
        return self._mask(text)


def _safe(text: str, secrets: Sequence[str]) -> int:
    """Up to where nothing that may follow makes a value of it."""
    cut = len(text)
    for secret in secrets:
        at = text.find(secret[0], max(0, len(text) - len(secret) + 1))
        while 0 <= at < cut:
            if secret.startswith(text[at:]):
                cut = at
                break
            at = text.find(secret[0], at + 1)
    moved = cut < len(text)
    while moved:  # no cut through one that is whole
        moved = False
        for secret in secrets:
            at = text.rfind(secret, max(0, cut - len(secret) + 1), cut + len(secret) - 1)
            if 0 <= at < cut < at + len(secret):
                cut, moved = at, True
    return cut


def _forms(part: str) -> Iterator[str]:
    """How others write it: as it is, in JSON, in a URL, and inside base64, such as that of a login over HTTP."""
    yield from _in_json(part)
    yield quote(part, safe="")
    raw = part.encode(errors="replace")
    for before, dependent in ((0, 0), (1, 2), (2, 3)):
        # Where it begins in a group of three bytes decides; the letters at both ends are also those of its neighbours.
        whole = b64encode(bytes(before) + raw).decode()[dependent : (before + len(raw)) * 8 // 6]
        yield whole
        yield whole.replace("+", "-").replace("/", "_")


def _in_json(part: str) -> set[str]:
    """It, and how each JSON around another one writes it, as ASCII or not: most values are the same in all."""
    forms = deepest = {part}
    for _ in range(DEEPEST):
        deepest = {json.dumps(form, ensure_ascii=way)[1:-1] for form in deepest for way in (True, False)} - forms
        forms = forms | deepest
    return forms
