"""What was true at a moment long ago, from the events of what was there then: most of a long log is about the gone.

It is the fold of the log but for what only the present needs: requests, what is recently gone, data that was kept.
"""

from __future__ import annotations

import sqlite3

from vibespace.app import places

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

_OF_THE_MACHINE = """
SELECT position FROM log.stored_events WHERE topic > 'host.' AND topic < 'host/' AND position <= :until
UNION
SELECT position FROM log.stored_events WHERE topic > 'credential.' AND topic < 'credential/' AND position <= :until
"""
"""Credentials are few, and most are for all vibespaces."""

_SAID = "transcript."
"""Most events of a long history, and nothing that is there."""


def positions(index: sqlite3.Connection, until: int) -> list[int]:
    """Of all events, up to position `until`, that make up what was there then, in order.

    They are those of the machine, of credentials, and of the vibespaces with all agents they ever had: one that went
    was a change to them too. `index` is filled up to there. Raises sqlite3.Error.
    """
    found = [position for (position,) in index.execute(_OF_THE_MACHINE, {"until": until})]
    for vibespace, since in index.execute(_THERE, {"until": until}).fetchall():
        its = places.of(index, vibespace, since - 1, until)
        found += (position for position, topic in its if not topic.startswith(_SAID))
    return sorted(set(found))
