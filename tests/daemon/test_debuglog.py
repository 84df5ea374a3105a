"""debug.log: what gets in, and how much."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from logging.handlers import RotatingFileHandler
from pathlib import Path

import pytest

from vibespace.daemon import debuglog

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r\nZXktdjEA\n-----END OPENSSH PRIVATE KEY-----"


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, put back afterwards."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    for handler in set(logger.handlers) - set(handlers):
        handler.close()
        logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"a key {KEY} and more", "a key [redacted] and more"),
        (KEY[:60], "[redacted]"),
        ("cloning https://me:hunter2@example.org/p", "cloning https://me:[redacted]@example.org/p"),
        ("Authorization: Bearer abc.def-1", "Authorization: Bearer [redacted]"),
        ("api_key=sk-123, next", "api_key=[redacted], next"),
        ('{"password": "hunter2"}', '{"password": "[redacted]"}'),
        ("{'token': 'abc def'}", "{'token': '[redacted]'}"),
        ("token = abc", "token = [redacted]"),
        ("nothing to hide at https://example.org/p", "nothing to hide at https://example.org/p"),
    ],
)
def test_secrets_do_not_get_in(text: str, expected: str) -> None:
    """Private keys, also cut off ones, passwords in URLs, and values that are called a secret."""
    assert debuglog.redact(text) == expected


def test_a_line_is_a_json_object_with_its_traceback(tmp_path: Path, root: logging.Logger) -> None:
    """Message and traceback are on one line, and redacted both."""
    debuglog.configure(tmp_path / "debug.log", debug=True)
    try:
        raise ValueError(KEY)
    except ValueError:
        logging.getLogger("vibespace.test").exception("token=%s", "hunter2")
    [line] = (tmp_path / "debug.log").read_text().splitlines()
    told = json.loads(line)
    assert (told["level"], told["logger"], told["message"]) == ("ERROR", "vibespace.test", "token=[redacted]")
    assert "ValueError" in told["traceback"]
    assert "b3BlbnNzaC1r" not in line


def test_it_does_not_grow_without_end(tmp_path: Path, root: logging.Logger) -> None:
    """Four files of 10 MiB at most, the newest lines in the first."""
    debuglog.configure(tmp_path / "debug.log", debug=True)
    [handler] = [handler for handler in root.handlers if isinstance(handler, RotatingFileHandler)]
    assert handler.maxBytes == 10 << 20
    handler.maxBytes = 10_000
    for n in range(50):
        logging.getLogger("vibespace.test").info("%d %s", n, "x" * 1000)
    found = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sorted(found) == ["debug.log", "debug.log.1", "debug.log.2", "debug.log.3"]
    assert max(found.values()) <= 10_000
    assert json.loads((tmp_path / "debug.log").read_text().splitlines()[-1])["message"].startswith("49 ")


def test_without_debug_only_the_last_words_are_said(
    tmp_path: Path, root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is written to the file, and to stderr only what ends the process."""
    debuglog.configure(tmp_path / "debug.log", debug=False)
    logging.getLogger("vibespace.test").error("an error")
    logging.getLogger("vibespace.test").critical("the end")
    assert not (tmp_path / "debug.log").exists()
    assert capsys.readouterr().err == "the end\n"
