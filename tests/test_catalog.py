"""What the descriptors say is what frontends get."""

from __future__ import annotations

import pytest
from vibespace_cli.tree import BY_HAND

from vibespace import catalog


@pytest.fixture(scope="module")
def api() -> catalog.Catalog:
    """The API of this package."""
    return catalog.load()


def _one(api: catalog.Catalog, *words: str) -> catalog.Method:
    return api.named(words)[0]


def test_every_command_says_where_it_is_answered_and_who_may_ask(api: catalog.Catalog) -> None:
    """No method that is a command lacks (home) or (access)."""
    assert {m.home for m in api.methods} <= {"device", "server"}
    assert {m.access for m in api.methods} <= {"read", "write", "host"}


def test_every_stream_is_written_by_hand(api: catalog.Catalog) -> None:
    """A command made from descriptors asks once and is answered once: it would wait for a stream for ever."""
    streams = {method.words for method in api.methods if method.client_streams or method.server_streams}
    assert streams <= set(BY_HAND)


def test_every_command_flag_and_choice_has_a_help(api: catalog.Catalog) -> None:
    """Comments are the help: there is one wherever a person reads one."""
    for method in api.methods:
        assert api.help(method)
        assert api.service_help(method)
        for flag in api.flags(method):
            assert flag.help
            assert all(c.help for c in flag.choices)


def test_flags_reach_into_the_messages_of_a_request(api: catalog.Catalog) -> None:
    """A field of the spec is a flag of `create`, however deep it lies."""
    found = {f.path: f for f in api.flags(_one(api, "create"))}
    assert found["spec", "cpu_limit"].word == "cpu-limit"
    assert found["agent", "type"].short == "t"
    assert found["vibespace_id",].argument


def test_what_is_decided_at_create_is_no_flag_of_what_updates(api: catalog.Catalog) -> None:
    """`config set` offers the settings of an agent but for its type, its environment and whose its login is."""
    made, changed = (
        {f.word for f in api.flags(_one(api, *words))} for words in (("agent", "create"), ("config", "set"))
    )
    assert {"agent-type", "env", "model"} <= made
    assert changed == made - {"agent-type", "env", "share-credentials", "vibespace"}


def test_an_enum_is_words(api: catalog.Catalog) -> None:
    """AGENT_TYPE_CLAUDE_CODE is typed `claude-code`; the unspecified value is not offered."""
    flag = next(f for f in api.flags(_one(api, "create")) if f.word == "agent-type")
    assert [c.word for c in flag.choices] == ["claude-code", "codex"]


def test_of_two_methods_with_the_same_words_the_one_with_arguments_is_first(api: catalog.Catalog) -> None:
    """`stop NAME` and bare `stop`."""
    assert [m.full_name for m in api.named(("stop",))] == ["VibespaceService/StopVibespace", "SystemService/Rest"]


def test_words_of_a_command_differ(api: catalog.Catalog) -> None:
    """No two flags of one command share a word or a letter."""
    for method in api.methods:
        flags = [f for f in api.flags(method) if not f.argument]
        words, letters = [f.word for f in flags], [f.short for f in flags if f.short]
        assert (len(set(words)), len(set(letters))) == (len(words), len(letters))


def test_a_sentence_ends_at_its_full_stop() -> None:
    """The first sentence alone must do."""
    assert catalog.first_sentence("Keep `a.b` apart. The rest.") == "Keep `a.b` apart."
