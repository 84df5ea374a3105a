"""Errors of ours over the wire and back."""

from __future__ import annotations

import pytest

from vibespace import errgrpc, errors

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.Error)]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not errors.Error])
def test_there_and_back(kind: type[errors.Error]) -> None:
    """Whatever was raised is raised again, with all it says."""
    sent = kind("SOME_REASON", "A sentence.", field="spec.cpu", hint="Do this.", vibespace="demo")
    got = errgrpc.from_status(errgrpc.to_status(sent))
    assert type(got) is kind
    assert vars(got) == vars(sent)


def test_long_texts_are_cut() -> None:
    """A status fits into the trailers that gRPC takes, however long what it repeats is."""
    long = "x" * 10_000_000
    status = errgrpc.to_status(errors.NotFound("SOME_REASON", long, hint=long, field="name", name=long))
    assert sum(len(value) for _, value in errgrpc.trailers(status)) < 8192
    assert errgrpc.from_status(status).reason == "SOME_REASON"
