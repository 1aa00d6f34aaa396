"""Reports of runs: the table and the paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import pyarrow as pa

from engine.values.report import COST, EVERY_REPORT, SECONDS, Difference, ReportRow, Value
from storage.db import Database, Row, Transaction


class Reports:
    """Table family of reports."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def put(self, run_id: str, rows: Sequence[ReportRow], differences: Sequence[Difference]) -> None:
        """Store a run's report in place of an earlier one."""
        with self._db.write() as writer:
            put_report(writer, run_id, rows, differences)

    def rows(self, run_id: str) -> list[ReportRow]:
        """The table of a run in its order."""
        stored = self._db.rows(
            "SELECT * EXCLUDE (run_id) FROM report_values WHERE run_id = ? ORDER BY position, measure", [run_id]
        )
        grouped: dict[tuple[int, str, str], list[Row]] = {}
        for row in stored:
            grouped.setdefault((row["position"], row["name"], row["kind"]), []).append(row)
        rows = [_row(values) for values in grouped.values()]
        return [row for row in rows if row.values.keys() >= _NEEDED]

    def newest_run(self, project_id: str) -> str | None:
        """The newest run of a project that has a report; None where none has."""
        # One question for all projects: some pages look for the newest report of each of them.
        rows = self._db.remembered(
            "SELECT u.project_id, max_by(u.id, u.created_at) AS run_id FROM runs u "
            "WHERE u.id IN (SELECT run_id FROM report_values) GROUP BY u.project_id"
        )
        return next((str(row["run_id"]) for row in rows if row["project_id"] == project_id), None)

    def differences(self, run_id: str) -> list[Difference]:
        """The paired differences of a run."""
        rows = self._db.rows("SELECT * EXCLUDE (run_id) FROM differences WHERE run_id = ? ORDER BY ALL", [run_id])
        return [Difference(**row) for row in rows]


def put_report(writer: Transaction, run_id: str, rows: Sequence[ReportRow], differences: Sequence[Difference]) -> None:
    """As `Reports.put`, within a transaction."""
    writer.run("DELETE FROM report_values WHERE run_id = ?", [run_id])
    writer.run("DELETE FROM differences WHERE run_id = ?", [run_id])
    table = [
        {"run_id": run_id, "position": place, "scored_by": row.measure, "measure": measure, **asdict(value)}
        | {"name": row.name, "kind": row.kind}
        for place, row in enumerate(rows)
        for measure, value in row.values.items()
    ]
    writer.insert("report_values", pa.Table.from_pylist(table, schema=_VALUES))
    if differences:
        writer.insert("differences", pa.Table.from_pylist([{"run_id": run_id, **asdict(row)} for row in differences]))


def _row(values: Sequence[Row]) -> ReportRow:
    by_measure = {v["measure"]: Value(v["value"], v["n"], v["low"], v["high"]) for v in values}
    first = values[0]
    return ReportRow(first["name"], first["kind"], max(v["n"] for v in values), by_measure, first["scored_by"])


_NEEDED = EVERY_REPORT - {SECONDS, COST}
"""Without one of these a row is none; a file of a stranger may lack them."""
_VALUES = pa.schema(
    [
        ("run_id", pa.string()),
        ("position", pa.int32()),
        *((name, pa.string()) for name in ("name", "kind", "scored_by", "measure")),
        *((name, pa.float64()) for name in ("value", "low", "high")),
        ("n", pa.int64()),
    ]
)
