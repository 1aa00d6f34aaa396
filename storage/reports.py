"""Reports of runs: the table and the paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import pyarrow as pa

from engine.types import Difference, ReportRow
from storage.db import Database


class Reports:
    """Table family of reports."""

    def __init__(self, db: Database) -> None:
        """On an open database."""
        self._db = db

    def put(self, run_id: str, rows: Sequence[ReportRow], differences: Sequence[Difference]) -> None:
        """Store a run's report in place of an earlier one."""
        with self._db.write() as writer:
            writer.run("DELETE FROM report_rows WHERE run_id = ?", [run_id])
            writer.run("DELETE FROM differences WHERE run_id = ?", [run_id])
            table = [{"run_id": run_id, "position": place, **asdict(row)} for place, row in enumerate(rows)]
            if table:
                writer.insert("report_rows", pa.Table.from_pylist(table, schema=_ROWS))
            if differences:
                writer.insert(
                    "differences", pa.Table.from_pylist([{"run_id": run_id, **asdict(row)} for row in differences])
                )

    def rows(self, run_id: str) -> list[ReportRow]:
        """The table of a run in its order."""
        found = self._db.rows(
            "SELECT * EXCLUDE (run_id, position) FROM report_rows WHERE run_id = ? ORDER BY position", [run_id]
        )
        return [ReportRow(**row) for row in found]

    def newest_run(self, project_id: str) -> str | None:
        """The newest run of a project that has a report; None where none has."""
        rows = self._db.remembered(
            "SELECT DISTINCT r.run_id, u.created_at FROM report_rows r JOIN runs u ON u.id = r.run_id "
            "WHERE u.project_id = ? ORDER BY u.created_at DESC LIMIT 1",
            [project_id],
        )
        return str(rows[0]["run_id"]) if rows else None

    def differences(self, run_id: str) -> list[Difference]:
        """The paired differences of a run."""
        found = self._db.rows("SELECT * EXCLUDE (run_id) FROM differences WHERE run_id = ? ORDER BY ALL", [run_id])
        return [Difference(**row) for row in found]


_NUMBERS = ("accuracy", "ci_low", "ci_high", "parse_rate", "mean_output_tokens", "p95_output_tokens", "mean_latency_s")
_ROWS = pa.schema(
    [
        ("run_id", pa.string()),
        ("position", pa.int32()),
        ("name", pa.string()),
        ("kind", pa.string()),
        ("n", pa.int64()),
        *((name, pa.float64()) for name in _NUMBERS),
        ("measure", pa.string()),
    ]
)
