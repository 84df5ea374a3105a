"""Why a copy cannot be made, in one sentence. Runs inside containers too: the standard library alone."""

from __future__ import annotations

import errno
import json
import os


class Failure(Exception):
    """`kind` is the name of a class in vibespace.errors; the rest is what that class is made with."""

    def __init__(self, kind: str, reason: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.reason = reason
        self.message = message
        self.hint = hint

    def line(self) -> bytes:
        """As one line, for the other end."""
        return json.dumps([self.kind, self.reason, self.message, self.hint]).encode() + b"\n"


def shown(path: bytes) -> str:
    """A path as a person may read it, whatever bytes it is made of."""
    text = path.decode(errors="replace")
    return "'" + "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text) + "'"


def broken(why: str) -> Failure:
    """What arrives is no archive as this one makes them, or not all of one."""
    return Failure("Unavailable", "COPY_BROKEN", f"The copy was given up: {why}.", "Nothing was changed; try again.")


def of(error: OSError, path: bytes, where: str) -> Failure:
    """What the system said of `path`, on the end that is called `where` (`here`, `inside`)."""
    name, number = shown(path), error.errno
    if number == errno.ENOENT:
        return Failure("NotFound", "FILE_NOT_FOUND", f"There is no {name} {where}.", "See that the path is right.")
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return Failure("PermissionDenied", "FILE_DENIED", f"{name} {where}: {_why(error)}.")
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        hint = "Nothing was changed; make room, then try again."
        return Failure("Exhausted", "DISK_FULL", f"There is no room for {name} {where}: {_why(error)}.", hint)
    if number in (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ):
        return Failure("InvalidArgument", "NAME_INVALID", f"{name} cannot be a name {where}: {_why(error)}.")
    return Failure("FailedPrecondition", "FILE_REFUSED", f"{name} {where}: {_why(error)}.")


def _why(error: OSError) -> str:
    why = os.strerror(error.errno or 0)
    return why[:1].lower() + why[1:]
