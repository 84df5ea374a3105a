"""What every method of the API must say of itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.protobuf.descriptor import MethodDescriptor

from vibespace.v1 import agents_pb2, credentials_pb2, cursor_pb2, events_pb2, options_pb2, system_pb2, vibespaces_pb2

FILES = [agents_pb2, credentials_pb2, events_pb2, system_pb2, vibespaces_pb2]
READS = (options_pb2.ACCESS_READ,)


def methods() -> Iterator[MethodDescriptor]:
    for file in FILES:
        for service in file.DESCRIPTOR.services_by_name.values():
            yield from service.methods


METHODS = list(methods())
MUTATIONS = [
    method
    for method in METHODS
    if method.GetOptions().Extensions[options_pb2.access] not in READS
    and not (method.client_streaming or method.server_streaming)
]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_home_and_access(method: MethodDescriptor) -> None:
    """Every method says where it is answered in remote mode, and what its caller must be allowed."""
    options = method.GetOptions()
    assert options.Extensions[options_pb2.home] != options_pb2.HOME_UNSPECIFIED
    assert options.Extensions[options_pb2.access] != options_pb2.ACCESS_UNSPECIFIED


@pytest.mark.parametrize("method", MUTATIONS, ids=lambda method: method.full_name)
def test_mutations_can_be_repeated(method: MethodDescriptor) -> None:
    """Every mutation takes a request_id and answers with a cursor."""
    assert "request_id" in method.input_type.fields_by_name
    assert method.output_type.fields_by_name["cursor"].message_type == cursor_pb2.Cursor.DESCRIPTOR


def test_mutations_are_found() -> None:
    """The list above is the API's, not empty."""
    assert {"CreateVibespace", "DeleteAgent", "Rest"} <= {method.name for method in MUTATIONS}
