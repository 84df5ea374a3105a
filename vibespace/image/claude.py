#!/usr/bin/python3 -IS
"""The `claude` that is first in PATH inside: it becomes the next one, unless a conversation would have two owners.

The program itself keeps nobody from a conversation that another one of it has: both would write into its transcript,
and the turns of one get lost. So who goes on with a conversation locks it first, by its id, whether the runner starts
it or somebody has typed it. The lock is the kernel's, and this process's: the process still has it when it has become
the program, none that the program starts has it, and however the program ends, the lock is gone.

Which conversation --continue takes is the program's choice, which we could only guess: so we make it, as the program
was seen to, and hand it on by its id. What is locked is then what is taken, whichever it is.

What a program has come to since it began, by /clear or /resume, stands in the program's own register of those that
live.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import struct
import sys

LOCKS = "/dev/shm/vibespace-claude"  # noqa: S108 (others could only keep it from us)
"""What the name of a home's file begins with. A byte of it stands for each conversation. It cannot be read: a program
that did, and then closed it, would lose its lock."""
COMMANDS = """
agents attach auth auto-mode config doctor gateway help import install kill logs mcp plugin plugins purge respawn rm
setup-token stop ultrareview update upgrade
"""
"""First words that are no start on a conversation."""
ANY = "any"
"""The person is going to choose one."""
_SAID = {"-h", "--help", "-v", "--version"}
_NAME = "claude"
_HERE = os.path.realpath(__file__)
_FLOCK = "hhqqi4x"
"""`struct flock`: type, whence, start, length, pid."""
_MARK = b"VIBESPACE_PROGRAM="
"""In the environment of what the runner started (vibespace/runner/places.py)."""
_ENTRYPOINT = b'"entrypoint":'
_BEGINNING = 1 << 20
"""Bytes of a transcript in which is said how it was begun."""
_LONGEST = 200
"""Of a directory's name; the program shortens a longer one, in its own way."""


def main(words: list[str]) -> int:
    """The exit code, where it does not become the program."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    home = os.path.expanduser("~")
    locks = LOCKS + home.replace("/", "-")
    try:
        words = chosen(words, home)
        wanted = claims(words, home)
        file = os.open(locks, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o200) if wanted else -1
        for conversation in wanted:
            while owner := _lock(file, conversation) or _moved(home, conversation):
                agents = _runners(owner)
                _say(_refusal(owner, agents=agents))
                if agents or not (_runners(os.getpid()) and os.isatty(2)):
                    return 1
                _await_end(owner)  # who joins the agent is shown why nothing is there yet
        if wanted:
            os.set_inheritable(file, True)
        return _become(words)
    except OSError as error:
        return _say(f"{error.filename or locks}: {error.strerror}")


def claims(words: list[str], home: str) -> list[str]:
    """The conversations that a start with these words begins under a given id, or goes on with, by their ids."""
    if words[:1] and words[0] in COMMANDS.split():
        return []
    begun: list[str] = []
    resumed: list[str] = []
    copied = False
    for name, value in _options(words):
        if name in _SAID:
            return []
        match name:
            case "--session-id":
                begun.append(value)
            case "-c" | "--continue":
                resumed.append(_latest(words, home) and ANY)
            case "-r" | "--resume" | "--from-pr":
                resumed.append(value if _place(value) else ANY)
            case "--fork-session":
                copied = True
    return [found for found in begun + ([] if copied else resumed) if found]


def chosen(words: list[str], home: str) -> list[str]:
    """The words, with the conversation by its id in place of --continue."""
    names = {name for name, _ in _options(words)}
    if (words[:1] and words[0] in COMMANDS.split()) or not names & {"-c", "--continue"}:
        return words
    latest = _latest(words, home)
    if not _place(latest):
        return words
    found: list[str] = []
    for at, word in enumerate(words):
        if word == "--":
            return found + words[at:]
        rest = _without(word)
        found += [word] if rest == word else [f"--resume={latest}", *([rest] if rest else [])]
    return found


def _without(word: str) -> str:
    """What is left of it without --continue, which may be a letter among others."""
    if word == "--continue":
        return ""
    letters = word[1:] if word[:1] == "-" != word[1:2] else ""
    rest = letters.lstrip("cp")
    left = letters[: len(letters) - len(rest)].replace("c", "") + rest
    return word if left == letters else left and f"-{left}"


def _options(words: list[str]) -> list[tuple[str, str]]:
    """Each with what may be its value; of letters that stand together, each one."""
    found = []
    for word, following in zip(words, [*words[1:], ""], strict=False):
        name, equals, value = word.partition("=")
        if word == "--":
            break
        if name.startswith("--"):
            found.append((name, value if equals else following))
        elif word.startswith("-"):
            for at, letter in enumerate(word[1:], 2):
                found.append((f"-{letter}", word[at:] or following))
                if letter not in "cp":
                    break  # it takes the rest
    return found


def _latest(words: list[str], home: str) -> str:
    """What --continue takes: one that was begun on a terminal, or, where it only prints, any. Empty: there is none."""
    name = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in os.getcwd())
    if len(name) > _LONGEST:
        return ANY
    prints = any(name in ("-p", "--print") for name, _ in _options(words))
    found = []
    try:
        with os.scandir(f"{home}/.claude/projects/{name}") as entries:
            for entry in entries:
                conversation, _, kind = entry.name.rpartition(".")
                if kind == "jsonl" and _place(conversation):
                    found.append((entry.stat().st_mtime_ns, conversation, entry.path))
    except FileNotFoundError:
        pass  # or it went while we looked
    for _, conversation, path in sorted(found, reverse=True):
        if prints or _on_terminal(path):
            return conversation
    return ANY if found else ""


def _on_terminal(transcript: str) -> bool:
    """Whether a conversation was begun there; older ones do not say how."""
    with open(transcript, "rb") as file:
        _, said, entrypoint = file.read(_BEGINNING).partition(_ENTRYPOINT)
    return not said or entrypoint.startswith(b'"cli"')


def _place(conversation: str) -> int:
    """Its byte of the file; 0 for what is no id."""
    digits = conversation.replace("-", "")
    if len(conversation) != 36 or len(digits) != 32 or not digits.isalnum():
        return 0
    try:
        return 1 + (int(digits, 16) >> 66)
    except ValueError:
        return 0


def _lock(file: int, conversation: str) -> int:
    """The process that has it; 0 when it is ours."""
    start = _place(conversation)
    length = 1 if start else 0
    while True:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
        except BlockingIOError:
            asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
            kind, _, _, _, owner = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, asked))
            if kind == fcntl.F_UNLCK:
                continue  # it went meanwhile
            return int(owner)
        return 0


def _moved(home: str, conversation: str) -> int:
    """The process that has come to it since it began; 0 when none has."""
    folder = f"{home}/.claude/sessions"
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        if name.endswith(".json"):
            try:
                with open(os.path.join(folder, name), "rb") as file:
                    told = json.load(file)
                if told["sessionId"] == conversation and told["procStart"] == _start(told["pid"]):
                    return int(told["pid"])
            except (OSError, ValueError, TypeError, LookupError):
                continue  # it went, or tells something else
    return 0


def _start(pid: int) -> str:
    """When that process was started, as the register has it. Raises OSError when it is gone."""
    with open(f"/proc/{pid:d}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[19].decode()


def _runners(pid: int) -> bool:
    """Whether the agent's own program is that process, or has started it."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return any(value.startswith(_MARK) for value in file.read().split(b"\0"))
    except OSError:
        return False  # gone, or not ours


def _await_end(pid: int) -> None:
    try:
        running = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    select.select([running], [], [])
    os.close(running)


def _refusal(owner: int, *, agents: bool) -> str:
    if not agents:
        # With its name before it no longer than a narrow terminal: what wraps there scrolls out of sight.
        return f"another claude, process {owner}, has this conversation: end it first"
    join = f"'vibespace connect {os.uname().nodename}'"
    return f"the agent's own program has this conversation: {join}, where you run vibespace, takes you into it"


def _become(words: list[str]) -> int:
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)  # Python ignores them, and what is ignored is inherited
    for folder in os.get_exec_path():
        path = os.path.join(folder, _NAME)
        if os.path.isfile(path) and os.access(path, os.X_OK) and os.path.realpath(path) != _HERE:
            os.execv(path, [_NAME, *words])  # noqa: S606 (no shell, on purpose)
    return _say("there is no other one in PATH", 127)


def _say(sentence: str, code: int = 1) -> int:
    sys.stderr.write(f"{_NAME}: {sentence}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
