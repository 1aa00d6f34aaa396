"""Looking at what was selected: queries a page at a time, and all samples of one with their similarities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from app.usecases.context import Context
from app.usecases.selecting import SelectService
from engine.errors import NotFound, StateError
from storage.projects import Project

LISTED = 50
"""Queries on a page of the list."""
FILTERS = {
    "all": "TRUE",
    "labels differ": "labels > 1",
    "by hand": "by_hand > 0",
    "edited": "edited > 0",
    "nothing kept": "kept = 0",
    "all kept": "kept = samples",
}
"""Which queries are shown, by name; the conditions are on the columns of `_LISTED`."""
_LISTED = """
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
class Detail:
    """One query with all its samples, their rationales as edited; `cosines` (k, k) of what the teachers wrote, in
    their order, None where vectors are missing.
    """

    query: str
    samples: list[dict[str, Any]]
    cosines: list[list[float]] | None


@dataclass(frozen=True)
class BrowseService:
    """Use cases of browsing a selection."""

    context: Context
    select: SelectService

    def queries(self, project_name: str, search: str = "", which: str = "all", after: int = 0) -> list[dict[str, Any]]:
        """The next 50 queries behind a position that have samples, with what was kept of them.

        Raises:
            StateError: if there is no such filter.
        """
        _, condition, values = self._found(project_name, search, which, after)
        sql = f"SELECT * EXCLUDE (labels, by_hand, edited) FROM ({_LISTED}) WHERE {condition}"
        return self.context.db.remembered(f"{sql} ORDER BY position LIMIT {LISTED}", values)

    def matching(self, project_name: str, search: str, which: str, teacher: str | None) -> list[str]:
        """All samples of the queries that a search and a filter find, of one teacher or (None) all.

        Raises:
            StateError: if there is no such filter.
        """
        project, condition, values = self._found(project_name, search, which, 0)
        rows = self.context.db.rows(
            f"SELECT s.id FROM samples s JOIN (SELECT id FROM ({_LISTED}) WHERE {condition}) f ON f.id = s.query_id "
            "WHERE s.project_id = ? AND s.split = 'distill' AND (? IS NULL OR s.teacher = ?) ORDER BY s.id",
            [*values, project.id, teacher, teacher],
        )
        return [row["id"] for row in rows]

    def _found(self, project_name: str, search: str, which: str, after: int) -> tuple[Project, str, list[Any]]:
        """The project, the filter's condition and the values of `_LISTED`."""
        if which not in FILTERS:
            raise StateError(f"there is no filter {which!r}; there are {', '.join(FILTERS)}")
        project = self.context.projects.get(project_name)
        return project, FILTERS[which], [self._selection_id(project.id), project.id, after, search.strip()]

    def detail(self, project_name: str, query_id: str) -> Detail:
        """One query with all its samples, reasons and similarities.

        Raises:
            NotFound: if the project has no such query.
        """
        project = self.context.projects.get(project_name)
        row = self.context.db.row("SELECT text FROM queries WHERE project_id = ? AND id = ?", [project.id, query_id])
        if row is None:
            raise NotFound(f"there is no query {query_id} in {project.name!r}")
        samples = self.context.db.rows(
            "SELECT s.id, s.teacher, s.draw, s.label, s.rationale, s.text_hash, s.rationale AS original, "
            "r.confidence, r.reason, r.similarity "
            "FROM samples s LEFT JOIN selection_rows r ON r.sample_id = s.id AND r.selection_id = ? "
            "WHERE s.project_id = ? AND s.query_id = ? ORDER BY s.teacher, s.draw, s.id",
            [self._selection_id(project.id), project.id, query_id],
        )
        edits = self.context.overrules.edits(project.id, [sample["id"] for sample in samples])
        for sample in samples:
            number, text = edits.get(sample["id"], (0, sample["rationale"]))
            sample |= {"edit": number, "rationale": text}
        return Detail(row["text"], samples, self._cosines(project, [s["text_hash"] for s in samples]))

    def _selection_id(self, project_id: str) -> str:
        try:
            return self.context.selections.latest(project_id).id
        except NotFound:
            return ""

    def _cosines(self, project: Project, hashes: list[str]) -> list[list[float]] | None:
        for model, revision, dimension in self.select.embedders(project):
            rows = self.context.db.rows(
                f"SELECT text_hash, vector FROM embeddings_{int(dimension)} WHERE model = ? AND revision = ? "
                "AND text_hash IN (SELECT unnest(?::VARCHAR[]))",
                [model, revision, hashes],
            )
            vectors = {row["text_hash"]: np.asarray(row["vector"], dtype=np.float64) for row in rows}
            if hashes and all(name in vectors for name in hashes):
                matrix = np.stack([vectors[name] for name in hashes])
                matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
                found: list[list[float]] = (matrix @ matrix.T).round(4).tolist()
                return found
        return None
