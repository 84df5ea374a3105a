"""What is asked of the runner."""

from __future__ import annotations

import threading
from typing import Any

from vibespace.runner.files import put
from vibespace.runner.hooks import Hooks
from vibespace.runner.journal import Journal, position, segments
from vibespace.runner.program import Pipes
from vibespace.runner.socketed import Socketed
from vibespace.runner.taken import Taken
from vibespace.runner.transcript import Transcript, look_for


class Runner:
    """One program at a time, and who is attached."""

    def __init__(self) -> None:
        self.journal = Journal()
        self._transcript = Transcript(self.journal)
        if not self.journal.ended:
            self._transcript.look()  # what it wrote there when nobody heard it any more is part of its life
            self.journal.append("exit", b'{"lost": true}')
        self._taken = Taken(self.journal)
        self.hooks = Hooks(self.journal, self._transcript)
        self._program: Pipes | None = None
        self._starting = threading.Lock()
        self._speaking = threading.Lock()

    @property
    def running(self) -> bool:
        """Whether a program does."""
        return self._program is not None and not self._program.over.is_set()

    def answer(self, request: dict[str, Any], data: bytes) -> dict[str, Any]:
        """The reply to a request, see the package. Raises ValueError for what is none."""
        match request:
            case {"do": "start", "argv": [_, *_] as argv, "env": dict() as env, "cwd": str() as cwd}:
                return self._start([str(word) for word in argv], env, cwd, request)
            case {"do": "input", "input": str() as name} if usable(name):
                return {"input": name, "state": self._input(name, data, secret=bool(request.get("secret")))}
            case {"do": "tail", "path": str() as path, "find": str() as text} if text:
                self._transcript.tail(path)
                return {"state": look_for(text, path)}
            case {"do": "tail", "path": str() as path}:
                self._transcript.tail(path)
                return {}
            case {"do": "answer", "request": str() as name}:
                return {"request": name, "state": self.hooks.answer(name, data)}
            case {"do": "close"}:
                with self._speaking:
                    if self._program:
                        self._program.close()
                return {}
            case {"do": "end"}:
                if self._program:
                    self._program.end()
                return {}
            case {"do": "trim", "to": [int() as epoch, int() as seq]}:
                removed = self.journal.trim((epoch, seq))
                if removed:
                    self._taken.forget(position(segments()[0]))
                return {"removed": removed}
        raise ValueError(f"not a request: {sorted(request)}")

    def _start(self, argv: list[str], env: dict[str, str], cwd: str, request: dict[str, Any]) -> dict[str, Any]:
        """Where one runs, nothing is changed under it."""
        beyond, note, socket = int(request.get("beyond", 0)), request.get("note"), str(request.get("socket") or "")
        with self._starting:
            started = not self.running
            if started:
                try:
                    self.journal.patiently(put, request.get("files", {}))
                except OSError as error:  # told, as this is no client that is gone
                    raise ValueError(f"{error.filename}: {error.strerror}") from error
                with self._speaking:
                    if self._program:
                        self._program.close()
                    self.journal.surpass(beyond)
                    if socket:
                        self._program = Socketed(self.journal, argv, env, cwd, socket, note)
                    else:
                        self._program = Pipes(self.journal, argv, env, cwd, note=note)
            return {"epoch": self.journal.epoch, "started": started}

    def _input(self, name: str, data: bytes, *, secret: bool) -> str:
        with self._speaking:
            if state := self._taken.state(name):
                return state
            if not self._program or not self._program.listens:
                return "refused"
            self._taken.begin(name)
            place = self.journal.append("input", name.encode() + b"\n" + (b"" if secret else data))
            if not self._program.write(data):
                return "uncertain"
            self._taken.written(name, place)
            return "written"


def usable(name: str) -> bool:
    """Whether it can be an id."""
    return 0 < len(name) <= 200 and name.isprintable() and " " not in name
