"""The daemon, with the moment of every commit noted in `commits` of the state directory: one `position seconds` a line.

The seconds are time.monotonic(), which all processes of a Linux machine share.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from time import monotonic

from eventsourcing.persistence import StoredEvent

from vibespace.app.log import Log
from vibespace.app.recorder import Recorded
from vibespace.daemon import __main__ as daemon
from vibespace.state import state


class NotingLog(Log):
    def append(self, events: Sequence[StoredEvent]) -> list[Recorded]:
        recorded = super().append(events)
        committed = monotonic()
        with (state().home / "commits").open("a") as notes:
            notes.writelines(f"{one.position} {committed}\n" for one in recorded)
        return recorded


if __name__ == "__main__":
    vars(daemon)["Log"] = NotingLog
    sys.exit(daemon.main())
