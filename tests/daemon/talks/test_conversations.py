"""Messages to agents over a whole daemon, with a program that does what it is told."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import grpc
import pytest

from tests.daemon.echoing import DONE, FAILED, Talk, echoing, home_of, prepare, said
from tests.daemon.running import DEMO, PRIMARY, Running, create, quiet, refused
from tests.daemon.talks.steps import allow, asked, programs
from tests.runner.runners import serving as runners
from vibespace.engine.fake_world import World
from vibespace.errors import Exhausted
from vibespace.reconcile.conversations import GO_ON
from vibespace.v1 import agents_pb2 as a
from vibespace.v1 import conversations_pb2 as c
from vibespace.v1 import credentials_pb2 as k
from vibespace.v1 import vibespaces_pb2 as v

KILLED = "its program was killed by signal 9"


def talk(demo: Running) -> Talk:
    return Talk(demo.channel)


async def test_an_answer(talk: Talk) -> None:
    """What is asked is answered, again and again, by one program."""
    assert (await talk.ask("say hello\nsay you")).said == ["hello", "you"]
    told = await talk.ask("say again")
    assert (told.state, told.reason, told.said) == (DONE, "completed", ["again"])
    kinds = [block.WhichOneof("block") for block in await talk.transcript()]
    assert kinds.count("program_started") == 1
    turn = ["turn_started", "text", "text", "turn_ended", "work_ended"]
    assert kinds == ["program_started", *turn[:2], "text", *turn[2:], *turn]


async def test_who_sends_at_once_is_answered_in_order(talk: Talk, inside: Path) -> None:
    """Two senders do not mix: each message has a turn of its own, in the order in which they were accepted."""
    first = await talk.say("wait go\nsay first")
    others = [await talk.say(f"say {name}") for name in ("second", "third")]
    (inside / "go").touch()
    assert [(await talk.outcome(sent)).said for sent in (first, *others)] == [["first"], ["second"], ["third"]]
    assert said(await talk.transcript()) == ["first", "second", "third"]


async def test_steering_joins_the_turn(talk: Talk, inside: Path) -> None:
    """What steers is heard while the agent works, and is done with that turn; what waits is not."""
    first = await talk.say("wait go\nsay first")
    await talk.until("turn_started")
    waiting = await talk.say("say last")
    steering = await talk.say("say steered", steer=True)
    await talk.until("text", steering.cursor)
    (inside / "go").touch()
    assert (await talk.outcome(steering)).state == DONE
    assert (await talk.outcome(first)).state == DONE
    assert (await talk.outcome(waiting)).said == ["last"]
    turns = [block.turn for block in await talk.transcript() if block.HasField("text") and block.text.text == "steered"]
    assert turns == [f"turn-of-{first.message.uid}"]
    assert said(await talk.transcript()) == ["steered", "first", "last"]


async def test_interrupting(talk: Talk) -> None:
    """A turn that would never end is ended, and the agent takes the next message; who is idle is not interrupted."""
    assert (await talk.ask("say first")).said == ["first"]
    error = await refused(talk.stub.InterruptAgent(c.InterruptAgentRequest(name=PRIMARY)))
    assert error.reason == "AGENT_IDLE"
    sent = await talk.say("say begun\nhang\nsay never")
    await talk.until("text", sent.cursor)
    await talk.stub.InterruptAgent(c.InterruptAgentRequest(name=PRIMARY))
    told = await talk.outcome(sent)
    assert (told.state, told.said) == (DONE, ["begun"])
    assert (await talk.ask("say next")).said == ["next"]


async def test_a_new_conversation_is_another_program(talk: Talk, demo: Running) -> None:
    """It begins with the next message; while messages wait there is none."""
    first = await talk.say("hang")
    await talk.until("turn_started")
    create = c.CreateConversationRequest(parent=PRIMARY)
    assert (await refused(talk.stub.CreateConversation(create))).reason == "MESSAGES_WAIT"
    await talk.stub.InterruptAgent(c.InterruptAgentRequest(name=PRIMARY))
    await talk.outcome(first)
    created = await talk.stub.CreateConversation(create)
    assert (await talk.ask("say new")).said == ["new"]
    kinds = [block.WhichOneof("block") for block in await talk.transcript(created.cursor)]
    assert kinds[:2] == ["program_ended", "program_started"]
    assert [held.uid for held in demo.feed.state.conversations.values()] == [created.conversation.uid]


async def test_who_waits_for_a_program_that_is_held_hears_it(talk: Talk, demo: Running) -> None:
    """At once, and what was said before; it is worked on all the same."""
    sent = await talk.say("call true")
    approval = await asked(demo, talk)
    uid = next(demo.feed.state.agents()).uid
    demo.feed.hold(uid, Exhausted("HOME_FULL", "The agent's home is full."))
    with pytest.raises(grpc.aio.AioRpcError) as e:
        await talk.outcome(sent)
    assert e.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    found = await demo.agents.GetAgent(a.GetAgentRequest(name=talk.name))
    assert found.agent.status.reason == "The agent's home is full."
    await allow(talk, approval, approval.input_hash)
    demo.feed.hold(uid, None)
    assert (await talk.outcome(sent)).state == DONE


async def test_an_agent_has_no_past_of_another_of_its_name(talk: Talk, demo: Running) -> None:
    """Neither what that said, nor what was said to it."""
    await talk.ask("say hello")
    await demo.vibespaces.DeleteVibespace(v.DeleteVibespaceRequest(name=DEMO))
    await demo.until(lambda feed: not feed.state.vibespaces)
    await demo.vibespaces.CreateVibespace(create())
    call = talk.stub.StreamTranscript(c.StreamTranscriptRequest(name=talk.name))
    told = [response async for response in call]
    assert [(len(each.blocks), len(each.messages)) for each in told] == [(0, 0)] * len(told)
    assert told


async def test_what_a_failed_turn_needs(talk: Talk, demo: Running) -> None:
    """The message tells in which words it failed, what that is about, and which command mends it."""
    sent = await talk.say("fail login Not logged in")
    told = await talk.outcome(sent)
    assert (told.state, told.reason) == (DONE, "failed: Not logged in")
    assert (told.message.trouble, told.message.hint) == (
        "login",
        "Log it in with 'vibespace credential login claude-1@demo', "
        "or give it a key: 'vibespace credential set anthropic'.",
    )
    (end,) = [block.turn_ended for block in told.blocks if block.HasField("turn_ended")]
    assert (end.reason, end.detail, end.trouble) == ("failed", "Not logged in", "login")
    assert (await talk.ask("say next")).message.hint == ""


async def test_another_key_is_there_for_the_next_message(talk: Talk, demo: Running) -> None:
    """Set, replaced or deleted, the next turn is that of a process that has it so, in the same conversation."""

    async def put(value: str) -> k.Credential:
        settings = k.CredentialSettings(type=k.CREDENTIAL_TYPE_ENVIRONMENT, variable="TOKEN")
        request = k.SetCredentialRequest(parent=PRIMARY, credential=settings, value=value)
        return (await demo.credentials.SetCredential(request)).credential

    assert (await talk.ask("env TOKEN")).said == ["0"]
    for size in (12, 34):
        made = await put("x" * size)
        assert [(await talk.ask("env TOKEN")).said for _ in range(2)] == [[f"{size}"]] * 2
    await demo.credentials.DeleteCredential(k.DeleteCredentialRequest(name=made.name))
    assert (await talk.ask("env TOKEN")).said == ["0"]
    kinds = [block.WhichOneof("block") for block in await talk.transcript()]
    assert kinds.count("program_started") == 4
    assert len(demo.feed.state.conversations) == 1


async def test_a_program_that_dies_amid_a_turn(talk: Talk, inside: Path) -> None:
    """What it has started is ended; another one is told to go on, and not the same again."""
    words = "child exec sleep 1234\nsay begun\ncrash\nsay never"
    told = await talk.ask(words)
    assert (told.state, told.reason, told.said) == (DONE, "completed", ["begun", "gone on"])
    assert programs(inside, "1234") == []
    heard = [block.text.text for block in told.blocks if block.text.by_user]
    assert heard == [words, GO_ON]
    assert (await talk.ask("say next")).said == ["next"]
    ended = [block.program_ended.code for block in await talk.transcript() if block.HasField("program_ended")]
    assert ended == [-9]


async def test_a_program_that_dies_again(talk: Talk, inside: Path) -> None:
    """What it was told to go on with is lost then; the next message has another program."""
    (inside / "again").write_bytes(b"x")
    told = await talk.ask("say begun\ncrash")
    assert (told.state, told.reason, told.said) == (DONE, "lost: its program ended with code 3", ["begun"])
    assert (await talk.ask("say next")).said == ["next"]


@pytest.mark.parametrize("lives", [1, 2])
async def test_a_repeat_that_is_ignored(talk: Talk, inside: Path, lives: int) -> None:
    """The program has the message from an earlier life, and says no more than that: it is told to go on, once."""
    (inside / "late").write_bytes(b"x" * lives)
    told = await talk.ask("say never")
    assert (told.state, told.reason, told.said) == (
        (DONE, "completed", ["gone on"]) if lives == 1 else (DONE, "lost", [])
    )
    assert (await talk.ask("say next")).said == ["next"]


async def test_an_end_that_was_wanted(talk: Talk) -> None:
    """Who insists on an interrupt ends the program, and nothing goes on."""
    sent = await talk.say("say begun\nstubborn")
    await talk.until("text", sent.cursor)
    outcome = asyncio.create_task(talk.outcome(sent))
    while not outcome.done():  # who asks within the same second does not insist
        with suppress(grpc.aio.AioRpcError):  # nothing is at work any more
            await talk.stub.InterruptAgent(c.InterruptAgentRequest(name=PRIMARY))
        await asyncio.sleep(0.1)
    told = outcome.result()
    assert (told.state, told.reason, told.said) == (DONE, f"lost: {KILLED}", ["begun"])


async def test_what_a_program_was_saying_when_it_died(talk: Talk) -> None:
    """Is in the record as far as it got, with the end of its turn."""
    told = await talk.ask(f"begin {'half ' * 5000}\ncrash")
    blocks = await talk.transcript()
    assert (told.state, [text[:10] for text in said(blocks)]) == (DONE, ["half half ", "gone on"])
    assert [block.text.cut for block in blocks if block.HasField("text") and not block.text.by_user] == [True, False]
    ends = [block.turn_ended for block in blocks if block.HasField("turn_ended")]
    assert [(end.reason, end.detail) for end in ends] == [("lost", KILLED), ("completed", "")]


@pytest.mark.parametrize("lives", [1, 2])
async def test_a_program_that_dies_before_it_took_the_message_up(talk: Talk, inside: Path, lives: int) -> None:
    """The next one is told, once."""
    (inside / "die").write_bytes(b"x" * lives)
    told = await talk.ask("say hello")
    assert (told.state, told.said) == (DONE, ["hello"])
    heard = [block for block in await talk.transcript() if block.HasField("text") and block.text.by_user]
    assert len(heard) == 1
    kinds = [block.WhichOneof("block") for block in await talk.transcript()]
    assert kinds.count("program_started") == lives + 1


async def test_a_program_that_always_dies(talk: Talk, inside: Path) -> None:
    """After three the message has failed, with the program's last words; the next message has its own tries."""
    (inside / "die").write_bytes(b"xxxx")
    told = await talk.ask("say hello")
    assert (told.state, told.said) == (FAILED, [])
    assert told.reason.endswith(": there is no room for echoes")
    assert (await talk.ask("say hello")).said == ["hello"]


async def test_lines_that_are_none(talk: Talk) -> None:
    """Garbage, invalid UTF-8 and what a program says on its standard error are told, and the agent goes on."""
    told = await talk.ask("garbage\nutf8\nwords oh\nsay after")
    assert (told.state, told.said) == (DONE, ["after"])
    unparsed = [block.unparsed.why for block in told.blocks if block.HasField("unparsed")]
    assert unparsed == ["not JSON", "not UTF-8"]
    assert (await talk.until("diagnostic")).diagnostic.text == "oh"  # it comes another way, which may take longer


async def test_half_a_line(talk: Talk) -> None:
    """What a dying program began to say is told as what it is, and the next one goes on."""
    told = await talk.ask("half")
    assert (told.state, told.said) == (DONE, ["gone on"])
    assert [block.unparsed.why for block in told.blocks if block.HasField("unparsed")] == ["not JSON"]


@pytest.mark.parametrize(("size", "kind"), [(1 << 20, "text"), (50 << 20, "unparsed")])
async def test_long_lines(talk: Talk, home: Path, size: int, kind: str) -> None:
    """Of a line of a megabyte the log has the beginning; one of 50 is nothing that is read; the whole is kept apart."""
    told = await talk.ask(f"long {size}\nsay after")
    assert (told.state, told.said[-1]) == (DONE, "after")
    long = [block for block in told.blocks if (block.text.cut or block.HasField("unparsed"))]
    assert [block.WhichOneof("block") for block in long] == [kind]
    assert sorted(path.stat().st_size > size for path in (home / "blobs").rglob("*") if path.is_file()) == [True]


async def test_a_program_that_is_deaf(talk: Talk) -> None:
    """What it cannot hear is said to the next program, once that one has ended."""
    first = await talk.say("deaf\nsay deaf\ncrash")
    assert (await talk.outcome(first)).said == ["deaf", "gone on"]
    assert (await talk.ask("say next")).said == ["next"]


async def test_a_stop_amid_a_turn(talk: Talk, demo: Running, inside: Path) -> None:
    """Stopped and started: the turn is lost, what waited is said to the next program, each once."""
    first = await talk.say("say begun\nhang")
    await talk.until("text")
    second = await talk.say("say second")
    await demo.vibespaces.StopVibespace(v.StopVibespaceRequest(name=DEMO))
    await demo.until(quiet)
    assert runners(inside) == []
    hints = [(await refused(talk.outcome(each))).hint.partition("back. ")[2] for each in (first, second)]
    assert hints[0] == "The history says then how far the message got."
    assert hints[1] == "The message waits for that, and need not be said again."
    await demo.vibespaces.StartVibespace(v.StartVibespaceRequest(name=DEMO))
    await demo.until(lambda feed: not feed.state.messages)
    assert (await talk.outcome(first)).reason == "lost: its program went away"
    assert said(await talk.transcript()) == ["begun", "second"]
    assert (await talk.outcome(second)).state == DONE


async def test_what_was_accepted_is_answered_again(talk: Talk, demo: Running) -> None:
    """Whatever has become of the agent since: who has not heard the answer must not take it for a refusal."""
    sent = await talk.say("say once", request_id="once")
    assert (await talk.outcome(sent)).state == DONE
    await demo.agents.StopAgent(a.StopAgentRequest(name=PRIMARY))
    await demo.until(quiet)
    again = await talk.say("say once", request_id="once")
    assert (again.message.uid, again.cursor) == (sent.message.uid, sent.cursor)
    begins = c.CreateConversationRequest(parent=PRIMARY, request_id="anew")
    begun = [await talk.stub.CreateConversation(begins) for _ in range(2)]  # as who has not heard the first answer
    assert begun[0].conversation.uid == begun[1].conversation.uid
    assert (await refused(talk.say("say twice", request_id="twice"))).reason == "AGENT_NOT_RUNNING"


async def test_stopped_and_started_at_once(talk: Talk, demo: Running) -> None:
    """However soon it is started again, what is said is answered."""
    for number in range(5):
        sent = await talk.say(f"many {100 + number}")  # no hang: a stop that nobody saw ends nothing
        await talk.until("turn_started", sent.cursor)
        await demo.vibespaces.StopVibespace(v.StopVibespaceRequest(name=DEMO))
        await demo.vibespaces.StartVibespace(v.StartVibespaceRequest(name=DEMO))
        await demo.until(quiet)
        assert (await talk.ask("say back")).said == ["back"]


async def test_a_daemon_that_ends_amid_a_turn(home: Path, world: World) -> None:
    """The program goes on meanwhile, and the next daemon has all that it said, each line once."""
    async with echoing(home, world) as first:
        await prepare(first)
        talk = Talk(first.channel)
        sent = await talk.say("many 20\nwait go\nmany 20\ncall echo yes")
        await talk.until("text")
    (home_of(first, world) / "go").touch()
    async with echoing(home, world) as second:
        talk = Talk(second.channel)
        await second.until(quiet)
        await allow(talk, await asked(second, talk))
        told = await talk.outcome(sent)
        assert told.state == DONE
        assert said(await talk.transcript()) == [*map(str, range(20))] * 2
        kinds = [block.WhichOneof("block") for block in await talk.transcript()]
        assert kinds.count("program_started") == 1
