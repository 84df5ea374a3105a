"""The runner in one file, to be sent inside: `/usr/bin/python3` runs it there."""

from __future__ import annotations

import io
from importlib import resources

_MAIN = "import sys\nfrom vibespace.runner.__main__ import main\nsys.exit(main(sys.argv[1:]))\n"


def packed() -> bytes:
    """A zip, the same bytes wherever it is made of the same sources, so that a digest of it says which runner it is.

    It is not compressed: what reads it inside stays in memory, and would need a decompressor there.
    """
    from zipfile import ZipFile, ZipInfo  # noqa: PLC0415 (half a megabyte, which a daemon at rest spares)

    files = [file for file in resources.files("vibespace.runner").iterdir() if file.name.endswith(".py")]
    sources = {f"vibespace/runner/{file.name}": file.read_bytes() for file in files}
    # Without the package one that is installed where it runs would be taken.
    content = {"__main__.py": _MAIN.encode(), "vibespace/__init__.py": b"", **sources}
    written = io.BytesIO()
    with ZipFile(written, "w") as file:
        for name in sorted(content):
            file.writestr(ZipInfo(name), content[name])  # its date is 1980, whoever makes it
    return written.getvalue()
