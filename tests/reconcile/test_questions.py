"""What a program asks waits for a decision, as long as that much can be kept."""

from __future__ import annotations

import pytest

from vibespace.harness.events import (
    ApprovalAnswered,
    ApprovalAsked,
    ApprovalCancelled,
    Event,
    Reason,
    TurnEnded,
    Unparsed,
)
from vibespace.reconcile import questions
from vibespace.reconcile.questions import LONGEST_NAME, MOST_WAITING, Questions


def asked(request: str, words: str = "") -> ApprovalAsked:
    return ApprovalAsked(conversation="c", request=request, call="", tool="Bash", input={"command": words})


def declined(event: Event) -> str:
    """Why, if it is."""
    return event.why if isinstance(event, Unparsed) else ""


@pytest.mark.parametrize(
    "over",
    [
        ApprovalAnswered(conversation="c", request="large"),
        ApprovalCancelled(conversation="c", request="large"),
        TurnEnded(conversation="c", reason=Reason.COMPLETED),
    ],
)
def test_what_waits_at_once_is_bounded(over: Event) -> None:
    """Until one is answered, or its turn is over; of another conversation it is not."""
    found = Questions()
    large = asked("large", "x" * (MOST_WAITING - 1000))
    assert found.take(large) is large
    assert declined(found.take(asked("second", "x" * 1000))) == "more questions than can be kept"
    found.take(TurnEnded(conversation="d", reason=Reason.COMPLETED))
    assert declined(found.take(asked("third", "x" * 1000))) == "more questions than can be kept"
    assert found.take(over) is over
    assert declined(found.take(asked("fourth", "x" * 1000))) == ""


def test_names_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a program asks in its life: those over for the longest are forgotten, none that waits."""
    monkeypatch.setattr(questions, "MOST_REMEMBERED", 2)
    found = Questions(["earlier"])
    assert declined(found.take(asked("n" * (LONGEST_NAME + 1)))) == "a question under too long a name"
    assert [declined(found.take(asked(name))) for name in ("waits", *"abcd")] == [""] * 5
    for name in "abc":
        found.take(ApprovalAnswered(conversation="c", request=name))
    again = [declined(found.take(asked(name))) for name in ("earlier", "a", "b", "c", "d", "waits")]
    assert again == ["", "", *["a question under the name of an earlier one"] * 4]
    found.take(TurnEnded(conversation="c", reason=Reason.COMPLETED))
    assert len(found.named()) == 2


def test_names_are_kept() -> None:
    """By whom they are kept, in the order in which they are forgotten."""
    found = Questions(["z", "y"])
    found.take(asked("x"))
    assert found.named() == ["z", "y", "x"]
    assert declined(Questions(found.named()).take(asked("x"))) == "a question under the name of an earlier one"
