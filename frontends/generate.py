"""protos -> everything that is generated and committed: vibespace/v1, docs/cli.md, docs/api.md and the man pages.

`python -m frontends.generate` writes; with `--check` it writes nothing, names what differs, and exits 1.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from frontends import api_page

ROOT = Path(__file__).resolve().parent.parent
GENERATED = "vibespace/v1"
DESCRIPTORS = f"{GENERATED}/api.binpb"
CLI_PAGE = "docs/cli.md"
API_PAGE = "docs/api.md"
MANUAL = "docs/man"


def buf(*arguments: str) -> None:
    """Run buf from the root, with the plugins of this Python environment first on PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["buf", *arguments], cwd=ROOT, check=True, env={**os.environ, "PATH": path})


def write_api(out: Path) -> None:
    """Generate the Python of every proto, and the descriptors with their comments, below `out`."""
    buf("generate", "--output", str(out))
    buf("build", "--as-file-descriptor-set", "--output", str(out / DESCRIPTORS))
    (out / GENERATED / "__init__.py").write_text('"""Generated from protos/; see `make generate`."""\n')


def write_pages(out: Path) -> None:
    """Write what is read: of the API as it lies in this tree, which `write_api` has brought up to date."""
    (out / MANUAL).mkdir(parents=True)
    with (out / CLI_PAGE).open("w") as page:
        run_module("vibespace_cli.reference", stdout=page)
    run_module("vibespace_cli.manual", str(out / MANUAL))
    (out / API_PAGE).write_text(api_page.page((ROOT / DESCRIPTORS).read_bytes()))


def run_module(name: str, *arguments: str, stdout: IO[str] | None = None) -> None:
    """Run a module of the command line in this tree, in a process of its own: it sees the new descriptors."""
    search = os.pathsep.join([str(ROOT), str(ROOT / "frontends/cli")])
    command = [sys.executable, "-m", name, *arguments]
    subprocess.run(command, check=True, stdout=stdout, cwd=ROOT, env={**os.environ, "PYTHONPATH": search})


STEPS: dict[Callable[[Path], None], tuple[str, ...]] = {
    write_api: (f"{GENERATED}/*",),
    write_pages: (CLI_PAGE, API_PAGE, f"{MANUAL}/*.1"),
}
"""What writes, and all that it writes; one after the other."""


def files(root: Path, patterns: tuple[str, ...]) -> dict[str, bytes]:
    """Path below `root` -> content, of the files that match."""
    found = [path for pattern in patterns for path in root.glob(pattern) if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


def differences(wanted: dict[str, bytes], present: dict[str, bytes]) -> Iterator[str]:
    """Names of files that are missing, stale, or no longer generated."""
    yield from sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))


def update(write: Callable[[Path], None], patterns: tuple[str, ...], *, check: bool) -> bool:
    """Bring what `write` writes up to date, or only say how it is not; whether anything differed."""
    with tempfile.TemporaryDirectory() as scratch:
        write(Path(scratch))
        wanted, present = files(Path(scratch), patterns), files(ROOT, patterns)
    changed = list(differences(wanted, present))
    for name in changed:
        print(f"{'stale' if check else 'wrote'}: {name}")
        if not check and name in wanted:
            (ROOT / name).parent.mkdir(exist_ok=True)
            (ROOT / name).write_bytes(wanted[name])
        elif not check:
            (ROOT / name).unlink()
    return bool(changed)


def main() -> int:
    """Bring the tree up to date, or say how it is not."""
    check = "--check" in sys.argv[1:]
    stale = [update(write, patterns, check=check) for write, patterns in STEPS.items()]
    return int(check and any(stale))


if __name__ == "__main__":
    sys.exit(main())
