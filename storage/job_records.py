"""Jobs as they are looked at: a page of them, one in full, how many run and failed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.errors import NotFound
from engine.values import JobStatus
from storage.db import Database

SHOWN = {
    "all": "TRUE",
    "running": "status IN ('queued', 'running')",
    "failed": "status IN ('failed', 'interrupted', 'needs_key', 'capped', 'quarantined')",
}
"""Which jobs are listed, by name."""
SORTS = {
    "": "number DESC",
    "started": "number",
    "kind": "kind, number DESC",
    "-kind": "kind DESC, number DESC",
    "status": "status, number DESC",
    "-status": "status DESC, number DESC",
}
"""In which order, by name; "": the newest first."""
_WITH_SUMS = (
    "SELECT j.number, j.id, p.name AS project, j.kind, j.status, j.created_at AS started, "
    '(SELECT max(e."at") - min(e."at") FROM events e WHERE e.job_id = j.id) AS seconds, '
    "(SELECT CASE WHEN count(*) FILTER (WHERE a.cost IS NULL) > 0 THEN NULL ELSE coalesce(sum(a.cost), 0) END "
    "FROM attempts a WHERE a.job_id = j.id) AS cost, j.message, j.folder, j.run_id "
    "FROM (SELECT * FROM jobs WHERE {which}) j LEFT JOIN projects p ON p.id = j.project_id ORDER BY {order}"
)
_ENDED = 'coalesce((SELECT max(e."at") FROM events e WHERE e.job_id = j.id), epoch(j.created_at))'


class JobRecords:
    """Questions about jobs of all projects or one (`only`, by its id)."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def find_page(
        self, show: str, only: str | None, sort: str, begin: int, size: int
    ) -> tuple[list[dict[str, Any]], int]:
        """Jobs of a name of `SHOWN` in the order of one of `SORTS`, and how many there are.

        Returns:
            At most `size` rows behind the first `begin`. Keys: number, id, project (its name; None: removed), kind,
            status, started, seconds (from its first event to its last), cost (US dollars; None: some of it unknown),
            message, folder, run_id.
        """
        which = f"{SHOWN[show]} AND (? IS NULL OR project_id = ?)"
        total = self._db.remembered(f"SELECT count(*) AS n FROM jobs WHERE {which}", [only, only])[0]["n"]
        order = SORTS[sort]
        rows = self._db.remembered(
            _WITH_SUMS.format(
                which=f"{which} ORDER BY {order} LIMIT ? OFFSET ?", order=order.replace("kind", "j.kind")
            ),
            [only, only, size, begin],
        )
        return rows, int(total)

    def stream_found(self, show: str, only: str | None, sort: str) -> Iterator[tuple[Any, ...]]:
        """All that `find_page` finds, in its order: id, project, kind, status, started, seconds, cost, message."""
        listed = _WITH_SUMS.format(
            which=f"{SHOWN[show]} AND (? IS NULL OR project_id = ?)", order=SORTS[sort].replace("kind", "j.kind")
        )
        return self._db.stream(
            f"SELECT id, project, kind, status, started, seconds, cost, message FROM ({listed})", [only, only]
        )

    def find_one(self, job_id: str) -> dict[str, Any]:
        """One job, as a row of `find_page`.

        Raises:
            NotFound: if there is none.
        """
        rows = self._db.rows(_WITH_SUMS.format(which="id = ?", order="number"), [job_id])
        if not rows:
            raise NotFound(f"there is no job {job_id}")
        return rows[0]

    def count(self, only: str | None) -> dict[str, int]:
        """Jobs by status."""
        rows = self._db.remembered(
            "SELECT status, count(*) AS n FROM jobs WHERE ? IS NULL OR project_id = ? GROUP BY status", [only, only]
        )
        return {row["status"]: row["n"] for row in rows}

    def count_failed(self, only: str | None, since: float) -> int:
        """Jobs that failed and had their last sign of life after a moment (Unix time in seconds)."""
        row = self._db.row(
            f"SELECT count(*) AS n FROM jobs j WHERE {SHOWN['failed']} AND (? IS NULL OR project_id = ?) "
            f"AND {_ENDED} > ?",
            [only, only, since],
        )
        return int(row["n"]) if row else 0

    def quarantined(self) -> list[dict[str, Any]]:
        """Jobs whose journal could not be taken in, newest first: id, project (its name), kind, message."""
        return self._db.remembered(
            "SELECT j.id, p.name AS project, j.kind, j.message FROM jobs j LEFT JOIN projects p ON p.id = j.project_id "
            "WHERE j.status = ? ORDER BY j.number DESC",
            [JobStatus.QUARANTINED.value],
        )
