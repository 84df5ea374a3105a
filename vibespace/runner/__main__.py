"""The command line: see the package."""

from __future__ import annotations

import os
import sys

import vibespace.runner
from vibespace.runner.places import HOME


def main(arguments: list[str]) -> int:
    """Its exit code: 0, 1 when one serves already, 2 for what is no command.

    Nothing is compiled beforehand, and a hook runs at each step of a program: so each imports what it needs.
    """
    match arguments:
        case ["hook"]:
            from vibespace.runner.hook import hook

            return hook()
        case ["serve", *inherited]:
            from vibespace.runner.attaching import lock
            from vibespace.runner.serving import serve

            _enter()
            return serve(*map(int, inherited)) if inherited else serve(lock("starting"))
        case ["attach", *after]:
            from vibespace.runner.attaching import attach

            here = _enter()
            match after:
                case []:
                    return attach((0, 0), here)
                case ["--after", epoch, seq]:
                    return attach((int(epoch), int(seq)), here)
        case ["trim", "--to", epoch, seq]:
            from vibespace.runner.attaching import trim

            _enter()
            return trim((int(epoch), int(seq)))
    sys.stderr.write("\n".join((vibespace.runner.__doc__ or "").splitlines()[2:6]) + "\n")
    return 2


def _enter() -> str:
    """Where it was begun; from here on it is where it keeps what it has."""
    here = os.getcwd()
    os.makedirs(HOME, 0o700, exist_ok=True)
    os.chmod(HOME, 0o700)
    os.chdir(HOME)
    return here


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
