"""What is known of a program that runs, by what it has said: whose turn it is in, and how much is remembered."""

from __future__ import annotations

from dataclasses import replace

from tests.reconcile.views import ASKED, TURN, running
from vibespace.harness.events import (
    ConversationSwitched,
    Reason,
    Replied,
    Text,
    TurnEnded,
    TurnStarted,
    Unparsed,
)


def test_a_helpers_conversation_is_not_the_agents() -> None:
    """Its turns neither begin nor end ours; what it asks waits as well."""
    here = ConversationSwitched(id="a", conversation="a", previous="")
    helper = TurnStarted(id="h", turn="h", conversation="b")
    live = running(here, replace(TURN, conversation="a"), helper, replace(ASKED, conversation="b"))
    assert (live.turn, list(live.asked)) == ("t", ["r-1"])
    live.saw([TurnEnded(id="h", turn="h", conversation="b", reason=Reason.COMPLETED)])
    assert (live.turn, live.asked) == ("t", {})
    live.saw([Text(id="m", text="words", by_user=True)])
    assert live.worked


def test_what_is_known_of_a_program_has_a_limit() -> None:
    """Whatever it asks and answers, and whatever is said to have been written to it; the newest count."""
    live = running(*(Unparsed(why="unknown kind", request=f"{number}") for number in range(2000)))
    live.saw([Replied(id="x", request=f"{number}", refusal="no" * 1000) for number in range(2000)])
    for number in range(60_000):
        live.wrote(f"1-x-{number}")
    live.wrote("n" * 201)
    live.saw([Unparsed(why="unknown kind", request="n" * 201), Replied(id="x", request="n" * 201)])
    assert (len(live.unknown), len(live.replied), len(live.written)) == (1000, 1000, 50_000)
    assert (live.unknown[-1], live.replied["1999"]) == ("1999", "no" * 500)
    assert max(map(len, (*live.unknown, *live.replied, *live.written))) < 200


def test_what_opened_a_conversation_is_known_after_a_thousand_messages() -> None:
    """Of what was replied that is forgotten first which each message asks for anew; never what has just come."""
    live = running(*(Replied(id="x", request=name) for name in ("open-1", "open-1-said-1")))
    for number in range(1000):
        live.saw([Replied(id="x", request=f"{kind}-{number}-1") for kind in ("look", "message")])
    assert ([*live.replied][:2], len(live.replied)) == (["open-1", "open-1-said-1"], 1000)
    for number in range(2, 2000):
        live.saw([Replied(id="x", request=f"open-{number}-1"), Replied(id="x", request=f"look-{number}-1")])
        assert f"look-{number}-1" in live.replied
        assert f"open-{number}-1" in live.replied
