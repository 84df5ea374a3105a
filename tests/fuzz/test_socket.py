"""Whatever is sent to a method, the daemon answers it or says why not, by a reason of ours; and goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.daemon.process import daemon
from tests.hosts import FAKE_ENGINE
from vibespace.errgrpc import from_call
from vibespace.errors import DeadlineExceeded, Error, Internal
from vibespace.resume import LOST
from vibespace.state import State
from vibespace.v1 import agents_pb2, credentials_pb2, events_pb2, system_pb2, vibespaces_pb2
from vibespace.v1.system_pb2_grpc import SystemServiceStub

NOT_CALLED = ("Initialize", "Rest")
"""They choose another engine, and end the daemon."""
METHODS = {
    method.full_name: method
    for file in (agents_pb2, credentials_pb2, events_pb2, system_pb2, vibespaces_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
    if method.name not in NOT_CALLED
}

TEXT = (
    st.sampled_from(["", "demo", "vibespaces/demo", "vibespaces/-", "vibespaces/demo/agents/codex-1", "500m", "1Gi"])
    | st.sampled_from(
        ["agent", "agent.created", "/x", "https://example.com/x", "host", "INT", "spec.cpu", "settings.model"]
    )
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
)
NUMBERS = st.sampled_from([0, 1, -1, 2**31 - 1, -(2**31)]) | st.integers(-(2**31), 2**31 - 1)


def messages(of: Descriptor, depth: int = 3) -> st.SearchStrategy[Any]:
    """Messages of this type, with any of their fields set."""
    fields = {field.name: values(field, depth) for field in of.fields if depth or not field.message_type}
    return st.fixed_dictionaries({}, optional=fields).map(lambda chosen: build(of, chosen))


def build(of: Descriptor, chosen: dict[str, Any]) -> Any:
    made = GetMessageClass(of)()
    for name, value in chosen.items():
        if isinstance(value, list):
            getattr(made, name).extend(value)
        elif of.fields_by_name[name].message_type:
            getattr(made, name).CopyFrom(value)
        else:
            setattr(made, name, value)
    return made


def values(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type:
        one = messages(field.message_type, depth - 1)
    elif field.enum_type:
        one = st.integers(-1, 9)
    else:
        one = {
            FieldDescriptor.CPPTYPE_STRING: st.binary(max_size=50) if field.type == field.TYPE_BYTES else TEXT,
            FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
        }.get(field.cpp_type, NUMBERS)
    return st.lists(one, max_size=3) if field.is_repeated else one


def requests(method: MethodDescriptor) -> st.SearchStrategy[list[bytes]]:
    """What may be sent: messages of the method, or bytes."""
    ours = messages(method.input_type).map(lambda message: message.SerializeToString())
    count = 4 if method.client_streaming else 1
    return st.lists(ours | ours | ours | st.binary(max_size=60), min_size=0 if count > 1 else 1, max_size=count)


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[grpc.Channel]:
    """To a daemon of its own, as a process, with a vibespace `demo`."""
    home: Path = tmp_path_factory.mktemp("fuzz") / "home"
    with daemon(home), grpc.insecure_channel(f"unix:{State(home).socket}") as made:
        SystemServiceStub(made).Initialize(system_pb2.InitializeRequest(engine=FAKE_ENGINE, image="i"))
        codex = agents_pb2.AgentSettings(type=agents_pb2.AGENT_TYPE_CODEX)
        request = vibespaces_pb2.CreateVibespaceRequest(vibespace_id="demo", agent=codex)
        send(made, "vibespace.v1.VibespaceService.CreateVibespace", [request.SerializeToString()])
        yield made


def send(channel: grpc.Channel, method: str, parts: list[bytes]) -> None:
    """Send these and read what comes; what never ends is read for a little while."""
    service, _, name = method.rpartition(".")
    begin: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(f"/{service}/{name}")
    for _ in begin(iter(parts), timeout=FOLLOWED if ends_late(name) else 30):
        pass


FOLLOWED = 0.05


def ends_late(name: str) -> bool:
    return name in ("Watch", "StreamEvents")


def refusal(channel: grpc.Channel, method: str, parts: list[bytes]) -> Error | None:
    """How the call was refused, if it was."""
    try:
        send(channel, method, parts)
    except grpc.RpcError as e:
        return from_call(e)
    return None


@pytest.mark.parametrize("method", METHODS)
def test_a_method_answers(channel: grpc.Channel, method: str) -> None:
    """An answer, or a refusal with a reason; never UNKNOWN, and never a defect."""

    @settings(
        max_examples=20 if ends_late(METHODS[method].name) else 120,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(parts=requests(METHODS[method]))
    def run(parts: list[bytes]) -> None:
        error = refusal(channel, method, parts)
        if error is None or (ends_late(METHODS[method].name) and isinstance(error, DeadlineExceeded)):
            return
        assert not isinstance(error, Internal), error.reason
        assert not error.reason.startswith(("GRPC_", LOST)), error.reason

    run()
