"""What was true at a moment long ago, from the events of what was there then: most of a long log is about the gone.

It is the fold of the log but for what only the present needs: requests, what is recently gone, data that was kept.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_THERE = """
WITH gone AS MATERIALIZED (
  SELECT originator_id FROM stored_events WHERE topic = 'vibespace.deleted' AND position <= :until
)
SELECT originator_id FROM stored_events WHERE topic = 'host.created'
UNION ALL
SELECT originator_id FROM stored_events
WHERE topic = 'vibespace.created' AND position <= :until AND originator_id NOT IN gone
UNION ALL
SELECT originator_id FROM stored_events
WHERE topic = 'agent.created' AND position <= :until
AND replace(json_extract(CAST(state AS TEXT), '$.vibespace_uid'), '-', '') NOT IN gone
"""
"""The machine, the vibespaces that were there, and all agents they ever had: one that went was a change to them too."""

_EVENTS = """
SELECT stored_events.* FROM there CROSS JOIN stored_events USING (originator_id)
WHERE position <= :until ORDER BY position
"""


def events(log: Path, until: int) -> Iterator[Any]:
    """The rows of the log at `log`, up to position `until`, that make up what was there then, in order."""
    connection = sqlite3.connect(f"{log.absolute().as_uri()}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("PRAGMA temp_store = MEMORY")  # the disk may be full
        connection.execute(f"CREATE TEMP TABLE there AS {_THERE}", {"until": until})
        yield from connection.execute(_EVENTS, {"until": until})
    finally:
        connection.close()
