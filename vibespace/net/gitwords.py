"""What is said to git and what it says: how it is called, what may be put into its hands, which line is its reason."""

from __future__ import annotations

import re

from vibespace.errors import InvalidArgument
from vibespace.net.gitaccess import CONFIG

_ENV = ("env", "LC_ALL=C", "GIT_TERMINAL_PROMPT=0", "GIT_SSH_COMMAND=ssh -o BatchMode=yes -o ConnectTimeout=20")

_PATIENCE = ("-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=60")
"""A server that sends nothing for so many seconds is given up."""

_LOGINS = ("-c", f"include.path={CONFIG}")
"""Also in an image whose own gitconfig does not include it. Where there is none, git does without."""

GIT = (*_ENV, "GIT_ALLOW_PROTOCOL=https:http:ssh:git:file", "git", *_PATIENCE, *_LOGINS)
"""git that asks nobody anything and runs no program that a URL names (ext::)."""

GIT_HERE = (*_ENV, "GIT_ALLOW_PROTOCOL=file", "git")
"""The same, without the network: for bundles."""

_CALM = (
    "GIT_CONFIG_COUNT=3",
    "GIT_CONFIG_KEY_0=core.hooksPath",
    "GIT_CONFIG_VALUE_0=/dev/null",
    "GIT_CONFIG_KEY_1=core.fsmonitor",
    "GIT_CONFIG_VALUE_1=false",
    "GIT_CONFIG_KEY_2=core.quotePath",
    "GIT_CONFIG_VALUE_2=true",
)
"""No program that the repository names is run beside git, and names of files are told in ASCII."""

SCRIPT = (*_ENV, "GIT_ALLOW_PROTOCOL=file", *_CALM, "sh", "-c")
"""Begins a script of gitscripts, with words after it: $0, $1, …"""

_LABEL = re.compile(r"^(?:remote: )?(?:fatal|error|dd|mv|mkdir|rm): ", re.IGNORECASE)
_CREDENTIALS = re.compile(r"(?<=://)[^\s/@]+@")
_SAYS_NOTHING = (
    "could not read from remote repository",
    "please make sure you have the correct access rights",
    "and the repository exists",
    "index-pack died",
    "fetch-pack: ",
    "could not fetch",
    "the remote end hung up unexpectedly",
    "hint:",
    "warning:",
)


def check(what: str, text: str) -> None:
    """Refuse what git could take for an option, what spans lines, and passwords. Raises InvalidArgument."""
    if text.startswith("-") or not text.isprintable():
        raise InvalidArgument("REPOSITORY_INVALID", f"The {what} is nothing git can use.")
    if re.search(r"://[^/]*:[^/]*@", text):
        raise InvalidArgument("REPOSITORY_HAS_PASSWORD", f"The {what} holds a password; it would be stored.")


def wants_login(stderr: str) -> bool:
    """Whether the server wants to know who it is, or did not take what it was told."""
    return "could not read Username" in stderr or "Authentication failed for" in stderr


def last_words(stderr: str) -> str:
    """The line in which git says why it failed: its last one that tells more than that it did. Without passwords."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    told = [line for line in lines if not _LABEL.sub("", line).lower().startswith(_SAYS_NOTHING)]
    chosen = (told or lines or [""])[-1]
    if len(told) > 1 and told[-2].endswith(":"):
        chosen = f"{told[-2]} {chosen}"
    return _CREDENTIALS.sub("", _LABEL.sub("", chosen))[:500]
