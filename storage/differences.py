"""Two systems of a run beside each other: the held-out queries on which they differ, and what both said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engine.errors import NotFound
from storage.db import Database
from storage.runs import Run


@dataclass(frozen=True)
class Sides:
    """Two systems that are compared, each a pair of the step that asked it and its name."""

    first: tuple[str, str]
    second: tuple[str, str]


@dataclass(frozen=True)
class Asked:
    """Which queries on which two systems differ are listed: a name of `RIGHT`, a kind, a text in the query, an order.

    Each is "" where nothing is asked; pages count from 1.
    """

    right: str = ""
    kind: str = ""
    text: str = ""
    sort: str = ""
    page: int = 1


RIGHT = {
    "": "TRUE",
    "first": "a.correct AND NOT b.correct",
    "second": "b.correct AND NOT a.correct",
    "neither": "NOT a.correct AND NOT b.correct",
}
"""Who is right of two that differ, by name."""
DIFFERING_SORTS = {
    "": "q.position",
    "query": "q.text, q.position",
    "-query": "q.text DESC, q.position",
    "kind": "q.kind, q.position",
    "-kind": "q.kind DESC, q.position",
}
_BESIDE = """
    FROM answers a JOIN answers b ON b.run_id = a.run_id AND b.query_id = a.query_id
    JOIN queries q ON q.project_id = ? AND q.id = a.query_id
    LEFT JOIN golds g ON g.project_id = q.project_id AND g.query_id = q.id
    WHERE a.run_id = ? AND a.step = ? AND a.system = ? AND b.step = ? AND b.system = ?
"""
_SAID = (
    "q.kind, g.label AS gold, a.label AS first_label, a.correct AS first_correct, b.label AS second_label, "
    "b.correct AS second_correct"
)


def _find(run: Run, sides: Sides, asked: Asked) -> tuple[str, list[Any]]:
    """What follows the columns of a query for the answers that differ, but for the order; and its values."""
    differ = "(a.correct IS DISTINCT FROM b.correct OR a.label IS DISTINCT FROM b.label)"
    sought = "AND contains(lower(q.text), lower(?)) AND (? = '' OR q.kind = ?)"
    values = [run.project_id, run.id, *sides.first, *sides.second, asked.text, asked.kind, asked.kind]
    return f"{_BESIDE} AND {differ} {sought} AND {RIGHT[asked.right]}", values


class Differences:
    """Reads answers of a run beside each other."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def answers_beside_golds(
        self, run: Run, sides: Sides, asked: Asked, begin: int, size: int
    ) -> tuple[list[dict[str, Any]], int]:
        """Held-out queries on which two systems give other labels or verdicts, and how many there are.

        Returns:
            At most `size` rows behind the first `begin`: id, query (160 characters), kind, gold (None: none);
            first_label, first_correct, and the same of second.

        Raises:
            KeyError: if there is no such name of `RIGHT` or `DIFFERING_SORTS`.
        """
        matching, values = _find(run, sides, asked)
        total = self._db.rows(f"SELECT count(*) AS n {matching}", values)[0]["n"]
        rows = self._db.rows(
            f"SELECT q.id, left(q.text, 160) AS query, {_SAID} {matching} ORDER BY {DIFFERING_SORTS[asked.sort]} "
            "LIMIT ? OFFSET ?",
            [*values, size, begin],
        )
        return [dict(row) for row in rows], int(total)

    def stream_answers(self, run: Run, sides: Sides, asked: Asked) -> Iterator[tuple[Any, ...]]:
        """All that `answers_beside_golds` finds, in its order.

        Columns: query, kind, gold; label, correct and text of the first; the same of the second.
        """
        matching, values = _find(run, sides, asked)
        return self._db.stream(
            "SELECT q.text, q.kind, g.label, a.label, a.correct, a.text, b.label, b.correct, b.text "
            f"{matching} ORDER BY {DIFFERING_SORTS[asked.sort]}",
            values,
        )

    def answer_beside_golds(self, run: Run, sides: Sides, query_id: str) -> dict[str, Any]:
        """What two systems said of one held-out query.

        Keys: query, kind, gold (None: none); first_text, first_label, first_correct, and the same of second.

        Raises:
            NotFound: if not both answered it.
        """
        row = self._db.row(
            f"SELECT q.text AS query, {_SAID}, a.text AS first_text, b.text AS second_text {_BESIDE} AND q.id = ?",
            [run.project_id, run.id, *sides.first, *sides.second, query_id],
        )
        if row is None:
            raise NotFound(f"these two did not both answer the query {query_id}")
        return dict(row)

    def typical_right(self, run: Run, first: tuple[str, str], second: tuple[str, str]) -> dict[str, Any] | None:
        """A held-out query that two systems, each (step, name), both got right: the second's answer is of usual length.

        Keys: query_id, first_text, first_tokens, second_text, second_tokens. None where there is no such query.
        """
        return self._db.row(
            "SELECT a.query_id, a.text AS first_text, a.tokens AS first_tokens, b.text AS second_text, "
            "b.tokens AS second_tokens FROM answers a "
            "JOIN answers b ON b.run_id = a.run_id AND b.query_id = a.query_id "
            "JOIN queries q ON q.project_id = ? AND q.id = a.query_id "
            "WHERE a.run_id = ? AND a.step = ? AND a.system = ? AND b.step = ? AND b.system = ? "
            "AND a.correct AND b.correct ORDER BY abs(b.tokens - (SELECT avg(tokens) FROM answers "
            "WHERE run_id = a.run_id AND step = b.step AND system = b.system)), q.position LIMIT 1",
            [run.project_id, run.id, *first, *second],
        )
