"""debug.log: one JSON object a line, rotating, for whoever set VIBESPACE_DEBUG=1. Secrets do not get in."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path

_MEBIBYTE = 1 << 20
_SECRETS = re.compile(
    r"(?P<key>-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z))"
    r"|(?P<url>://[^\s/@:]*:)[^\s/@]+(?=@)"
    r"|(?P<named>\b(?:authorization|api[-_]?key|password|secret|token)\b[\"']?\s*[:=]\s*(?:bearer\s+)?)"
    r"(?:(?P<quote>[\"']).*?(?:(?P=quote)|\Z)|[^\s,;\"']+)",
    re.IGNORECASE | re.DOTALL,
)


def redact(text: str) -> str:
    """`text` without private keys, passwords in URLs, and values that are called a secret."""
    return _SECRETS.sub(lambda m: f"{m['url'] or m['named'] or ''}{m['quote'] or ''}[redacted]{m['quote'] or ''}", text)


class _Json(logging.Formatter):
    def __init__(self, mask: Callable[[str], str]) -> None:
        super().__init__()
        self._mask = mask

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "logger": record.name,
            "message": redact(self._mask(record.getMessage())),
        }
        if record.exc_info:
            line["traceback"] = redact(self._mask(self.formatException(record.exc_info)))
        return json.dumps(line, ensure_ascii=False)


def configure(path: Path, mask: Callable[[str], str] = str, *, debug: bool) -> None:
    """Send the house's log lines to `path` when `debug`; otherwise only what ends the process, to stderr.

    `mask` takes the values out that we keep for others.
    """
    root = logging.getLogger()
    if not debug:
        handler: logging.Handler = logging.StreamHandler(sys.stderr)
        handler.setLevel(logging.CRITICAL)
        handler.setFormatter(logging.Formatter("%(message)s"))
        root.addHandler(handler)
        return
    from logging.handlers import RotatingFileHandler  # noqa: PLC0415 (only who debugs pays for what it brings)

    handler = RotatingFileHandler(path, maxBytes=10 * _MEBIBYTE, backupCount=3)
    handler.setFormatter(_Json(mask))
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    for library in ("asyncssh", "grpc", "asyncio", "aiohttp"):
        logging.getLogger(library).setLevel(logging.WARNING)  # asyncssh's INFO has every command in it
