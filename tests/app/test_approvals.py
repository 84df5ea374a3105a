"""By how much of its id a tool call that waits is found."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.domain.things import asked
from vibespace.app.approvals import find
from vibespace.app.live import State
from vibespace.domain.approvals import Approval
from vibespace.errors import Error

FIRST, SECOND, OVER = (UUID(f"{part}-0000-4000-8000-000000000000") for part in ("3f9a1c27", "3f9abbbb", "16c37d00"))
OTHER = UUID("16c37fff-0000-4000-8000-000000000000")


@pytest.fixture
def state() -> State:
    """Three wait; one is over."""
    state = State()
    for position, uid in enumerate((FIRST, SECOND, OVER, OTHER), start=1):
        state.put(approval(uid), position)
    ended = approval(OVER)
    with asked():
        ended.expire("gone")
    state.put(ended, 5)
    return state


def approval(uid: UUID) -> Approval:
    fields = {"request": "r", "turn": "t", "tool": "Bash", "input": "{}", "input_hash": "h", "why": ""}
    with asked():
        return Approval.create(uid, agent_uid="a", vibespace="demo", agent="claude-1", **fields, rules=[], timeout="")


@pytest.mark.parametrize(
    ("typed", "uid"),
    [
        (str(FIRST), FIRST),
        ("3f9a1c27", FIRST),
        ("3f9a1", FIRST),
        ("3f9ab", SECOND),
        ("16c37f", OTHER),
        ("16c37d", OVER),
    ],
)
def test_its_first_characters_will_do(state: State, typed: str, uid: UUID) -> None:
    """Where they are no other's; what is over is found, too, so that it can be said how it ended."""
    assert find(state, typed).id == uid


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("3f9a", "APPROVAL_AMBIGUOUS"),
        ("16c37", "APPROVAL_AMBIGUOUS"),
        ("3f9", "APPROVAL_NOT_FOUND"),
        ("", "APPROVAL_NOT_FOUND"),
        ("3f9ac", "APPROVAL_NOT_FOUND"),
    ],
    ids=["of two that wait", "of one that is over, too", "three characters", "none", "nobody's"],
)
def test_what_may_mean_another_is_refused(state: State, typed: str, reason: str) -> None:
    """Also where the other is over: who still means that would decide about what waits by now."""
    with pytest.raises(Error) as e:
        find(state, typed)
    assert e.value.reason == reason


def test_how_much_is_needed_is_said(state: State) -> None:
    """Who typed less, and sees that it waits, learns why it is not found."""
    with pytest.raises(Error) as e:
        find(state, "3f9")
    assert e.value.hint == "'vibespace approval list' shows what waits; 4 characters of its id or more will do."
