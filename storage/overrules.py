"""What a person decided over the selection: keep or drop a sample. Nothing is overwritten, so all can be undone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from storage.db import Database
from storage.projects import now


class Overrules:
    """Table family of overrules."""

    def __init__(self, db: Database) -> None:
        """On an open database."""
        self._db = db

    def add(self, project_id: str, sample_ids: Sequence[str], action: str) -> None:
        """Decide `keep` or `drop` for samples."""
        with self._db.write() as writer:
            writer.run(
                "INSERT INTO overrules (project_id, sample_id, action, created_at) "
                "SELECT ?, unnest(?::VARCHAR[]), ?, ?",
                [project_id, list(sample_ids), action, now()],
            )

    def current(self, project_id: str) -> dict[str, str]:
        """The decision that counts, by sample."""
        rows = self._db.rows(
            "SELECT sample_id, action FROM overrules WHERE project_id = ? AND NOT undone "
            "QUALIFY row_number() OVER (PARTITION BY sample_id ORDER BY number DESC) = 1",
            [project_id],
        )
        return {row["sample_id"]: row["action"] for row in rows}

    def undo(self, project_id: str) -> dict[str, Any] | None:
        """Take the newest decision back (all samples that were decided at once); what it was, or None."""
        with self._db.write() as writer:
            found = writer.run(
                "SELECT created_at, action FROM overrules WHERE project_id = ? AND NOT undone "
                "ORDER BY number DESC LIMIT 1",
                [project_id],
            )
            if not found:
                return None
            at, action = found[0]
            undone = writer.run(
                "UPDATE overrules SET undone = TRUE WHERE project_id = ? AND created_at = ? AND NOT undone "
                "RETURNING sample_id",
                [project_id, at],
            )
        return {"action": action, "samples": [row[0] for row in undone]}
