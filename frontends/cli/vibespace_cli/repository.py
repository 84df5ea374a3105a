"""A git repository on this machine, read by git's own means: history, branches and tags, nothing uncommitted.

It is read here, because the daemon may be on another machine, and streamed: no copy of it is made.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from vibespace.errors import FailedPrecondition, InvalidArgument

PIECE = 1 << 20
"""Bytes of one message of an upload; the API allows no more."""

_FIELD = "spec.repo"

_SCP_LIKE = re.compile(r"[^/\s]+:\S+")

_ABOUT_ANOTHER = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY")
"""Set while a git hook runs, about the repository of the hook."""


class Repository(NamedTuple):
    """What is sent, and what the receiver needs to know."""

    root: str
    """Absolute, without symbolic links; a work tree, or a bare repository."""
    branch: str
    """Checked out here; empty for a detached HEAD."""
    origin: str
    """URL of the remote `origin` without credentials; empty for none."""
    uncommitted: int
    """Files whose changes are not sent."""


def local(source: str) -> str | None:
    """The path that `source` means on this machine; None for a URL. Raises InvalidArgument for one with a password."""
    if source.startswith("file://"):
        return unquote(urlsplit(source).path)
    if os.path.exists(source) or not ("://" in source or _SCP_LIKE.fullmatch(source)):
        return source
    if _holds_password(source):
        raise InvalidArgument(
            "REPOSITORY_HAS_PASSWORD",
            "The repository's URL holds a password or token; it would be stored in the history.",
            field=_FIELD,
            hint="Leave it out of the URL and log in from inside the vibespace.",
        )
    return None


def read(path: str, branch: str = "") -> Repository:
    """The repository that `path` lies in, with `branch` in it if one is named.

    Raises InvalidArgument when there is none or no such branch, FailedPrecondition when it cannot be sent.
    """
    place = os.path.realpath(path)
    if not os.path.isdir(place):
        raise InvalidArgument("REPOSITORY_INVALID", f"There is no directory {place}.", field=_FIELD)
    bare, shallow, directory = _facts(place)
    root = directory if bare else _git(place, "rev-parse", "--show-toplevel")
    if shallow:
        raise FailedPrecondition(
            "REPOSITORY_SHALLOW",
            f"{root} is a shallow clone: its history is not all here.",
            hint="git fetch --unshallow",
        )
    if _run(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}").returncode:
        raise FailedPrecondition(
            "REPOSITORY_EMPTY", f"Nothing is committed yet in {root}.", hint="Commit something first."
        )
    if branch and _run(root, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}").returncode:
        raise InvalidArgument(
            "BRANCH_MISSING",
            f"{root} has no branch '{branch}'.",
            field="spec.branch",
            hint=f"If origin has it: git branch {branch} origin/{branch}",
        )
    origin = _run(root, "config", "--get", "remote.origin.url").stdout.strip()
    return Repository(
        root=root,
        # Not --short: of a branch that is called as a tag is, that is not the name.
        branch=_run(root, "symbolic-ref", "--quiet", "HEAD").stdout.strip().removeprefix("refs/heads/"),
        origin="" if origin.startswith("file:") else without_credentials(origin),
        uncommitted=0 if bare else len(_git(root, "--no-optional-locks", "status", "--porcelain").splitlines()),
    )


def bundle(root: str) -> Iterator[bytes]:
    """The repository at `root` as a git bundle, in pieces. Raises FailedPrecondition when git gives up."""
    refs = ("--branches", "--tags", "HEAD")
    with subprocess.Popen(
        ["git", "-C", root, "bundle", "create", "--quiet", "-", *refs],
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as git:
        assert git.stdout is not None
        assert git.stderr is not None
        try:
            while piece := git.stdout.read(PIECE):
                yield piece
            told = git.stderr.read().decode(errors="replace")
        except BaseException:  # Nobody wants the rest: the upload failed, or Ctrl-C.
            git.kill()
            raise
    if git.returncode:
        raise _refusal(root, told)


def without_credentials(url: str) -> str:
    """`url` without password, and for http without a user either: that is where tokens are put."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    user, _, host = parts.netloc.rpartition("@")
    kept = "" if parts.scheme in ("http", "https") else user.partition(":")[0] + "@"
    return urlunsplit(parts._replace(netloc=kept + host))


def _holds_password(url: str) -> bool:
    if "://" not in url:  # scp-like
        return ":" in url.partition("@")[0] and "@" in url
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.password is not None or bool(parts.username and parts.scheme in ("http", "https"))


def _facts(place: str) -> tuple[bool, bool, str]:
    bare, shallow, directory = _git(
        place, "rev-parse", "--is-bare-repository", "--is-shallow-repository", "--absolute-git-dir"
    ).split("\n")
    return bare == "true", shallow == "true", directory


def _git(place: str, *arguments: str) -> str:
    done = _run(place, *arguments)
    if done.returncode:
        raise _refusal(place, done.stderr)
    return done.stdout.rstrip("\n")


def _run(place: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["git", "-C", place, *arguments],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
        )
    except FileNotFoundError as e:
        raise FailedPrecondition(
            "GIT_MISSING", "There is no git on this machine to read the repository with.", hint="Install git."
        ) from e


def _environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in _ABOUT_ANOTHER}
    return {**kept, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}


def _refusal(place: str, told: str) -> InvalidArgument | FailedPrecondition:
    if "not a git repository" in told:
        return InvalidArgument("REPOSITORY_INVALID", f"{place} is not in a git repository.", field=_FIELD)
    if "dubious ownership" in told:
        return FailedPrecondition(
            "REPOSITORY_OWNER",
            f"{place} belongs to another user, and git does not read it.",
            hint=f"git config --global --add safe.directory {place}",
        )
    last = next((line for line in reversed(told.splitlines()) if line.strip()), "git said nothing")
    return FailedPrecondition("REPOSITORY_UNREADABLE", f"git cannot read {place}: {last.removeprefix('fatal: ')}")
