"""The ledger: what every request cost, and what probing found. Each attempt is one row of it, failed ones too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.values import BILLED, Purpose
from storage.db import Database

_SUMS = """
    count(*) AS requests, count(*) FILTER (WHERE error IS NOT NULL) AS failed,
    sum(input_tokens)::BIGINT AS input_tokens, sum(output_tokens)::BIGINT AS output_tokens,
    coalesce(sum(cost), 0) AS cost_usd,
    count(*) FILTER (WHERE cost IS NULL) AS unknown_cost
"""
_SIGNS = r"[A-Za-z0-9]+|[^A-Za-z0-9\s]"
"""Words and signs, which stand for tokens where nobody counted any."""
_READ = (
    "len(regexp_extract_all(concat_ws(' ', p.text, q.text, CASE WHEN a.purpose IN ('compress', 'grade') "
    "THEN concat_ws(' ', s.rationale, (SELECT any_value(w.text) FROM answers w JOIN steps t ON t.run_id = w.run_id "
    "AND t.name = w.step AND t.kind = 'answer' WHERE w.run_id = j.run_id AND w.query_id = a.query_id)) END), $3))"
)
_BILLED_BEFORE = (
    f"evidence e ON e.project_id = a.project_id AND e.sample_id = a.sample_id AND e.name = '{BILLED}' "
    "AND a.error IS NULL"
)
"""What a recorded answer had cost before it was imported; no part of what this workspace spends."""
_UNBILLED = (
    f"SELECT a.teacher, a.purpose, count(*) AS n, sum(coalesce(a.input_tokens, {_READ}))::DOUBLE AS read, "
    "sum(coalesce(a.output_tokens, len(regexp_extract_all(coalesce(a.raw, ''), $3))))::DOUBLE AS written "
    "FROM attempts a "
    "JOIN queries q ON q.project_id = a.project_id AND q.id = a.query_id LEFT JOIN prompts p ON p.hash = a.prompt_hash "
    "LEFT JOIN samples s ON s.project_id = a.project_id AND s.id = a.sample_id LEFT JOIN jobs j ON j.id = a.job_id "
    f"LEFT JOIN {_BILLED_BEFORE} "
    "WHERE a.project_id = $1 AND list_contains($4, a.teacher) AND a.cost = 0 AND e.value IS NULL "
    "AND (a.output_tokens IS NOT NULL OR NOT list_contains($5, a.teacher)) "
    "AND (a.purpose IN ('label', 'grade', 'evaluate') OR j.run_id = $2) GROUP BY ALL"
)


class Ledger:
    """Table family of money."""

    def __init__(self, db: Database) -> None:
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

    def by_project(self, only: str | None = None) -> list[dict[str, Any]]:
        """What teachers cost by project, teacher and purpose, over all projects or one.

        Keys: project (its name), teacher, purpose, requests, failed, tokens_in, tokens_out, cost, unknown (requests
        without a known cost).
        """
        return self._db.remembered(
            "SELECT p.name AS project, a.teacher, a.purpose, count(*) AS requests, "
            "count(*) FILTER (WHERE a.error IS NOT NULL) AS failed, sum(a.input_tokens)::BIGINT AS tokens_in, "
            "sum(a.output_tokens)::BIGINT AS tokens_out, coalesce(sum(a.cost), 0) AS cost, "
            "count(*) FILTER (WHERE a.cost IS NULL) AS unknown FROM attempts a JOIN projects p ON p.id = a.project_id "
            "WHERE ? IS NULL OR a.project_id = ? GROUP BY ALL ORDER BY ALL",
            [only, only],
        )

    def by_day(self, only: str | None = None) -> list[dict[str, Any]]:
        """What teachers cost by day (UTC), project and teacher, over all projects or one, oldest first.

        Keys: day, project (its name), teacher, cost (US dollars, of those requests whose cost is known), requests,
        unknown (requests without a known cost).
        """
        return self._db.remembered(
            'SELECT make_timestamp((a."at" * 1000000)::BIGINT)::DATE AS day, p.name AS project, a.teacher, '
            "coalesce(sum(a.cost), 0)::DOUBLE AS cost, count(*) AS requests, "
            "count(*) FILTER (WHERE a.cost IS NULL) AS unknown FROM attempts a JOIN projects p ON p.id = a.project_id "
            'WHERE a."at" IS NOT NULL AND (? IS NULL OR a.project_id = ?) GROUP BY ALL ORDER BY ALL',
            [only, only],
        )

    def of_jobs(self, job_ids: Sequence[str]) -> list[dict[str, Any]]:
        """What some jobs asked their teachers for, by teacher.

        Keys: teacher, done (samples asked for, however often), failed (those of them that no good reply followed),
        requests, input_tokens, output_tokens, cost (US dollars, of those requests whose cost is known), unknown
        (requests without a known cost), first and last (Unix times).
        """
        done = "count(DISTINCT sample_id) FILTER (WHERE purpose IN ('label', 'evaluate', 'grade'))"
        good = "count(DISTINCT sample_id) FILTER (WHERE purpose IN ('label', 'evaluate', 'grade') AND error IS NULL)"
        return self._db.remembered(
            f"SELECT teacher, {done} AS done, {done} - {good} AS failed, count(*) AS requests, "
            "sum(input_tokens)::BIGINT AS input_tokens, sum(output_tokens)::BIGINT AS output_tokens, "
            "coalesce(sum(cost), 0) AS cost, count(*) FILTER (WHERE cost IS NULL) AS unknown, "
            'min("at") AS first, max("at") AS last FROM attempts WHERE list_contains(?, job_id) '
            "GROUP BY teacher ORDER BY teacher",
            [list(job_ids)],
        )

    def evaluations(self, project_id: str) -> list[dict[str, Any]]:
        """What a good answer to a held-out query cost, by teacher.

        Keys: teacher, cost and tokens (billed output) an answer on average, unknown (answers without a known cost);
        before (recorded answers whose cost was known when they were imported; it stands in `cost`) and before_usd.
        """
        return self._db.rows(
            "SELECT a.teacher, avg(coalesce(e.value, a.cost))::DOUBLE AS cost, avg(a.output_tokens)::DOUBLE AS tokens, "
            "count(*) FILTER (WHERE a.cost IS NULL AND e.value IS NULL) AS unknown, count(e.value) AS before, "
            "coalesce(sum(e.value), 0)::DOUBLE AS before_usd "
            f"FROM attempts a LEFT JOIN {_BILLED_BEFORE} "
            "WHERE a.project_id = ? AND a.purpose = ? AND a.error IS NULL GROUP BY a.teacher",
            [project_id, Purpose.EVALUATE.value],
        )

    def answer_costs(self, project_id: str) -> dict[tuple[str, str], float | None]:
        """What good answers to held-out queries cost in US dollars, by teacher and query; None: not known."""
        rows = self._db.rows(
            "SELECT a.teacher, a.query_id, CASE WHEN count(*) FILTER (WHERE coalesce(e.value, a.cost) IS NULL) > 0 "
            "THEN NULL ELSE avg(coalesce(e.value, a.cost))::DOUBLE END AS cost "
            f"FROM attempts a LEFT JOIN {_BILLED_BEFORE} "
            "WHERE a.project_id = ? AND a.purpose = ? AND a.error IS NULL GROUP BY a.teacher, a.query_id",
            [project_id, Purpose.EVALUATE.value],
        )
        return {(row["teacher"], row["query_id"]): row["cost"] for row in rows}

    def sample_costs(self, project_id: str) -> NDArray[np.float64]:
        """US dollars of each distillation sample in the order of their ids, (N,), NaN where some of it is not known.

        Failed requests for it count too; of recorded answers what they had cost before they were imported.
        """
        table = self._db.arrow(
            "SELECT CASE WHEN e.value IS NOT NULL THEN e.value WHEN c.unknown = 0 THEN c.cost END AS cost "
            "FROM samples s "
            "LEFT JOIN (SELECT sample_id, sum(cost)::DOUBLE AS cost, count(*) FILTER (WHERE cost IS NULL) AS unknown "
            "FROM attempts WHERE project_id = $1 AND purpose = $2 GROUP BY sample_id) c ON c.sample_id = s.id "
            f"LEFT JOIN evidence e ON e.project_id = $1 AND e.sample_id = s.id AND e.name = '{BILLED}' "
            "WHERE s.project_id = $1 AND s.split = 'distill' ORDER BY s.id",
            [project_id, Purpose.LABEL.value],
        )
        return np.asarray(table["cost"].to_numpy(), dtype=np.float64)

    def compressed_for(self, project_id: str, run_id: str) -> float | None:
        """US dollars that a run's requests to teachers cost, labels apart; None where some of it is not known."""
        row = self._db.row(
            "SELECT CASE WHEN count(*) FILTER (WHERE a.cost IS NULL) = 0 "
            "THEN coalesce(sum(a.cost), 0)::DOUBLE END AS cost "
            "FROM attempts a JOIN jobs j ON j.id = a.job_id WHERE a.project_id = ? AND j.run_id = ? "
            "AND a.purpose = ?",
            [project_id, run_id, Purpose.COMPRESS.value],
        )
        return row["cost"] if row else 0.0

    def asked_for(self, project_id: str, run_id: str) -> tuple[float, int]:
        """What the labels, grades and compressions cost that a run was made from, and how many of unknown cost."""
        row = self._db.row(
            "SELECT coalesce(sum(cost), 0)::DOUBLE AS cost, count(*) FILTER (WHERE a.cost IS NULL) AS unknown "
            "FROM attempts a LEFT JOIN jobs j ON j.id = a.job_id WHERE a.project_id = ? "
            "AND (a.purpose IN ('label', 'grade') OR j.run_id = ?)",
            [project_id, run_id],
        )
        return (float(row["cost"]), int(row["unknown"])) if row else (0.0, 0)

    def unbilled(
        self, project_id: str, run_id: str, teachers: Sequence[str], counted: Sequence[str] = ()
    ) -> list[dict[str, Any]]:
        """What some teachers read and wrote for nothing, for the labels, grades, evaluations and compressions of a run.

        Of the `counted` ones only answers whose tokens are known; those whose cost was known when they were imported
        are left out. Keys: teacher, purpose, n (requests), read, written (tokens where they are known, else words and
        signs of the stored texts, in all).
        """
        return self._db.remembered(_UNBILLED, [project_id, run_id, _SIGNS, list(teachers), list(counted)])

    def latencies(self, project_id: str) -> dict[str, float]:
        """Seconds that a good label or compression took on average, by teacher."""
        rows = self._db.remembered(
            "SELECT teacher, avg(latency_s)::DOUBLE AS s FROM attempts WHERE project_id = ? AND latency_s IS NOT NULL "
            "AND purpose IN (?, ?) AND error IS NULL GROUP BY teacher",
            [project_id, Purpose.LABEL.value, Purpose.COMPRESS.value],
        )
        return {row["teacher"]: row["s"] for row in rows}

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
