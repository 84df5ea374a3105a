"""What is kept of a program: found again by the same build alone, and never with a secret."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vibespace.app import disposable
from vibespace.domain.transcripts import Place
from vibespace.harness.events import ApprovalAsked, ConversationSwitched, Replied, ToolCall, TurnStarted, Unparsed
from vibespace.reconcile.checkpoints import Checkpoint, Checkpoints
from vibespace.reconcile.live import Live

UID, SECRET = "00000000-0000-0000-0000-000000000003", "k-of-the-mill"
ASKED = ApprovalAsked(id="r-1", request="r-1", call="c-1", tool="Bash", input={"command": "touch x"})


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "programs", lambda text: text.replace(SECRET, "***"))


def known() -> Live:
    live = Live(epoch=2, running=True, written={"2-greet-0", "2-open-0"})
    live.connect()
    live.saw(
        (
            ConversationSwitched(conversation="s", previous=""),
            TurnStarted(id="t", turn="t"),
            ToolCall(call="c", tool="Bash", input={}),
            Unparsed(why="unknown kind", request="r-0"),
            Replied(request="settings-2", refusal="no"),
        )
    )
    return live


def checkpoint(live: Live | None = None, **changes: Any) -> Checkpoint:
    told = (live or known()).told()
    assert told
    return replace(Checkpoint(Place(2, 900), Place(2, 890), {"turn": "t", "over": ["s"]}, told), **changes)


def test_what_is_read_is_what_was_written(checkpoints: Checkpoints) -> None:
    """All of it, for a log that has at least as much; the newest."""
    checkpoints.write(UID, checkpoint(place=Place(2, 400)))
    checkpoints.write(UID, checkpoint())
    for recorded in (Place(2, 890), Place(2, 4000)):
        assert checkpoints.read(UID, recorded, running=True) == checkpoint()


@pytest.mark.parametrize("recorded", [Place(2, 889), Place(1, 5000), Place(3, 1)])
def test_it_is_of_no_use_to_another_log(checkpoints: Checkpoints, recorded: Place) -> None:
    """One that has less than was there, or another life of the program."""
    checkpoints.write(UID, checkpoint())
    assert checkpoints.read(UID, recorded, running=True) is None


def test_the_end_of_a_program_is_known_to_who_goes_on(checkpoints: Checkpoints) -> None:
    """After it, and when the next one runs already; not to who has not heard of it."""
    ended = checkpoint(replace(known(), running=False))
    checkpoints.write(UID, ended)
    assert checkpoints.read(UID, Place(2, 900), running=True) is None
    assert (
        checkpoints.read(UID, Place(2, 900), running=False) == checkpoints.read(UID, Place(3, 7), running=True) == ended
    )


@pytest.mark.parametrize("is_over", [True, False])
def test_what_is_out_of_date_is_not_there_for_the_next(checkpoints: Checkpoints, is_over: bool) -> None:
    """Of a program that is over something is kept that is not its end: more may have been told since."""
    kept = checkpoint(replace(known(), running=not is_over))
    checkpoints.write(UID, kept)
    assert checkpoints.read(UID, Place(3 if is_over else 2, 900), running=False) is None
    assert checkpoints.read(UID, Place(3, 1) if is_over else Place(2, 900), running=True) is None


def test_the_end_of_a_life_long_past_is_of_no_use(checkpoints: Checkpoints) -> None:
    """The one that came after it may have told more."""
    checkpoints.write(UID, checkpoint(replace(known(), running=False)))
    assert checkpoints.read(UID, Place(4, 1), running=True) is None


def test_no_secret_is_kept(checkpoints: Checkpoints, tmp_path: Path) -> None:
    """Not in what the parser knows, and not in what we know; the one before stays."""
    for each in (checkpoint(heard={"calls": [{SECRET: 1}]}), checkpoint(Live(2, running=True, turn=SECRET))):
        checkpoints.write(UID, each)
        assert not (tmp_path / "programs").exists()


def test_what_is_over_is_forgotten(checkpoints: Checkpoints, tmp_path: Path) -> None:
    """A program's, and those of agents that are no more."""
    checkpoints.keep(())
    checkpoints.forget(UID)
    for name in (UID, "other", "third"):
        checkpoints.write(name, checkpoint())
    checkpoints.forget(UID)
    checkpoints.keep({"other"})
    assert [path.name for path in (tmp_path / "programs").iterdir()] == ["other"]


SPOILT: dict[str, Callable[[Path], Any]] = {
    "gone": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-80]),
    "changed": lambda path: path.write_bytes(path.read_bytes().replace(b"greet", b"gruss")),
    "no JSON": lambda path: path.write_bytes(b"\xff\n\xfe\n"),
    "of another build": lambda path: disposable.write(path, "another", []),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_what_is_wrong_with_it_is_nobodys_business(
    checkpoints: Checkpoints, tmp_path: Path, spoil: Callable[[Path], Any]
) -> None:
    """Whatever became of the file, there is none."""
    checkpoints.write(UID, checkpoint())
    spoil(tmp_path / "programs" / UID)
    assert checkpoints.read(UID, checkpoint().recorded, running=True) is None


def test_without_room_the_program_goes_on(checkpoints: Checkpoints, tmp_path: Path) -> None:
    """It is an ease, and nothing else."""
    (tmp_path / "programs").write_text("")
    checkpoints.write(UID, checkpoint())
    assert checkpoints.read(UID, checkpoint().recorded, running=True) is None
