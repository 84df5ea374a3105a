"""What was said and asked at a moment that is gone, as `replay` shows it."""

from __future__ import annotations

from tests.daemon.echoing import DONE, Talk
from tests.daemon.running import Running
from vibespace.v1 import approvals_pb2 as p
from vibespace.v1 import conversations_pb2 as c
from vibespace.v1 import credentials_pb2 as k
from vibespace.v1 import events_pb2 as ev

SECRET = "sk-ant-of-the-past"


async def test_the_moment_at_which_a_tool_call_waited(demo: Running, talk: Talk) -> None:
    """Who was at work, on what, what waited behind it and for whose decision; afterwards nothing of it."""
    quiet = demo.feed.state.position
    works, waits = await talk.say("call true"), await talk.say("say next")
    await demo.until(lambda feed: feed.state.approvals)
    asked = demo.feed.state.position
    [approval] = (await talk.approvals.ListApprovals(p.ListApprovalsRequest())).approvals
    await talk.approvals.AllowApproval(p.AllowApprovalRequest(name=approval.uid))
    assert (await talk.outcome(waits)).state == DONE

    then = await demo.events.Replay(ev.ReplayRequest(at=asked))
    assert [(one.agent, one.working) for one in then.conversations] == [("claude-1@demo", True)]
    assert [(one.uid, one.agent, one.text, one.state, one.hint) for one in then.messages] == [
        (works.message.uid, "claude-1@demo", "call true", c.MESSAGE_STATE_ACKNOWLEDGED, ""),
        (waits.message.uid, "claude-1@demo", "say next", c.MESSAGE_STATE_QUEUED, ""),
    ]
    assert list(then.approvals) == [approval]
    before = await demo.events.Replay(ev.ReplayRequest(at=quiet))
    assert (list(before.messages), list(before.approvals)) == ([], [])
    now = await demo.events.Replay(ev.ReplayRequest())
    assert [one.working for one in now.conversations] == [False]
    assert (list(now.messages), list(now.approvals)) == ([], [])


async def test_a_credential_that_there_was(demo: Running) -> None:
    """By type and scope, and never its value."""
    settings = k.CredentialSettings(type=k.CREDENTIAL_TYPE_ANTHROPIC)
    made = await demo.credentials.SetCredential(k.SetCredentialRequest(credential=settings, value=SECRET))
    await demo.credentials.DeleteCredential(k.DeleteCredentialRequest(name=made.credential.name))
    then = await demo.events.Replay(ev.ReplayRequest(at=made.cursor.position))
    assert [(one.name, one.settings.type, one.scope) for one in then.credentials] == [
        (made.credential.name, k.CREDENTIAL_TYPE_ANTHROPIC, k.CREDENTIAL_SCOPE_HOST)
    ]
    assert SECRET not in str(then)
    assert not (await demo.events.Replay(ev.ReplayRequest())).credentials
