"""What may name an image."""

from __future__ import annotations

import re

from vibespace.errors import InvalidArgument

_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,299}")


def check_reference(text: str, field: str) -> str:
    """`text`, if it can be the name or the id of an image. Raises InvalidArgument IMAGE_INVALID."""
    if not _REFERENCE.fullmatch(text) or ".." in text or "//" in text:
        raise InvalidArgument(
            "IMAGE_INVALID", "That is not the name of an image, such as localhost/tools:latest.", field=field
        )
    return text
