"""The one mapper between our errors and google.rpc.Status, both directions (AIP-193)."""

from __future__ import annotations

from typing import Any, Protocol

import grpc
from google.rpc import code_pb2, error_details_pb2, status_pb2

from vibespace import errors

DOMAIN = "vibespace"
"""ErrorInfo.domain of every error of ours; a reason is unique within it."""

_HINT = "hint"
"""ErrorInfo.metadata key of the sentence that says what to do next."""

_DETAILS = "grpc-status-details-bin"
"""Trailing metadata key that carries the serialized Status (gRPC's richer error model)."""

_LONGEST = 1000
"""Most characters of a text in a status: it travels in trailers, of which gRPC takes 16 KiB in all."""

_CODES: dict[type[errors.Error], int] = {
    errors.InvalidArgument: code_pb2.INVALID_ARGUMENT,
    errors.NotFound: code_pb2.NOT_FOUND,
    errors.AlreadyExists: code_pb2.ALREADY_EXISTS,
    errors.PermissionDenied: code_pb2.PERMISSION_DENIED,
    errors.FailedPrecondition: code_pb2.FAILED_PRECONDITION,
    errors.Aborted: code_pb2.ABORTED,
    errors.Unavailable: code_pb2.UNAVAILABLE,
    errors.Exhausted: code_pb2.RESOURCE_EXHAUSTED,
    errors.DeadlineExceeded: code_pb2.DEADLINE_EXCEEDED,
    errors.Cancelled: code_pb2.CANCELLED,
    errors.Internal: code_pb2.INTERNAL,
}
_CLASSES = {code: kind for kind, code in _CODES.items()}


def to_status(error: errors.Error) -> status_pb2.Status:
    """`error` as it goes over the wire: ErrorInfo always, BadRequest when a field is at fault."""
    message = error.message[:_LONGEST]
    status = status_pb2.Status(code=_CODES[type(error)], message=message)
    hint = {_HINT: error.hint} if error.hint else {}
    metadata = {key: value[:_LONGEST] for key, value in {**error.metadata, **hint}.items()}
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)
    status.details.add().Pack(info)
    if error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=error.field, description=message, reason=error.reason
        )
        status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    return status


def trailers(status: status_pb2.Status) -> tuple[tuple[str, bytes], ...]:
    """The trailing metadata that carries `status`."""
    return ((_DETAILS, status.SerializeToString()),)


class Ended(Protocol):
    """What is asked of a call that failed; the asynchronous ones have it too, and are no grpc.Call."""

    def trailing_metadata(self) -> Any: ...

    def code(self) -> grpc.StatusCode: ...

    def details(self) -> str | None: ...


def from_call(call: Ended) -> errors.Error:
    """The error that ended `call`: ours as it was raised, or gRPC's own under the reason GRPC_<CODE>."""
    for key, value in call.trailing_metadata() or ():
        if key == _DETAILS and isinstance(value, bytes):
            return from_status(status_pb2.Status.FromString(value))
    code = call.code()
    number, name = code.value[0], code.name
    return _CLASSES.get(number, errors.Internal)(f"GRPC_{name}", call.details() or name)


def from_status(status: status_pb2.Status) -> errors.Error:
    """The error that `status` was made from."""
    kind = _CLASSES.get(status.code, errors.Internal)
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        _ = detail.Unpack(info) or detail.Unpack(bad)
    metadata = dict(info.metadata)
    hint = metadata.pop(_HINT, "")
    field = bad.field_violations[0].field if bad.field_violations else ""
    error = kind(info.reason or "UNKNOWN", status.message, field=field, hint=hint)
    error.metadata.update(metadata)
    return error
