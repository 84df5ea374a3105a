"""What a trial of a cluster's network means; that it tells no is seen on a real one, by `init`."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from vibespace.engine import enforcement
from vibespace.engine.enforcement import ALLOWED, NOT_IN, NOT_OUT
from vibespace.errors import Aborted


@pytest.mark.parametrize(
    ("reached", "enforced"),
    [
        ([ALLOWED], True),
        ([NOT_IN, NOT_OUT, ALLOWED], False),
        ([NOT_IN, ALLOWED], False),
        ([NOT_OUT, ALLOWED], False),
    ],
)
def test_what_was_reached(reached: Collection[int], enforced: bool) -> None:
    """Only who keeps to both directions enforces them."""
    assert enforcement.enforced(reached) is enforced


@pytest.mark.parametrize("reached", [[], [NOT_IN], [NOT_OUT]])
def test_what_proves_nothing(reached: Collection[int]) -> None:
    """Without the control, which nothing keeps from being reached, the others prove nothing."""
    with pytest.raises(Aborted) as refused:
        enforcement.enforced(reached)
    assert refused.value.reason == "NOTHING_PROVED"
