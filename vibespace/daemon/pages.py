"""Pages of a list (AIP-158): a token is the last key of the page before, so that it survives changes and restarts."""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode
from bisect import bisect_right
from collections.abc import Sequence

from vibespace.errors import InvalidArgument


def cut(keys: Sequence[str], size: int, token: str) -> tuple[Sequence[str], str]:
    """Of sorted `keys`, the page after `token` and the token of the next one. Size 0 means all."""
    if size < 0:
        raise InvalidArgument("PAGE_SIZE_INVALID", "page_size cannot be negative.", field="page_size")
    start = bisect_right(keys, _read(token)) if token else 0
    page = keys[start : start + size] if size else keys[start:]
    more = page and start + len(page) < len(keys)
    return page, urlsafe_b64encode(page[-1].encode()).decode() if more else ""


def _read(token: str) -> str:
    try:
        return b64decode(token.encode("ascii"), altchars=b"-_", validate=True).decode()
    except ValueError as e:
        raise InvalidArgument("PAGE_TOKEN_INVALID", "That page_token is not one of ours.", field="page_token") from e
