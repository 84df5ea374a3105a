"""A look into an image where it would run: the same script as on every engine, in a pod that does nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress

from vibespace.engine import examination
from vibespace.engine.errands import Errands
from vibespace.errors import Aborted

SECONDS = 600.0
"""What a look may take. It is often the first that has a node pull an image, which is a gigabyte."""


async def look(errands: Errands, image: str, word: str = "examination") -> Sequence[str]:
    """See engine.base.Examiner. `word` is what the errand is called."""
    try:
        told = await errands.run(word, examination.SCRIPT, image, seconds=SECONDS)
    except Aborted as e:
        if "exec" in e.message or "no such file" in e.message:
            return (examination.NO_SHELL,)
        raise
    lines = [line for line in map(_line, told.splitlines()) if line is not None]
    return [line["lacks"] for line in lines if "lacks" in line] or (() if lines else (examination.NO_SHELL,))


def _line(text: str) -> dict[str, str] | None:
    """What the script has written; None of what others have, such as a shell that misses its locale."""
    with suppress(ValueError):
        told = json.loads(text)
        return told if isinstance(told, dict) else None
    return None
