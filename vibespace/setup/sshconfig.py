"""What lets the user's own ssh in: settings in the state directory, and an `Include` of them in the user's file."""

from __future__ import annotations

import os
import pwd
import shlex
import sys
from contextlib import suppress
from pathlib import Path

from vibespace import durable
from vibespace.errors import InvalidArgument, Unavailable
from vibespace.state import State

_END = "# vibespace: end\n"
_OWN, _DIRECTORY_TOO = "(the whole file is ours)", "(its directory too)"


def settings(state: State) -> str:
    """What ssh must know to reach AGENT.NAME.vibespace: by whom, with which key, and who it must find there."""
    proxy = ["env", f"VIBESPACE_HOME={state.home}", sys.executable, "-P", "-m", "vibespace", "ssh-proxy"]
    command = " ".join(shlex.quote(word) for word in proxy).replace("%", "%%")
    lines = (
        "User agent",
        f"IdentityFile {_quoted(state.keys / 'client')}",
        "IdentitiesOnly yes",
        "IdentityAgent none",
        f"ProxyCommand {command} %n",
        f"UserKnownHostsFile {_quoted(state.ssh / 'hosts')}/%n",
        "GlobalKnownHostsFile none",
        "StrictHostKeyChecking yes",
        "UpdateHostKeys no",
        "ForwardAgent no",
    )
    return "".join(["Host *.*.vibespace\n", *(f"    {line}\n" for line in lines)])


def install(state: State) -> Path:
    """Write our settings, and have the user's ssh include them; the user's file."""
    state.ssh.mkdir(mode=0o700, exist_ok=True)
    _replace(state.ssh / "config", settings(state), 0o600)
    path = user_file()
    text = _read(path)
    if _block(state, text or "") is None:
        made = [] if text is not None else [_OWN]
        with suppress(FileExistsError):
            path.parent.mkdir(mode=0o700)
            made.append(_DIRECTORY_TOO)
        begin = " ".join([_begin(state), *made]) + "\n"
        # First, because behind a `Host` line it would hold for that host alone.
        _replace(path, f"{begin}Include {_quoted(state.ssh / 'config', tokens=False)}\n{_END}{text or ''}")
    return path


def installed(state: State) -> bool:
    """Whether the user's file includes our settings."""
    return _block(state, _read(user_file()) or "") is not None


def outside(state: State) -> list[str]:
    """What of this lies outside the state directory, for people."""
    with suppress(Unavailable):  # a file that we cannot read has nothing of ours
        if installed(state):
            return [f"lines of ours in {user_file()}"]
    return []


def remove(state: State) -> Path:
    """Take our lines out of the user's file, which is then, as its directory, what it was before, to the byte; that
    file.
    """
    path = user_file()
    text = _read(path) or ""
    if (block := _block(state, text)) is not None:
        rest = text.replace(block, "", 1)
        if rest or _OWN not in block:
            _replace(path, rest)
        else:
            path.unlink()
            if _DIRECTORY_TOO in block:
                with suppress(OSError):  # somebody has put something there meanwhile
                    path.parent.rmdir()
    return path


def user_file() -> Path:
    """The file that ssh reads: it goes by the user's entry in passwd, and not by HOME.

    Raises Unavailable SSH_CONFIG where that has none, or cannot be read.
    """
    try:
        entry = pwd.getpwuid(os.geteuid())
    except KeyError as e:  # also where no more files can be opened
        why = f"No entry in passwd is found for user {os.geteuid()}, by which ssh finds its settings."
        raise Unavailable("SSH_CONFIG", why, hint="Nothing was changed.") from e
    return Path(entry.pw_dir) / ".ssh/config"


def _block(state: State, text: str) -> str | None:
    """Our lines in `text`, from begin to end."""
    start = text.find(_begin(state))
    end = text.find(_END, start)
    return text[start : end + len(_END)] if start >= 0 and end >= 0 else None


def _begin(state: State) -> str:
    return f"# vibespace: begin, for {state.home}"


def _quoted(path: Path, *, tokens: bool = True) -> str:
    """A path as ssh's own parser takes it, where `%` begins a token or does not."""
    if any(sign in str(path) for sign in '"*?[\\\n'):
        raise InvalidArgument(
            "HOME_UNQUOTABLE", f"ssh cannot be told of {path}.", hint="Set VIBESPACE_HOME to a plainer path."
        )
    return f'"{str(path).replace("%", "%%") if tokens else path}"'


def _read(path: Path) -> str | None:
    """The text of a file, each byte of it, or None where there is none."""
    try:
        return os.fsdecode(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as e:
        raise Unavailable("SSH_CONFIG", f"{path} cannot be read: {e.strerror}.", hint="Nothing was changed.") from e


def _replace(path: Path, text: str, mode: int | None = None) -> None:
    """Have `path`, or what it is a link to, hold `text`: whole or not at all, with the mode that it had."""
    real = Path(os.path.realpath(path))
    try:
        mode = mode or (real.stat().st_mode & 0o777 if real.exists() else 0o600)
        durable.replace(real, os.fsencode(text), mode)
    except OSError as e:
        raise Unavailable("SSH_CONFIG", f"{path} cannot be written: {e.strerror}.", hint="It is as it was.") from e
