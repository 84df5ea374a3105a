"""A clean copy of the sources, and an environment that holds a wheel with what it says it needs, and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


def run(*words: str | Path, cwd: Path, **environ: str) -> str:
    """What a program writes; it must end well. It sees no more of our environment than PATH."""
    env = {"PATH": os.environ["PATH"], "HOME": str(cwd), "LANG": "C.UTF-8", **environ}
    done = subprocess.run(words, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout


def tracked(*under: str) -> list[str]:
    """The repository's files below `under`."""
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", *under]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return sorted(name for name in listed.split("\0") if name and (ROOT / name).exists())


def copy_sources(to: Path) -> Path:
    """The repository's files, without what builds and tests have left beside them."""
    for name in tracked():
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        (to / name).write_bytes((ROOT / name).read_bytes())
    return to


def install(wheel: Path, place: Path) -> Path:
    """An environment at `place` with `wheel` in it; returns its directory of programs.

    What the wheel requires is lent by our own environment, file by file: nothing is fetched, and a requirement that
    the wheel forgot to name is missing there.
    """
    run(sys.executable, "-m", "venv", "--without-pip", place, cwd=place.parent)
    python = place / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python)]
    run(*pip, "install", "--no-deps", "--no-index", "--no-cache-dir", wheel, cwd=place.parent)
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=place).strip())
    for name in tops(required(packages)):
        if not (packages / name.name).exists():
            (packages / name.name).symlink_to(name)
    return python.parent


def required(packages: Path) -> dict[str, Distribution]:
    """What vibespace as installed in `packages` requires, and what that requires in turn, by name."""
    ours = next(iter(Distribution.discover(name="vibespace", path=[str(packages)])))
    found: dict[str, Distribution] = {}
    waiting = list(_requirements(ours, frozenset()))
    while waiting:
        requirement = waiting.pop()
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if name not in found:
            found[name] = distribution(name)
            assert requirement.specifier.contains(found[name].version, prereleases=True), requirement
            waiting += _requirements(found[name], frozenset(requirement.extras))
    return found


def tops(distributions: dict[str, Distribution]) -> Iterator[Path]:
    """What they have in their directory of packages."""
    for one in distributions.values():
        for name in {file.parts[0] for file in one.files or () if file.parts[0] != ".."}:
            yield Path(str(one.locate_file(name)))


def _requirements(of: Distribution, extras: frozenset[str]) -> Iterator[Requirement]:
    for requirement in map(Requirement, of.requires or ()):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras | {""}):
            yield requirement
