"""The wheel and the sdist hold what they should, and what is installed from them runs without this checkout."""

from __future__ import annotations

import json
import shutil
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import vibespace
from tests.packaging.places import ROOT, copy_sources, install, run, tracked

NAME = f"vibespace-{vibespace.__version__}"
WHEEL = f"{NAME}-py3-none-any.whl"
CLI = "frontends/cli/"


class Built(NamedTuple):
    """What came of the sources."""

    wheel: Path
    sdist: Path
    again: Path
    """The wheel that the sdist gives."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Both packages, without a network (7 s)."""
    place = tmp_path_factory.mktemp("built")
    sources = copy_sources(place / "sources")
    build = [sys.executable, "-m", "build", "--no-isolation"]
    run(*build, "--outdir", place / "sdist", sources, cwd=place)  # the sdist, and the wheel from that
    run(*build, "--wheel", "--outdir", place / "wheel", sources, cwd=place)
    return Built(place / "wheel" / WHEEL, place / "sdist" / f"{NAME}.tar.gz", place / "sdist" / WHEEL)


@pytest.fixture(scope="module")
def programs(built: Built) -> Iterator[Path]:
    """Where the programs of an environment are that holds the wheel (6 s); short enough for a socket's path."""
    place = Path(tempfile.mkdtemp(prefix="vs-venv-", dir="/tmp"))
    yield install(built.wheel, place / "venv")
    shutil.rmtree(place)


def contents(wheel: Path) -> dict[str, bytes]:
    """Path in the wheel -> bytes."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packages() -> dict[str, bytes]:
    """Path in an environment -> bytes, of all that is ours and runs."""
    return {name.removeprefix(CLI): (ROOT / name).read_bytes() for name in tracked("vibespace", CLI)}


def manual() -> dict[str, bytes]:
    """Path in the wheel -> bytes, of the pages that an installation puts where `man` looks."""
    return {f"{NAME}.data/data/share/man/man1/{Path(n).name}": (ROOT / n).read_bytes() for n in tracked("docs/man")}


def test_the_wheel_holds_our_packages_and_nothing_else(built: Built) -> None:
    """Every file of both packages, byte for byte: code, image, descriptors, types, manual; no tests, no generators."""
    found = contents(built.wheel)
    ours = {name: data for name, data in found.items() if not name.startswith(f"{NAME}.dist-info/")}
    assert ours == packages() | manual()
    whole = {"vibespace/py.typed", "vibespace/v1/api.binpb", "vibespace/v1/agents_pb2.pyi", "vibespace/image/entry"}
    assert ours.keys() > whole


def test_the_sdist_gives_the_same_wheel(built: Built) -> None:
    """What was packed twice comes out as what was built at once."""
    assert contents(built.again) == contents(built.wheel)


def test_the_sdist_holds_what_it_is_built_from_and_nothing_else(built: Built) -> None:
    """The packages and the protos they come from; whatever else is there was made by packing."""
    with tarfile.open(built.sdist) as archive:
        found = {m.name.removeprefix(f"{NAME}/") for m in archive.getmembers() if m.isfile()}
    beside = {"README.md", "CHANGELOG.md", "MANIFEST.in", "pyproject.toml"}
    packed = {"PKG-INFO", "setup.cfg"} | {name for name in found if name.startswith("vibespace.egg-info/")}
    assert found - packed == beside | set(tracked("vibespace", CLI, "protos", "docs/man"))


def test_nothing_in_the_packages_knows_this_checkout(built: Built) -> None:
    """Neither where the sources lie nor where they were built."""
    with tarfile.open(built.sdist) as archive:
        sources = {m.name: archive.extractfile(m) for m in archive.getmembers() if m.isfile()}
        packed = {name: file.read() for name, file in sources.items() if file}
    for where in (ROOT, built.wheel.parents[1]):
        assert [n for n, data in {**contents(built.wheel), **packed}.items() if str(where).encode() in data] == []


def test_what_is_installed_serves_outside_the_checkout(programs: Path, tmp_path: Path) -> None:
    """In an environment with only what the wheel requires, without build tools, the program makes a machine ready,
    starts its daemon, and works; `python -m vibespace` is the same program.
    """
    home = programs.parents[1] / "home"
    environ = {"VIBESPACE_HOME": str(home), "VIBESPACE_ENGINE": "fake"}
    program, python = programs / "vibespace", programs / "python"

    def data(*words: str | Path) -> object:
        return json.loads(run(*words, cwd=tmp_path, **environ))["data"]

    tools = "import importlib.util as u; print(*filter(u.find_spec, ('pip', 'setuptools', 'grpc_tools', 'pytest')))"
    assert run(python, "-c", tools, cwd=tmp_path) == "\n"
    ours = run(python, "-c", "import vibespace, vibespace_cli; print(vibespace.__file__)", cwd=tmp_path)
    assert Path(ours.strip()).is_relative_to(programs.parent)
    try:
        run(program, "init", cwd=tmp_path, **environ)
        run(program, "create", "demo", "-t", "codex", cwd=tmp_path, **environ)
        assert run(program, "exec", "codex-1@demo", "--", "echo", "here", cwd=tmp_path, **environ) == "here\n"
        versions = data(program, "version")
        assert versions == data(python, "-m", "vibespace", "version")
        assert isinstance(versions, dict)
        assert versions["client"]["version"] == versions["daemon"]["version"] == vibespace.__version__
    finally:
        run(program, "stop", cwd=tmp_path, **environ)  # and its daemon ends
