"""The command line: see the package."""

from __future__ import annotations

import os
import sys

import vibespace.runner
from vibespace.runner.attaching import attach, lock, trim
from vibespace.runner.places import HOME
from vibespace.runner.serving import serve


def main(arguments: list[str]) -> int:
    """Its exit code: 0, 1 when one serves already, 2 for what is no command."""
    here = os.getcwd()
    os.makedirs(HOME, 0o700, exist_ok=True)
    os.chmod(HOME, 0o700)
    os.chdir(HOME)
    match arguments:
        case ["serve", *inherited]:
            return serve(*map(int, inherited)) if inherited else serve(lock("starting"))
        case ["attach"]:
            return attach((0, 0), here)
        case ["attach", "--after", epoch, seq]:
            return attach((int(epoch), int(seq)), here)
        case ["trim", "--to", epoch, seq]:
            return trim((int(epoch), int(seq)))
    sys.stderr.write("\n".join((vibespace.runner.__doc__ or "").splitlines()[2:5]) + "\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
