"""What may be named as a repository, and where it lands."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from vibespace.errors import InvalidArgument

ROOT = "/vibespace"
"""Mount point of the shared files inside."""

BARE = f"{ROOT}/.bare-repo"
"""The repository that all worktrees of a vibespace share, inside. It has no files of its own."""

WORKTREES = f"{ROOT}/worktrees"
"""Where those lie, inside."""

HOME = "/home/agent"
"""Mount point of an agent's own home inside."""

_SCHEMES = frozenset({"https", "http", "ssh", "git"})
_SCP_LIKE = re.compile(r"(?:[A-Za-z0-9._-]+@)?[A-Za-z0-9.-]+:(?!//)[^\s:@]+")
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


def is_path(source: str) -> bool:
    """It names a directory of the client's machine, which must be sent."""
    return source.startswith("/")


def check_source(source: str, field: str) -> str:
    """`source`, if it is a URL git may clone or an absolute path. Raises InvalidArgument REPOSITORY_INVALID."""
    if not source or source != source.strip() or not source.isprintable() or len(source) > 2000 or source[0] == "-":
        raise InvalidArgument("REPOSITORY_INVALID", "The repository must be a URL or a directory.", field=field)
    if is_path(source) or _SCP_LIKE.fullmatch(source):
        return source
    try:
        parts = urlsplit(source)
        password = parts.password
    except ValueError as e:
        raise InvalidArgument("REPOSITORY_INVALID", "The repository's URL cannot be read.", field=field) from e
    if password is not None or (parts.username and parts.scheme in ("http", "https")):
        raise InvalidArgument(
            "REPOSITORY_HAS_PASSWORD",
            "The repository's URL holds a password or token; it would be stored in the history.",
            field=field,
            hint="Leave it out, and store it with 'vibespace credential set git --host HOST'.",
        )
    if parts.query or parts.fragment:
        raise InvalidArgument(
            "REPOSITORY_INVALID",
            "The repository's URL has a query; what it holds would be stored in the history.",
            field=field,
        )
    if parts.scheme not in _SCHEMES or not parts.hostname or not parts.path.strip("/"):
        raise InvalidArgument(
            "REPOSITORY_INVALID",
            "The repository must be an https, http, ssh or git URL, or a directory.",
            field=field,
        )
    return source


def check_branch(branch: str, field: str) -> str:
    """`branch`, if git accepts it as a branch's name (git-check-ref-format). Raises InvalidArgument BRANCH_INVALID."""
    bad = (
        not branch
        or len(branch) > 250
        or branch.startswith(("-", "/", "."))
        or branch.endswith(("/", ".", ".lock"))
        or any(part in branch for part in ("..", "//", "@{", "/."))
        or any(c in " ~^:?*[\\" or not c.isprintable() for c in branch)
        or branch == "@"
    )
    if bad:
        raise InvalidArgument("BRANCH_INVALID", "That is not a name git accepts for a branch.", field=field)
    return branch


def directory(source: str) -> str:
    """Where `source` lands: `/vibespace/` and the last part of its path, without `.git`."""
    last = source.rstrip("/").removesuffix("/.git").replace(":", "/").rsplit("/", 1)[-1].removesuffix(".git")
    return f"{ROOT}/{_UNFIT.sub('-', last).lstrip('.-') or 'repository'}"
