"""Builds the programs of the test cluster, once: 5 minutes on two cores the first time, 40 s after a small change."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
VERSION = "1.34.4"
"""Of Kubernetes; go.mod names it too."""

_VARIABLES = "k8s.io/component-base/version"
_FLAGS = (
    f"-s -w -X {_VARIABLES}.gitVersion=v{VERSION} -X {_VARIABLES}.gitMajor=1 -X {_VARIABLES}.gitMinor=34 "
    f"-X {_VARIABLES}.gitCommit=0 -X {_VARIABLES}.gitTreeState=clean"
)


class Programs(NamedTuple):
    """Paths of what was built."""

    kubernetes: Path
    """All of Kubernetes and etcd: its first argument says which."""
    pause: Path


def cache() -> Path:
    """Where all that outlives a run is kept; deleting it is harmless while no test runs."""
    return Path(os.environ.get("VIBESPACE_TEST_CLUSTER") or "~/.cache/vibespace/cluster").expanduser()


def build() -> Programs:
    """The programs, built if they are not there. Raises RuntimeError where there is no Go to build them with."""
    directory, digest = _made(cache()), _digest("main.go", "pause/main.go", "go.mod", "go.sum")
    built = Programs(directory / f"kubernetes-{digest}", directory / f"pause-{digest}")
    with open(directory / "building", "w") as building:
        fcntl.flock(building, fcntl.LOCK_EX)  # two runs at once would build it twice
        if not all(path.exists() for path in built):
            for old in (*directory.glob("kubernetes-*"), *directory.glob("pause-*")):
                old.unlink()
            _build(HERE, "./pause", built.pause)
            _build(HERE, ".", built.kubernetes)
    return built


def build_policies() -> Path:
    """What says what NetworkPolicies mean (policies/main.go), built if it is not there: in a minute."""
    directory = _made(cache())
    built = directory / f"policies-{_digest('policies/main.go', 'policies/go.mod', 'policies/go.sum')}"
    with open(directory / "building", "w") as building:
        fcntl.flock(building, fcntl.LOCK_EX)
        if not built.exists():
            for old in directory.glob("policies-*"):
                old.unlink()
            _build(HERE / "policies", ".", built)
    return built


def _made(directory: Path) -> Path:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory


def _digest(*names: str) -> str:
    digest = hashlib.sha256(_FLAGS.encode())
    for name in names:
        digest.update((HERE / name).read_bytes())
    return digest.hexdigest()[:16]


def _build(module: Path, package: str, path: Path) -> None:
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    if go is None:
        raise RuntimeError("The Kubernetes tests need Go 1.24 or newer to build their cluster: there is no go on PATH.")
    draft = path.with_suffix(".part")
    command = ["nice", "-n", "19", go, "build", "-p", "2", "-trimpath", "-buildvcs=false", "-ldflags", _FLAGS]
    done = subprocess.run(
        [*command, "-o", str(draft), package],
        cwd=module,
        env={**os.environ, "CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"The test cluster's programs cannot be built:\n{done.stderr[-3000:]}")
    draft.rename(path)
