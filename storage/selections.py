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
from engine.values import SelectionRow
from storage.db import Database, Row, Writer
from storage.projects import now

CONDITIONS = {
    "all": "TRUE",
    "labels differ": "labels > 1",
    "by hand": "by_hand > 0",
    "edited": "edited > 0",
    "nothing kept": "kept = 0",
    "all kept": "kept = samples",
}
"""Which queries are found, by name; the conditions are on the columns of `_FOUND`."""
_FOUND = """
    SELECT q.position, q.id, left(q.text, 160) AS query,
        count(*) FILTER (WHERE r.reason LIKE 'kept%') AS kept, count(*) AS samples,
        string_agg(s.label, ', ' ORDER BY s.teacher, s.draw) AS answers, min(r.similarity) AS "pair's cosine",
        count(DISTINCT s.label_key) AS labels, count(*) FILTER (WHERE r.reason LIKE '%by_hand') AS by_hand,
        count(r.edit) AS edited
    FROM queries q JOIN samples s ON s.project_id = q.project_id AND s.query_id = q.id
    LEFT JOIN selection_rows r ON r.selection_id = ? AND r.sample_id = s.id
    WHERE q.project_id = ? AND q.split = 'distill' AND q.position > ? AND contains(lower(q.text), lower(?))
    GROUP BY q.position, q.id, q.text
"""


@dataclass(frozen=True)
class Search:
    """Which queries of a project are looked for, beside what a selection ("": none) keeps of them.

    `text` stands in them, `which` is a name of `CONDITIONS`, `after` the position behind which they come.
    """

    project_id: str
    selection_id: str
    text: str = ""
    which: str = "all"
    after: int = 0

    @property
    def values(self) -> list[Any]:
        """The values of `_FOUND`."""
        return [self.selection_id, self.project_id, self.after, self.text]


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
        self._db = db

    def add(self, selection: StoredSelection, rows: Sequence[SelectionRow], of_plan: bool = False) -> None:
        """Store a selection; the same settings on the same samples replace their earlier result.

        Earlier ones of the project go, unless a run was built on them. One that a plan brings (`of_plan`) leaves all
        others as they are, and is not the project's.
        """
        with self._db.write() as writer:
            if of_plan:
                if not writer.run("SELECT id FROM selections WHERE id = ?", [selection.id]):
                    _insert(writer, selection, rows, True)
                return
            left = "SELECT id FROM selections WHERE project_id = ? AND id NOT IN (SELECT selection_id FROM runs)"
            for sql in (
                f"DELETE FROM selection_rows WHERE selection_id IN ({left})",
                f"DELETE FROM selections WHERE id IN ({left})",
            ):
                writer.run(sql, [selection.project_id])
            _insert(writer, selection, rows, False)

    def latest(self, project_id: str) -> StoredSelection:
        """The newest selection of a project.

        Raises:
            NotFound: if there is none.
        """
        rows = self._db.remembered(
            "SELECT id, project_id, config, fingerprint, counts FROM selections WHERE project_id = ? "
            "AND NOT coalesce(of_plan, FALSE) ORDER BY created_at DESC LIMIT 1",
            [project_id],
        )
        if not rows:
            raise NotFound("nothing has been selected in this project yet; run `tacit select` first")
        return _selection(rows[0])

    def exists(self, selection_id: str) -> bool:
        """Whether there is such a selection."""
        return self._db.row("SELECT id FROM selections WHERE id = ?", [selection_id]) is not None

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

    def kept_whole(self, project_id: str, selection_id: str) -> list[dict[str, Any]]:
        """The kept samples with all that goes with them when they are taken out, in the order of the queries.

        Keys: key, query, choices (pairs of letter and text), kind, teacher, rationale (as edited where it was), edited,
        label, confidence, reason, similarity, sample_id, query_id, selection.
        """
        rows = self._db.rows(
            "SELECT q.key, q.text AS query, q.choices, q.kind, s.teacher, coalesce(o.text, s.rationale) AS rationale, "
            "o.text IS NOT NULL AS edited, s.label, r.confidence, "
            "r.reason, r.similarity, s.id AS sample_id, q.id AS query_id, ? AS selection FROM selection_rows r "
            "JOIN samples s ON s.id = r.sample_id AND s.project_id = ? "
            "LEFT JOIN overrules o ON o.number = r.edit "
            "JOIN queries q ON q.id = r.query_id AND q.project_id = ? "
            "WHERE r.selection_id = ? AND r.reason LIKE 'kept%' ORDER BY q.position, s.id",
            [selection_id, project_id, project_id, selection_id],
        )
        return [{**row, "choices": json.loads(row["choices"])} for row in rows]

    def find_queries(self, search: Search, size: int) -> list[dict[str, Any]]:
        """The next queries that have samples, with what was kept of them, in their order.

        Keys: position, id, query (its first 160 characters), kept, samples, answers, pair's cosine.
        """
        return self._db.remembered(
            f"SELECT * EXCLUDE (labels, by_hand, edited) FROM ({_FOUND}) WHERE {CONDITIONS[search.which]} "
            f"ORDER BY position LIMIT {int(size)}",
            search.values,
        )

    def find_samples(self, search: Search, teacher: str | None) -> list[str]:
        """Ids of all samples of the queries that are found, of one teacher or (None) all, in order."""
        rows = self._db.rows(
            f"SELECT s.id FROM samples s JOIN (SELECT id FROM ({_FOUND}) WHERE {CONDITIONS[search.which]}) f "
            "ON f.id = s.query_id "
            "WHERE s.project_id = ? AND s.split = 'distill' AND (? IS NULL OR s.teacher = ?) ORDER BY s.id",
            [*search.values, search.project_id, teacher, teacher],
        )
        return [row["id"] for row in rows]

    def samples_of(self, project_id: str, selection_id: str, query_id: str) -> list[dict[str, Any]]:
        """All samples of a query, by teacher and draw, with what a selection ("": none) decided of each.

        Keys: id, teacher, draw, label, rationale and original (both what the teacher wrote), text_hash, confidence,
        reason, similarity (the last three None where nothing was decided).
        """
        return self._db.rows(
            "SELECT s.id, s.teacher, s.draw, s.label, s.rationale, s.text_hash, s.rationale AS original, "
            "r.confidence, r.reason, r.similarity "
            "FROM samples s LEFT JOIN selection_rows r ON r.sample_id = s.id AND r.selection_id = ? "
            "WHERE s.project_id = ? AND s.query_id = ? ORDER BY s.teacher, s.draw, s.id",
            [selection_id, project_id, query_id],
        )


def _selection(row: Row) -> StoredSelection:
    config = read_config(SelectionConfig, json.loads(row["config"]))
    return StoredSelection(row["id"], row["project_id"], config, row["fingerprint"], json.loads(row["counts"]))


def _insert(writer: Writer, selection: StoredSelection, rows: Sequence[SelectionRow], of_plan: bool) -> None:
    writer.run("DELETE FROM selection_rows WHERE selection_id = ?", [selection.id])
    writer.run(
        "INSERT OR REPLACE INTO selections (id, project_id, config, fingerprint, counts, created_at, of_plan) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            selection.id,
            selection.project_id,
            selection.config.model_dump_json(),
            selection.fingerprint,
            json.dumps(dict(selection.counts)),
            now(),
            of_plan,
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
