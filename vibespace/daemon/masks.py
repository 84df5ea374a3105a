"""Which fields an update is about (AIP-134)."""

from __future__ import annotations

from google.protobuf.field_mask_pb2 import FieldMask

from vibespace.errors import InvalidArgument


def fields(mask: FieldMask, within: str) -> list[str]:
    """Names of the fields of `within` that are to be taken. Raises InvalidArgument UPDATE_MASK_MISSING."""
    if not mask.paths:
        raise InvalidArgument("UPDATE_MASK_MISSING", "Say which fields to change.", field="update_mask")
    return [path.removeprefix(f"{within}.") for path in dict.fromkeys(mask.paths)]
