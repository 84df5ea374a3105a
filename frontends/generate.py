"""protos -> everything that is generated and committed: vibespace/v1, docs/cli.md and docs/api.md.

`python -m frontends.generate` writes; with `--check` it writes nothing, names what differs, and exits 1.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from frontends import api_page

ROOT = Path(__file__).resolve().parent.parent
GENERATED = "vibespace/v1"
CLI_PAGE = "docs/cli.md"
API_PAGE = "docs/api.md"
PAGES = [CLI_PAGE, API_PAGE]


def buf(*arguments: str) -> None:
    """Run buf from the root, with the plugins of this Python environment first on PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["buf", *arguments], cwd=ROOT, check=True, env={**os.environ, "PATH": path})


def write_api(out: Path) -> None:
    """Generate the Python of every proto, and the descriptors with their comments, below `out`."""
    buf("generate", "--output", str(out))
    buf("build", "--as-file-descriptor-set", "--output", str(out / GENERATED / "api.binpb"))
    (out / GENERATED / "__init__.py").write_text('"""Generated from protos/; see `make generate`."""\n')


def write_pages(out: Path) -> None:
    """Write the reference pages; the command line's in a process of its own, so that it sees the new descriptors."""
    page = out / CLI_PAGE
    page.parent.mkdir(parents=True, exist_ok=True)
    with page.open("w") as file:
        search = os.pathsep.join([str(ROOT), str(ROOT / "frontends/cli")])
        subprocess.run(
            [sys.executable, "-m", "vibespace_cli.reference"],
            check=True,
            stdout=file,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": search},
        )
    (out / API_PAGE).write_text(api_page.page((ROOT / GENERATED / "api.binpb").read_bytes()))


def files(root: Path) -> dict[str, bytes]:
    """Path below `root` -> content, of all that is generated."""
    found = [p for p in (root / GENERATED).glob("*") if p.is_file()]
    found += [root / page for page in PAGES if (root / page).exists()]
    return {str(p.relative_to(root)): p.read_bytes() for p in found}


def differences(wanted: dict[str, bytes], present: dict[str, bytes]) -> Iterator[str]:
    """Names of files that are missing, stale, or no longer generated."""
    yield from sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))


def main() -> int:
    """Bring the tree up to date, or say how it is not."""
    check = "--check" in sys.argv[1:]
    stale = False
    for write in (write_api, write_pages):  # one after the other: pages are made of what the API has become
        with tempfile.TemporaryDirectory() as scratch:
            write(Path(scratch))
            wanted = files(Path(scratch))
        present = {name: data for name, data in files(ROOT).items() if (name in PAGES) == (write is write_pages)}
        for name in differences(wanted, present):
            stale = True
            print(f"{'stale' if check else 'wrote'}: {name}")
            if not check and name in wanted:
                (ROOT / name).write_bytes(wanted[name])
            elif not check:
                (ROOT / name).unlink()
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
