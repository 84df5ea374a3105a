"""A shell to a real sshd, new for each test (it costs 60 ms and buys that no test sees another's processes)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.net.gitsource import Source
from tests.net.running import AGENT
from tests.net.sshd import Sshd, running
from tests.net.worktrees import Shared
from vibespace.net.shell import SshShell


@pytest.fixture
async def sshd() -> AsyncIterator[Sshd]:
    async with running(AGENT) as server:
        yield server


@pytest.fixture
async def shell(sshd: Sshd) -> AsyncIterator[SshShell]:
    opened = SshShell(sshd, sshd.keys, user=sshd.user)
    yield opened
    await opened.close()


@pytest.fixture
def shared(shell: SshShell, sshd: Sshd) -> Shared:
    return Shared(shell, sshd.home)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path / "source")
