"""An agent's program that prints: Claude Code, as far as its harness can tell, without a model.

What it is told is JSON: `lines` to print, `rate` of them a second (0: as fast as they are taken), and then, when there
is a file `wait`, `more` lines, and a file `done` of its own. Each line is numbered, from 0 in each turn.
"""

from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path
from time import monotonic, sleep
from typing import Any

FILLING = "x" * 200
SESSION = sys.argv[sys.argv.index("--session-id") + 1] if "--session-id" in sys.argv else ""


def tell(kind: str, **what: Any) -> None:
    sys.stdout.write(json.dumps({"type": kind, "session_id": SESSION, "uuid": str(uuid.uuid4()), **what}) + "\n")


def count(begin: int, lines: int, rate: float) -> None:
    started = monotonic()
    for number in range(begin, begin + lines):
        if rate:
            sys.stdout.flush()
            sleep(max(0.0, started + (number - begin) / rate - monotonic()))
        said = [{"type": "text", "text": f"{number} {FILLING}"}]
        tell("assistant", message={"id": f"msg_{number}", "role": "assistant", "content": said})
    sys.stdout.flush()


def work(told: dict[str, Any]) -> None:
    tell("system", subtype="init", session_id=SESSION)
    tell("user", message=told["message"], uuid=told["uuid"], isReplay=True)
    asked = json.loads(told["message"]["content"])
    count(0, asked["lines"], asked.get("rate", 0))
    if "wait" in asked:
        while not Path(asked["wait"]).exists():
            sleep(0.05)
        count(asked["lines"], asked["more"], 0)
        Path(asked["done"]).touch()
    tell("result", subtype="success", is_error=False, result="")
    sys.stdout.flush()


def main() -> None:
    for line in sys.stdin:
        told = json.loads(line)
        match told["type"]:
            case "control_request":
                tell("control_response", response={"subtype": "success", "request_id": told["request_id"]})
                sys.stdout.flush()
            case "user":
                work(told)


if __name__ == "__main__":
    main()
