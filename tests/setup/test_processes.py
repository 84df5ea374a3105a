"""Processes are known by their command lines."""

from __future__ import annotations

import subprocess
import sys
from uuid import uuid4

from vibespace.setup import processes


def test_by_all_words() -> None:
    """One is found by words of its command line, in any order, whole and all of them; and no more once it has ended."""
    word = str(uuid4())
    line = [sys.executable, "-c", "input(1)", "service", word]
    pipe = subprocess.PIPE
    with subprocess.Popen(line, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout
            assert process.stdout.read(1) == b"1"  # only what runs is sure to have its command line
            assert processes.words(process.pid)[:-1] == line
            assert processes.having(word, "service") == [process.pid]
            assert processes.having(word, "serv") == []
            assert processes.having(word[1:]) == []
        finally:
            process.communicate(b"\n")
    assert processes.words(process.pid) == []
    assert processes.having(word) == []
