"""What is taken from what git says."""

from __future__ import annotations

import pytest

from vibespace.net.gitwords import last_words


@pytest.mark.parametrize(
    ("stderr", "told"),
    [
        ("", ""),
        ("fatal: repository 'x' not found\n", "repository 'x' not found"),
        ("Cloning into 'x'...\nfatal: unable to connect\n\n", "unable to connect"),
        (
            "git@example.org: Permission denied (publickey).\r\nfatal: Could not read from remote repository.\n\n"
            "Please make sure you have the correct access rights\nand the repository exists.\n",
            "git@example.org: Permission denied (publickey).",
        ),
        (
            "fatal: unable to connect to host:\nhost: errno=No route\n",
            "unable to connect to host: host: errno=No route",
        ),
        ("fatal: early EOF\nfatal: index-pack died\n", "early EOF"),
        ("fatal: index-pack died\n", "index-pack died"),
        ("remote: fatal: no\nwarning: x\n", "no"),
        (
            "fatal: unable to access 'https://me:s3cret@example.org/x/': boom",
            "unable to access 'https://example.org/x/': boom",
        ),
        ("fatal: " + "x" * 5000, "x" * 500),
    ],
)
def test_last_words(stderr: str, told: str) -> None:
    """The last line that tells why is kept: without its label, without passwords, in bounds."""
    assert last_words(stderr) == told
