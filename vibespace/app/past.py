"""What was true at a moment long ago, from the events of what was there then: most of a long log is about the gone.

It is the fold of the log but for what only the present needs: requests, what is recently gone, data that was kept.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

_THERE = """
WITH gone AS MATERIALIZED (
  SELECT originator_id FROM log.stored_events WHERE topic = 'vibespace.deleted' AND position <= :until
)
SELECT substr(json_extract(CAST(state AS TEXT), '$.subject'), 12) AS vibespace, position AS since
FROM log.stored_events
WHERE topic = 'vibespace.created' AND position <= :until AND originator_id NOT IN gone
"""
"""Names of the vibespaces that were there, and where each began: what had the name before is another. A subject is
`vibespaces/NAME`; NAME starts at its twelfth character.
"""

_EVENTS = """
SELECT * FROM log.stored_events WHERE position IN (
  SELECT position FROM log.stored_events WHERE topic > 'host.' AND topic < 'host/' AND position <= :until
  UNION ALL
  SELECT position FROM there CROSS JOIN places USING (vibespace) WHERE position BETWEEN since AND :until
) ORDER BY position
"""
"""Of the machine and of the vibespaces with all agents they ever had: one that went was a change to them too."""


def events(index: sqlite3.Connection, until: int) -> Iterator[Any]:
    """The rows of the log, up to position `until`, that make up what was there then, in order.

    `index` is filled up to there. Raises sqlite3.Error.
    """
    index.row_factory = sqlite3.Row
    index.execute("PRAGMA temp_store = MEMORY")  # the disk may be full
    index.execute(f"CREATE TEMP TABLE there AS {_THERE}", {"until": until})
    yield from index.execute(_EVENTS, {"until": until})
