"""Where projects stand, counted in one question for a list of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from storage.db import Database

_FACTS = (
    ("queries", "count(*)", "NULL", "queries"),
    ("samples", "count(*)", "NULL", "samples"),
    ("teachers", "count(*)", "NULL", "teachers"),
    ("selections", "count(*) FILTER (WHERE NOT coalesce(of_plan, FALSE))", "max(created_at)", "selections"),
    ("runs", "count(*)", "max(created_at)", "runs"),
    ("jobs", "count(*) FILTER (WHERE status IN ('queued', 'running'))", "max(created_at)", "jobs"),
    (
        "exports",
        "count(*) FILTER (WHERE status = 'finished' AND kind IN ('export', 'merge', 'push'))",
        "NULL",
        "jobs",
    ),
    ("unknown_cost", "count(*) FILTER (WHERE cost IS NULL)", 'make_timestamp((max("at") * 1e6)::BIGINT)', "attempts"),
    ("reported", "count(DISTINCT run_id)", "NULL", "(report_values v JOIN runs r ON r.id = v.run_id)"),
    ("journal", "0", 'make_timestamp((max("at") * 1e6)::BIGINT)', "(events e JOIN jobs j ON j.id = e.job_id)"),
    *((table, "0", "max(created_at)", table) for table in ("overrules", "rationales", "votes", "project_prompts")),
)
"""Name, number and time of what a project holds, and the table that they are read from."""
_UNION = " UNION ALL ".join(
    f"SELECT project_id, '{name}' AS what, {number} AS n, {time} AS changed FROM {table} GROUP BY project_id"
    for name, number, time, table in _FACTS
)
_COUNTS = ", ".join(
    f"coalesce(max(f.n) FILTER (WHERE f.what = '{name}'), 0) AS {name}"
    for name in ("queries", "samples", "teachers", "selections", "runs", "reported", "jobs", "exports", "unknown_cost")
)
_SQL = (
    f"SELECT p.id, p.name, coalesce(p.archived, FALSE) AS archived, {_COUNTS}, any_value(r.status) AS last_run, "
    "coalesce(any_value(a.cost), 0) AS cost, greatest(p.created_at, max(f.changed)) AS changed FROM projects p "
    f"LEFT JOIN ({_UNION}) f ON f.project_id = p.id "
    "LEFT JOIN (SELECT project_id, arg_max(status, created_at) AS status FROM runs GROUP BY project_id) r "
    "ON r.project_id = p.id "
    "LEFT JOIN (SELECT project_id, sum(cost) AS cost FROM attempts GROUP BY project_id) a ON a.project_id = p.id "
    "WHERE {where} GROUP BY p.id, p.name, p.archived, p.created_at ORDER BY {order}"
)
_WHERE = "coalesce(p.archived, FALSE) = ? AND contains(lower(p.name), lower(?))"


@dataclass(frozen=True)
class Standing:
    """What a project holds and when it last changed (UTC, without a zone).

    `last_run` is the status of the newest run, None where there is none; `reported` counts runs with a report; `cost`
    is in US dollars that are known to be spent, beside `unknown_cost` requests of which nobody knows the price.
    """

    id: str
    name: str
    archived: bool
    queries: int
    samples: int
    teachers: int
    selections: int
    runs: int
    last_run: str | None
    reported: int
    jobs: int
    exports: int
    cost: Decimal
    unknown_cost: int
    changed: datetime


class Standings:
    """Reads over all table families of projects."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def one(self, project_id: str) -> Standing:
        """Where one project stands."""
        return self._read("p.id = ?", [project_id], "p.created_at")[0]

    def oldest_first(self, archived: bool) -> list[Standing]:
        """All projects that are archived, or all others."""
        return self._read(_WHERE, [archived, ""], "p.created_at")

    def page(self, archived: bool, search: str, size: int, begin: int) -> list[Standing]:
        """Those whose names hold a text, what changed last first, from a place on."""
        order = f"changed DESC, p.name LIMIT {int(size)} OFFSET {int(begin)}"
        return self._read(_WHERE, [archived, search], order)

    def count(self, archived: bool, search: str = "") -> int:
        """How many there are."""
        rows = self._db.remembered(f"SELECT count(*) AS n FROM projects p WHERE {_WHERE}", [archived, search])
        return int(rows[0]["n"])

    def _read(self, where: str, values: list[Any], order: str) -> list[Standing]:
        rows = self._db.remembered(_SQL.format(where=where, order=order), values)
        return [Standing(**row) for row in rows]
