"""Commands about what an agent is told, and what its program tells: of whichever agent has the name by then."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from hypothesis import strategies as st

from vibespace.app import agents, approvals, messages, transcripts
from vibespace.app.live import State
from vibespace.app.transcripts import Line
from vibespace.app.writer import Command, Transaction
from vibespace.domain.aggregate import Aggregate
from vibespace.domain.approvals import ALLOWED, DENIED, Approval
from vibespace.domain.messages import Message
from vibespace.domain.transcripts import Block, Place
from vibespace.errors import NotFound

FIRST = "the first that waits"
"""In a block, in place of the id of a message."""


def say(
    vibespace: str = "demo",
    agent: str = "claude-1",
    text: str = "hi",
    *,
    steers: bool = False,
    is_command: bool = False,
    takes_over: bool = False,
) -> Command:
    said = partial(messages.say, text=text, author="local", steers=steers, is_command=is_command)
    return partial(said, vibespace=vibespace, agent=agent, takes_over=takes_over)


def program_started(vibespace: str = "demo", agent: str = "claude-1", **started: Any) -> Command:
    """The next life of its program begins."""

    def command(transaction: Transaction) -> Aggregate:
        uid, last = _last(transaction.state, vibespace, agent)
        place = Place(last.epoch + 1, 1)
        return transcripts.start_program(transaction, agent_uid=uid, place=place, after=last, started=started)

    return command


def settings_taken(vibespace: str = "demo", agent: str = "claude-1", **settings: Any) -> Command:
    def command(transaction: Transaction) -> Aggregate:
        uid, _ = _last(transaction.state, vibespace, agent)
        return transcripts.take_settings(transaction, agent_uid=uid, settings=settings)

    return command


def line(vibespace: str, agent: str, *blocks: Block, alone: bool = False) -> Command:
    """The next line of its program tells `blocks`."""

    def command(transaction: Transaction) -> Aggregate:
        uid, last = _last(transaction.state, vibespace, agent)
        told = _named(transaction.state, uid, blocks)
        read = Line(Place(last.epoch, last.seq + 1), last, "stdout", "{}", told, told, alone=alone)
        return transcripts.take_line(transaction, agent_uid=uid, line=read)

    return command


def program_ended(vibespace: str, agent: str, *blocks: Block, **how: Any) -> Command:
    def command(transaction: Transaction) -> Aggregate:
        uid, last = _last(transaction.state, vibespace, agent)
        told = _named(transaction.state, uid, blocks)
        over = Line(Place(last.epoch, last.seq + 1), last, "exit", "", told, told)
        return transcripts.end_program(transaction, agent_uid=uid, line=over, how=how or {"code": 0})

    return command


def with_first(command: Callable[..., Message], vibespace: str, agent: str, **how: Any) -> Command:
    """`command`, of the message that waits longest for that agent."""

    def decide(transaction: Transaction) -> Aggregate:
        waiting = transaction.state.messages.get(transaction.state.agent(vibespace, agent).uid, {})
        if not waiting:
            raise NotFound("MESSAGE_GONE", "There is none.")
        return command(transaction, message=next(iter(waiting.values())), **how)

    return decide


def decide(vibespace: str, agent: str, verdict: str = ALLOWED, **how: Any) -> Command:
    """What that agent has asked first, and waits for."""

    def command(transaction: Transaction) -> Aggregate:
        asked = _asked(transaction.state, vibespace, agent)
        return approvals.decide(transaction, approval_id=asked.uid, verdict=verdict, **how)

    return command


def answered(vibespace: str, agent: str) -> Command:
    def command(transaction: Transaction) -> Aggregate:
        asked = _asked(transaction.state, vibespace, agent)
        return approvals.answered(transaction, uid=asked.id, agent_uid=asked.agent_uid)

    return command


def timed_out(vibespace: str, agent: str) -> Command:
    def command(transaction: Transaction) -> Aggregate:
        asked = _asked(transaction.state, vibespace, agent)
        return approvals.time_out(transaction, uid=asked.id, agent_uid=asked.agent_uid)

    return command


def set_timeout(vibespace: str, agent: str, timeout: str) -> Command:
    """How long what it asks from now on waits for a decision."""
    field = "approval_timeout"
    return partial(agents.change_agent, vibespace=vibespace, name=agent, settings={field: timeout}, fields=[field])


def withdraw(vibespace: str, agent: str) -> Command:
    def command(transaction: Transaction) -> Aggregate:
        uid = transaction.state.agent(vibespace, agent).uid
        return messages.withdraw(transaction, agent_uid=uid, reason="it has no program")

    return command


def _asked(state: State, vibespace: str, agent: str) -> Approval:
    waiting = state.approvals.get(state.agent(vibespace, agent).uid, {})
    if not waiting:
        raise NotFound("APPROVAL_GONE", "There is none.")
    return next(iter(waiting.values()))


def _last(state: State, vibespace: str, agent: str) -> tuple[str, Place]:
    """The agent's uid, and where its transcript ends."""
    uid = state.agent(vibespace, agent).uid
    found = state.transcript(uid)
    return uid, found.place if found else Place(0, 0)


def _named(state: State, agent_uid: str, blocks: tuple[Block, ...]) -> list[Block]:
    first = next((message.uid for message in state.messages.get(agent_uid, {}).values()), "none")
    return [{name: first if value == FIRST else value for name, value in block.items()} for block in blocks]


TURNS, REQUESTED = st.sampled_from(["", "t", "u"]), st.sampled_from(["", "r", "s"])
OUTSIDE = st.sampled_from(["", "c", "d"])
"""The program's ids of conversations."""
FIELDS: dict[str, dict[str, st.SearchStrategy[object]]] = {
    "turn_started": {"turn": TURNS, "conversation": OUTSIDE},
    "turn_ended": {"turn": TURNS, "conversation": OUTSIDE, "reason": st.just("completed"), "cost": st.just(3)},
    "work_ended": {"conversation": OUTSIDE},
    "conversation_switched": {"conversation": OUTSIDE},
    "text": {"message": st.sampled_from([FIRST, "none"]), "turn": TURNS, "text": st.just("hi")},
    "message_dropped": {"id": st.sampled_from([FIRST, "none"])},
    "approval_asked": {"request": REQUESTED, "tool": st.just("Bash"), "rules": st.just(["Bash(ls)"])},
    "approval_answered": {"request": REQUESTED, "allowed": st.booleans()},
    "approval_cancelled": {"request": REQUESTED},
    "of another build": {"turn": TURNS},
}
"""Of the blocks that something follows from, and of one that nobody knows: each field may be missing."""


def block(kind: str) -> st.SearchStrategy[Block]:
    whole = st.fixed_dictionaries({"kind": st.just(kind), **FIELDS[kind]})
    return whole | st.fixed_dictionaries({"kind": st.just(kind)}, optional=FIELDS[kind])


BLOCKS = st.lists(st.one_of([block(kind) for kind in FIELDS]), min_size=1, max_size=6)


def of_agent(command: Any, **how: Any) -> Any:
    """`command`, which knows an agent by names."""
    return lambda vibespace, agent: partial(command, vibespace=vibespace, agent=agent, **how)


def talk(vibespace: st.SearchStrategy[str], agent: st.SearchStrategy[str]) -> st.SearchStrategy[Command]:
    """What an agent is told, and tells."""
    return st.one_of(
        st.builds(say, vibespace, agent, steers=st.booleans(), takes_over=st.booleans()),
        st.builds(lambda v, a, terminal: program_started(v, a, on_terminal=terminal), vibespace, agent, st.booleans()),
        st.builds(
            lambda v, a, blocks, alone: line(v, a, *blocks, alone=alone), vibespace, agent, BLOCKS, st.booleans()
        ),
        st.builds(lambda v, a, blocks: line(v, a, *blocks), vibespace, agent, BLOCKS),
        st.builds(lambda v, a, blocks: program_ended(v, a, *blocks), vibespace, agent, BLOCKS),
        st.builds(lambda v, a, model: settings_taken(v, a, model=model), vibespace, agent, st.sampled_from("mn")),
        st.builds(partial(with_first, messages.hand_message), vibespace, agent),
        st.builds(partial(with_first, messages.queue_again), vibespace, agent),
        st.builds(partial(with_first, messages.fail_message, reason="no"), vibespace, agent),
        st.builds(partial(with_first, messages.lose_message), vibespace, agent),
        st.builds(decide, vibespace, agent, st.sampled_from([ALLOWED, DENIED]), always=st.booleans()),
        st.builds(answered, vibespace, agent),
        st.builds(timed_out, vibespace, agent),
        st.builds(set_timeout, vibespace, agent, st.sampled_from(["", "1s"])),
        st.builds(withdraw, vibespace, agent),
        st.builds(of_agent(messages.interrupt), vibespace, agent),
        st.builds(of_agent(messages.new_conversation), vibespace, agent),
        st.builds(of_agent(messages.want_terminal), vibespace, agent),
        st.builds(of_agent(messages.want_terminal, takes_over=True), vibespace, agent),
        st.builds(of_agent(messages.leave_terminal), vibespace, agent),
    )
