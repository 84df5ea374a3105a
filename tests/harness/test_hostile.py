"""Whatever a program writes, there are events and no exception: made-up bytes, and real lines with a wrong part."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness import recorded
from vibespace.harness.events import Event, Source, Unparsed
from vibespace.harness.registry import HARNESSES

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters() | st.just("\ud800"), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
SHAPES = {
    name: list({shape: said for said in map(json.loads, recorded.lines(name)) for shape in [tuple(said)]}.values())
    for name in recorded.NAMES
}
"""Of each recording, a line of each shape."""


@pytest.mark.parametrize("program", HARNESSES)
@given(st.lists(st.binary(max_size=100), max_size=5), st.sampled_from(Source))
def test_no_bytes_raise(program: str, lines: list[bytes], source: Source) -> None:
    """Bytes of any kind make events, each line by itself."""
    parser = HARNESSES[program].parser()
    assert all(isinstance(event, Event) for line in lines for event in parser.feed(line, source))
    assert all(isinstance(event, Event) for event in parser.lost())


@pytest.mark.parametrize("name", recorded.NAMES)
@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_shape_raises(name: str, data: st.DataObject) -> None:
    """Whatever stands where something else was expected, there are events, and UTF-8 can hold them."""
    parser = HARNESSES[recorded.program(name)].parser()
    for said in SHAPES[name]:
        changed = json.loads(json.dumps(said))
        place, key = data.draw(st.sampled_from(list(places(changed))))
        place[key] = data.draw(ANYTHING)
        for event in parser.feed(json.dumps(changed).encode(), recorded.source(name)):
            recorded.kept(event)
    parser.lost()


@pytest.mark.parametrize("name", recorded.NAMES)
def test_no_long_name_is_remembered(name: str) -> None:
    """Whatever is called by a megabyte is over with its line."""
    parser = HARNESSES[recorded.program(name)].parser()
    for said in SHAPES[name]:
        changed = json.loads(json.dumps(said))
        for place, key in places(changed):
            if isinstance(place[key], str) and str(key).lower().endswith(("id", "tool", "tool_name")):
                place[key] = "x" * (1 << 20)
        parser.feed(json.dumps(changed).encode(), recorded.source(name))
        assert len(json.dumps(parser.state())) < 1 << 20
    assert len(repr(parser.lost())) < 1 << 20


@pytest.mark.parametrize("program", HARNESSES)
@settings(max_examples=300)
@given(st.data())
def test_no_line_is_too_short(program: str, data: st.DataObject) -> None:
    """A real line, cut anywhere, is told to be none, and what follows it is read."""
    name = data.draw(st.sampled_from([name for name in recorded.NAMES if recorded.program(name) == program]))
    line = data.draw(st.sampled_from(recorded.lines(name)))
    cut = data.draw(st.integers(0, len(line) - 1))
    parser, other = HARNESSES[program].parser(), HARNESSES[program].parser()
    assert [type(event).__name__ for event in parser.feed(line[:cut], recorded.source(name))] == ["Unparsed"]
    assert parser.feed(line, recorded.source(name)) == other.feed(line, recorded.source(name))


MANY = [0] * 50_000
FILES = {"type": "fileChange", "id": "f-1", "status": "completed", "changes": MANY}


@pytest.mark.parametrize(
    ("program", "line"),
    [
        ("claude-code", {"type": "assistant", "uuid": "u-1", "message": {"content": MANY}}),
        ("codex", {"id": "thread/items/list c-1 r-1", "result": {"data": MANY}}),
        ("codex", {"method": "item/completed", "params": {"threadId": "c-1", "turnId": "t-1", "item": FILES}}),
    ],
    ids=["message", "items", "files"],
)
def test_a_flood_is_told_once(program: str, line: dict[str, object]) -> None:
    """A line of very many parts makes no event of each."""
    events = HARNESSES[program].parser().feed(json.dumps(line).encode())
    assert [event.why for event in events if isinstance(event, Unparsed)] == ["50000 parts"]
    assert len(events) <= 3


def places(value: object) -> Iterator[tuple[dict[str, object], str]]:
    """Every place in `value` where something else could stand."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield value, key
            yield from places(each)
    if isinstance(value, list):
        for each in value:
            yield from places(each)
