"""What a pilot left: the queries that were asked, what came of each request, the samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.values import Sample, Split
from storage.db import Database

_CHOSEN = """
    WITH every AS (
        SELECT q.id, q.position, g.label AS gold, count(*) OVER () AS total,
            row_number() OVER (ORDER BY q.position) - 1 AS place,
            q.id IN (SELECT query_id FROM attempts WHERE project_id = $1 AND purpose = 'label') AS asked
        FROM queries q LEFT JOIN golds g ON g.project_id = q.project_id AND g.query_id = q.id
        WHERE q.project_id = $1 AND q.split = 'distill'
    ), placed AS (
        SELECT *, (place + 1) * $2 // total > place * $2 // total AS own, count(*) OVER (PARTITION BY asked) AS among,
            row_number() OVER (PARTITION BY asked ORDER BY position) - 1 AS nth FROM every
    )
    SELECT id, gold FROM placed WHERE asked AND CASE
        WHEN 2 * (SELECT count(*) FROM placed WHERE asked AND own) >= least($2, total) THEN own
        ELSE (nth + 1) * $2 // among > nth * $2 // among END
    ORDER BY position
"""
"""Those that a pilot takes, where at least half of them were asked; else as many evenly out of all that were."""


class Pilots:
    """Questions about the queries of a project that teachers were asked first."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def queries(self, project_id: str, most: int) -> list[dict[str, Any]]:
        """Of the queries to distill from that some teacher was asked so many at most, evenly out of all.

        Keys: id, gold (None: there is none), by position.
        """
        return self._db.remembered(_CHOSEN, [project_id, most])

    def outcomes(self, project_id: str, query_ids: Sequence[str]) -> list[dict[str, Any]]:
        """What came of the samples that teachers were asked of some queries, one a teacher, query and draw.

        Keys: teacher, query_id, read (whether some attempt gave a sample), error (of the newest attempt; None), cost
        (US dollars, of all its attempts; None: of some it is not known).
        """
        return self._db.rows(
            """
            SELECT teacher, query_id, bool_or(error IS NULL) AS read, arg_max(error, "at") AS error,
                CASE WHEN count(*) FILTER (WHERE cost IS NULL) = 0 THEN sum(cost)::DOUBLE END AS cost
            FROM attempts WHERE project_id = ? AND purpose = 'label'
                AND query_id IN (SELECT unnest(?::VARCHAR[]))
            GROUP BY teacher, query_id, coalesce(draw, 0) ORDER BY teacher, query_id, coalesce(draw, 0)
            """,
            [project_id, list(query_ids)],
        )

    def samples(self, project_id: str, query_ids: Sequence[str]) -> list[Sample]:
        """The samples of some queries, by id, with the evidence of each."""
        rows = self._db.rows(
            """
            SELECT s.id, s.query_id, s.teacher, s.rationale, s.label, s.label_key, s.factors, s.draw, s.split,
                coalesce(e.known, MAP {}) AS evidence
            FROM samples s LEFT JOIN (
                SELECT sample_id, map(list(name), list(value)) AS known FROM evidence WHERE project_id = $1
                GROUP BY sample_id
            ) e ON e.sample_id = s.id
            WHERE s.project_id = $1 AND s.split = 'distill' AND s.query_id IN (SELECT unnest($2::VARCHAR[]))
            ORDER BY s.id
            """,
            [project_id, list(query_ids)],
        )
        read = {"factors": dict, "evidence": dict, "split": Split}
        return [Sample(**{**row, **{name: of(row[name]) for name, of in read.items()}}) for row in rows]

    def count_answered(self, project_id: str) -> int:
        """How many queries to distill from have a sample."""
        sql = "SELECT count(DISTINCT query_id) AS n FROM samples WHERE project_id = ? AND split = 'distill'"
        return int(self._db.remembered(sql, [project_id])[0]["n"])
