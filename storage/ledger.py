"""The ledger: what every request cost, and what probing found. Each attempt is one row of it, failed ones too."""

from __future__ import annotations

import json
from typing import Any

from storage.db import Database

_SUMS = """
    count(*) AS requests, count(*) FILTER (WHERE error IS NOT NULL) AS failed,
    sum(input_tokens)::BIGINT AS input_tokens, sum(output_tokens)::BIGINT AS output_tokens,
    coalesce(sum(cost), 0) AS cost_usd,
    count(*) FILTER (WHERE cost IS NULL) AS unknown_cost
"""


class Ledger:
    """Table family of money."""

    def __init__(self, db: Database) -> None:
        """On an open database."""
        self._db = db

    def totals(self, project_id: str) -> list[dict[str, Any]]:
        """Requests, tokens, US dollars by teacher and purpose; `unknown_cost` counts requests without a known cost."""
        return self._db.remembered(
            f"SELECT teacher, purpose, {_SUMS} FROM attempts WHERE project_id = ? GROUP BY teacher, purpose "
            "ORDER BY teacher, purpose",
            [project_id],
        )

    def by_job(self, project_id: str) -> list[dict[str, Any]]:
        """The same by job, newest first."""
        return self._db.rows(
            f"SELECT j.kind, j.id AS job, j.status, {_SUMS} FROM attempts a JOIN jobs j ON j.id = a.job_id "
            "WHERE a.project_id = ? GROUP BY j.kind, j.id, j.status, j.number ORDER BY j.number DESC",
            [project_id],
        )

    def measured(self, project_id: str, teacher: str, prompt_hash: str) -> dict[str, Any]:
        """Replies of a teacher to a prompt with known tokens: how many, their tokens and seconds on average.

        Keys: n, input_tokens, output_tokens, p95_output_tokens, latency_s.
        """
        row = self._db.row(
            "SELECT count(*) AS n, avg(input_tokens) AS input_tokens, avg(output_tokens) AS output_tokens, "
            "quantile_cont(output_tokens, 0.95) AS p95_output_tokens, avg(latency_s) AS latency_s FROM attempts "
            "WHERE project_id = ? AND teacher = ? AND prompt_hash = ? AND output_tokens IS NOT NULL",
            [project_id, teacher, prompt_hash],
        )
        return row or {"n": 0}

    def capabilities(self, provider: str, endpoint: str, model: str) -> dict[str, Any] | None:
        """What probing found, if it was done."""
        row = self._db.row(
            "SELECT found FROM capabilities WHERE provider = ? AND endpoint = ? AND model = ?",
            [provider, endpoint, model],
        )
        return None if row is None else dict(json.loads(row["found"]))
