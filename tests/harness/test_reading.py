"""Lines are read without trust: each that cannot be is refused with its reason, and each that can be can be written."""

from __future__ import annotations

import json

import pytest

from vibespace.harness.events import Unparsed
from vibespace.harness.reading import DEEPEST, LARGEST, LONGEST, MOST, decode, encode, whole


def nested(depth: int) -> bytes:
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"a":"\xff"}', "not UTF-8"),
        (b'{"a":', "not JSON"),
        (b'{"a":NaN}', "not JSON"),
        (b'{"a":-Infinity}', "not JSON"),
        (b'{"a":1e999}', "not JSON"),
        (b'{"a":' + b"9" * 5000 + b"}", "not JSON"),
        (b'"a"', "not an object"),
        (nested(DEEPEST + 1), "nested too deeply"),
        (nested(MOST // 2), "nested too deeply"),
        (b'{"a":[' + b"[]," * MOST + b"[]]}", f"a line of {2 * MOST + 3} parts"),
        (b'{"a":[' + b"0," * MOST + b"0]}", f"a line of {MOST + 2} parts"),
        (b'{"a":[' + b'"",' * 3 * MOST + b"0]}", f"a line of {(3 * MOST + 1) // 2} parts"),
        (b" " * (LONGEST + 1), f"a line of {LONGEST + 1} bytes"),
    ],
    ids=[
        "bytes",
        "half",
        "nan",
        "infinity",
        "float",
        "whole",
        "text",
        "nested",
        "nested-for-ever",
        "wide",
        "scalars",
        "strings",
        "long",
    ],
)
def test_what_is_not_read(line: bytes, why: str) -> None:
    """A reason, and no exception."""
    found = decode(line)
    assert isinstance(found, Unparsed)
    assert found.why == why


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (nested(3), {"a": [[]]}),
        (nested(DEEPEST), json.loads(nested(DEEPEST))),
        (b'{"a":"[[[' + b"{" * 200 + b'"}', {"a": "[[[" + "{" * 200}),
        ('{"a":"é\\u0000"}'.encode(), {"a": "é\x00"}),
        (rb'{"a":"\ud83d\ude00"}', {"a": "\U0001f600"}),
        (rb'{"a":["\ud83d",{"\uDE00":1}]}', {"a": ["\ufffd", {"\ufffd": 1}]}),
        (rb'{"a":"\\ud83d"}', {"a": "\\ud83d"}),
        (b'{"a":1,"a":2}', {"a": 2}),
        (b'{"a":"' + rb"\"[{,\\" * MOST + b'"}', {"a": '"[{,\\' * MOST}),
    ],
    ids=["shallow", "deep", "brackets", "escaped", "pair", "halves", "backslash", "twice", "marks"],
)
def test_what_is_read(line: bytes, found: object) -> None:
    """As it is, but for halves of surrogate pairs, which no UTF-8 can hold."""
    assert decode(line) == found
    assert decode(encode(json.loads(line))) == found


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (LARGEST, LARGEST),
        (-LARGEST, -LARGEST),
        (LARGEST + 2, None),
        (-LARGEST - 2, None),
        (int("9" * 4300), None),
        (1e300, None),
        (2.6, 3),
        (True, None),
        ("3", None),
    ],
    ids=str,
)
def test_whole_numbers(found: object, expected: int | None) -> None:
    """What could be counted, and nothing larger: what is kept and shown has room for it."""
    assert whole({"a": found}, "a") == expected
