"""What selection decided, for every sample, with the reason."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from engine.config import read_config
from engine.errors import NotFound
from engine.selection.settings import SelectionConfig
from engine.types import SelectionRow
from storage.db import Database, Row
from storage.projects import now


@dataclass(frozen=True)
class StoredSelection:
    """A selection with its settings and its numbers."""

    id: str
    project_id: str
    config: SelectionConfig
    fingerprint: str
    counts: Mapping[str, Any]


class Selections:
    """Table family of selections."""

    def __init__(self, db: Database) -> None:
        """On an open database."""
        self._db = db

    def add(self, selection: StoredSelection, rows: Sequence[SelectionRow]) -> None:
        """Store a selection; the same settings on the same samples replace their earlier result.

        Earlier ones of the project go, unless a run was built on them.
        """
        with self._db.write() as writer:
            left = "SELECT id FROM selections WHERE project_id = ? AND id NOT IN (SELECT selection_id FROM runs)"
            for sql in (
                f"DELETE FROM selection_rows WHERE selection_id IN ({left})",
                f"DELETE FROM selections WHERE id IN ({left})",
            ):
                writer.run(sql, [selection.project_id])
            writer.run("DELETE FROM selection_rows WHERE selection_id = ?", [selection.id])
            writer.run(
                "INSERT OR REPLACE INTO selections VALUES (?, ?, ?, ?, ?, ?)",
                [
                    selection.id,
                    selection.project_id,
                    selection.config.model_dump_json(),
                    selection.fingerprint,
                    json.dumps(dict(selection.counts)),
                    now(),
                ],
            )
            writer.insert(
                "selection_rows",
                pa.table(
                    {
                        "selection_id": [selection.id] * len(rows),
                        "sample_id": [row.sample_id for row in rows],
                        "query_id": [row.query_id for row in rows],
                        "teacher": [row.teacher for row in rows],
                        "confidence": pa.array([row.confidence for row in rows], pa.float64()),
                        "renormalised": [row.renormalised for row in rows],
                        "reason": [row.reason.value for row in rows],
                        "similarity": pa.array([row.pair_similarity for row in rows], pa.float64()),
                        "edit": pa.array([row.edit for row in rows], pa.int64()),
                    }
                ),
            )

    def latest(self, project_id: str) -> StoredSelection:
        """The newest selection of a project.

        Raises:
            NotFound: if there is none.
        """
        rows = self._db.remembered(
            "SELECT id, project_id, config, fingerprint, counts FROM selections WHERE project_id = ? "
            "ORDER BY created_at DESC LIMIT 1",
            [project_id],
        )
        if not rows:
            raise NotFound("nothing has been selected in this project yet; run `tacit select` first")
        return _selection(rows[0])

    def get(self, selection_id: str) -> StoredSelection:
        """One selection.

        Raises:
            NotFound: if there is none.
        """
        row = self._db.row(
            "SELECT id, project_id, config, fingerprint, counts FROM selections WHERE id = ?", [selection_id]
        )
        if row is None:
            raise NotFound(f"there is no selection {selection_id}")
        return _selection(row)

    def kept(self, selection_id: str) -> list[dict[str, Any]]:
        """The kept samples with their texts, as edited where they were: G, by query and sample."""
        return self._db.rows(
            "SELECT r.sample_id, r.query_id, r.teacher, r.reason, coalesce(o.text, s.rationale) AS rationale, s.label "
            "FROM selection_rows r JOIN selections x ON x.id = r.selection_id "
            "JOIN samples s ON s.project_id = x.project_id AND s.id = r.sample_id "
            "LEFT JOIN overrules o ON o.number = r.edit "
            "WHERE r.selection_id = ? AND r.reason LIKE 'kept%' ORDER BY r.query_id, r.sample_id",
            [selection_id],
        )

    def page(self, selection_id: str, after: str = "", size: int = 50) -> list[dict[str, Any]]:
        """The next rows behind a sample id."""
        return self._db.rows(
            "SELECT * EXCLUDE (selection_id) FROM selection_rows WHERE selection_id = ? AND sample_id > ? "
            "ORDER BY sample_id LIMIT ?",
            [selection_id, after, size],
        )


def _selection(row: Row) -> StoredSelection:
    config = read_config(SelectionConfig, json.loads(row["config"]))
    return StoredSelection(row["id"], row["project_id"], config, row["fingerprint"], json.loads(row["counts"]))
