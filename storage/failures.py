"""What teachers were asked and that no sample followed: by kind of error, a page at a time, one in full."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engine.errors import NotFound
from storage.db import Database

SORTS = {
    "": 'f."at" DESC NULLS LAST, f.id',
    "query": "q.text, f.id",
    "-query": "q.text DESC, f.id",
    "teacher": "f.teacher, f.id",
    "-teacher": "f.teacher DESC, f.id",
    "error": "f.error, f.id",
    "-error": "f.error DESC, f.id",
}
"""In which order failures are listed, by name; "": the newest first."""
_OPEN = """(
    SELECT a.project_id, a.id, a.query_id, a.teacher, a.error, a.message, a.raw, a."at",
        count(*) OVER (PARTITION BY a.teacher, a.sample_id, a.error) AS tries FROM attempts a
    WHERE a.project_id = ? AND a.error IS NOT NULL AND a.purpose IN ('label', 'evaluate')
        AND NOT EXISTS (SELECT 1 FROM samples s WHERE s.project_id = a.project_id AND s.query_id = a.query_id
            AND s.teacher = a.teacher AND s.draw = coalesce(a.draw, 0))
    QUALIFY row_number() OVER (
        PARTITION BY a.teacher, a.sample_id, a.error ORDER BY a."at" DESC NULLS LAST, a.id DESC
    ) = 1
) f LEFT JOIN queries q ON q.project_id = f.project_id AND q.id = f.query_id"""
"""The newest attempt of each sample that is missing, for each kind of error that it failed by."""
_FOUND = (
    f"FROM {_OPEN} WHERE (? = '' OR f.error = ?) AND (? = '' OR f.teacher = ?) "
    "AND (? = '' OR contains(lower(concat_ws(' ', q.text, f.message, f.raw)), lower(?)))"
)


@dataclass(frozen=True)
class FailureQuery:
    """Which failures are listed: of a kind of error, of a teacher, that hold a text ("": any), by a name of `SORTS`."""

    error: str = ""
    teacher: str = ""
    text: str = ""
    sort: str = ""

    @property
    def values(self) -> list[str]:
        """Of the conditions of `_FOUND`, behind the project."""
        return [self.error, self.error, self.teacher, self.teacher, self.text, self.text]


class Failures:
    """Questions about attempts that failed."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def by_kind(self, project_id: str) -> list[dict[str, Any]]:
        """How many samples are missing, by teacher and kind of error. Keys: teacher, error, n."""
        return self._db.remembered(
            f"SELECT f.teacher, f.error, count(*) AS n FROM {_OPEN} GROUP BY ALL ORDER BY ALL", [project_id]
        )

    def find_page(
        self, project_id: str, sought: FailureQuery, begin: int, size: int
    ) -> tuple[list[dict[str, Any]], int]:
        """The failures that are sought, and how many there are.

        Returns:
            At most `size` rows behind the first `begin`. Keys: id, teacher, error, query (160 characters), tries.

        Raises:
            KeyError: if there is no such order.
        """
        values = [project_id, *sought.values]
        total = self._db.remembered(f"SELECT count(*) AS n {_FOUND}", values)[0]["n"]
        rows = self._db.remembered(
            f"SELECT f.id, f.teacher, f.error, left(q.text, 160) AS query, f.tries {_FOUND} "
            f"ORDER BY {SORTS[sought.sort]} LIMIT ? OFFSET ?",
            [*values, size, begin],
        )
        return rows, int(total)

    def stream_found(self, project_id: str, sought: FailureQuery) -> Iterator[tuple[Any, ...]]:
        """All that `find_page` finds, in its order: query, teacher, error, message, raw, tries, at (Unix time, s)."""
        return self._db.stream(
            f'SELECT q.text, f.teacher, f.error, f.message, f.raw, f.tries, f."at" {_FOUND} '
            f"ORDER BY {SORTS[sought.sort]}",
            [project_id, *sought.values],
        )

    def find_one(self, project_id: str, attempt_id: str) -> dict[str, Any]:
        """One failed attempt. Keys: teacher, error, message, raw, finish_reason, query, split, at, output_tokens.

        Raises:
            NotFound: if there is none.
        """
        row = self._db.row(
            "SELECT a.teacher, a.error, a.message, a.raw, a.finish_reason, q.text AS query, q.split, "
            'a."at", a.output_tokens FROM attempts a '
            "LEFT JOIN queries q ON q.project_id = a.project_id AND q.id = a.query_id "
            "WHERE a.project_id = ? AND a.id = ? AND a.error IS NOT NULL",
            [project_id, attempt_id],
        )
        if row is None:
            raise NotFound(f"there is no failed reply {attempt_id}")
        return row
