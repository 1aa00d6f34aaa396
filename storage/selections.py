"""What selection decided, for every sample, with the reason."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from engine.config import read_config
from engine.errors import NotFound
from engine.selection.settings import SelectionConfig
from storage.db import Database, Row, Transaction
from storage.projects import newest

CONDITIONS = {
    "all": "TRUE",
    "labels differ": "a.differ",
    "by hand": "d.by_hand > 0",
    "edited": "d.edited > 0",
    "nothing kept": "coalesce(d.kept, 0) = 0",
    "all kept": "d.kept = a.samples",
}
"""Which queries are found, by name."""
SORTS = {
    "": "q.position",
    "text": "q.text, q.position",
    "-text": "q.text DESC, q.position",
    "kept": "coalesce(d.kept, 0), q.position",
    "-kept": "coalesce(d.kept, 0) DESC, q.position",
    "cosine": "d.cosine NULLS LAST, q.position",
    "-cosine": "d.cosine DESC NULLS LAST, q.position",
}
"""In which order, by name; "": as they came."""
_ANSWERED = """
    SELECT query_id, count(*) AS samples, min(label_key) <> max(label_key) AS differ FROM samples
    WHERE project_id = ? AND split = 'distill' GROUP BY query_id
"""
_DECIDED = """
    SELECT query_id, count(*) FILTER (WHERE starts_with(reason, 'kept')) AS kept, min(similarity) AS cosine,
        count(edit) AS edited, count(*) FILTER (WHERE reason LIKE '%by_hand') AS by_hand
    FROM selection_rows WHERE selection_id = ? GROUP BY query_id
"""
_MANY = 100_000
"""Rows of a part after which the database is asked to let go of them, and with which it is held to little memory."""


@dataclass(frozen=True)
class Search:
    """Which queries of a project are looked for, beside what a selection ("": none) keeps of them.

    `text` stands in them, `which` is a name of `CONDITIONS`, `sort` one of `SORTS`.
    """

    project_id: str
    selection_id: str
    text: str = ""
    which: str = "all"
    sort: str = ""

    def find(self, column: str) -> tuple[str, list[Any]]:
        """A query for a column of the queries that are found, in order, and its values.

        Raises:
            KeyError: if there is no such condition or order.
        """
        condition, order = CONDITIONS[self.which], SORTS[self.sort]
        tables, values = [f"JOIN ({_ANSWERED}) a ON a.query_id = q.id"], [self.project_id]
        if "d." in condition + order:
            tables.append(f"LEFT JOIN ({_DECIDED}) d ON d.query_id = q.id")
            values.append(self.selection_id)
        where = "q.project_id = ? AND q.split = 'distill' AND " + condition
        values.append(self.project_id)
        if self.text:
            where += " AND contains(lower(q.text), lower(?))"
            values.append(self.text)
        return f"SELECT {column} FROM queries q {' '.join(tables)} WHERE {where} ORDER BY {order}", values


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

    def add(self, selection: StoredSelection, rows: Iterable[pa.Table], of_plan: bool = False) -> None:
        """Store a selection; the same settings on the same samples replace their earlier result.

        `rows` say part by part of each sample what was decided: sample_id, query_id, teacher, confidence,
        renormalised, reason, similarity, edit.

        Earlier ones of the project go, unless a run was built on them. One that a plan brings (`of_plan`) leaves all
        others as they are, and is not the project's.
        """
        with self._db.write() as writer:
            if of_plan:
                if not writer.run("SELECT id FROM selections WHERE id = ?", [selection.id]):
                    self._insert(writer, selection, rows, True)
                return
            left = "SELECT id FROM selections WHERE project_id = ? AND id NOT IN (SELECT selection_id FROM runs)"
            for sql in (
                f"DELETE FROM selection_rows WHERE selection_id IN ({left})",
                f"DELETE FROM selections WHERE id IN ({left})",
            ):
                writer.run(sql, [selection.project_id])
            self._insert(writer, selection, rows, False)

    def _insert(self, writer: Transaction, selection: StoredSelection, rows: Iterable[pa.Table], of_plan: bool) -> None:
        _insert(writer, selection, of_plan)
        with ExitStack() as bounds:
            for number, part in enumerate(rows):
                if not number and len(part) >= _MANY:
                    bounds.enter_context(self._db.bounded())
                writer.insert(
                    "selection_rows", part.append_column("selection_id", pa.array([selection.id] * len(part)))
                )
                if len(part) >= _MANY:
                    self._db.squeeze()

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

    def find_page(self, search: Search, begin: int, size: int) -> tuple[list[dict[str, Any]], int]:
        """Queries that have samples, with what was kept of them, and how many there are.

        The order is made once between two writes: then a page of it is looked up by its positions, however many
        samples there are.

        Returns:
            At most `size` rows behind the first `begin`, each with `id`, `query` (160 characters), `kept`, `samples`,
            `answers` (the labels, by teacher and draw) and `cosine` (of the kept pair, None where there is none).

        Raises:
            KeyError: if there is no such condition or order.
        """
        sql, values = search.find("q.position")
        positions = self._db.remembered_arrays(sql, values)["position"]
        page = positions[begin : begin + size].tolist()
        rows = self._db.rows(
            "WITH page AS (SELECT id, text, position FROM queries WHERE project_id = ? AND split = 'distill' "
            "AND position IN (SELECT unnest(?::BIGINT[]))) "
            "SELECT q.position, q.id, left(q.text, 160) AS query, "
            "count(*) FILTER (WHERE starts_with(r.reason, 'kept')) AS kept, count(*) AS samples, "
            "list(s.label ORDER BY s.teacher, s.draw) AS answers, min(r.similarity) AS cosine "
            "FROM page q JOIN samples s ON s.query_id = q.id "
            "LEFT JOIN selection_rows r ON r.query_id = q.id AND r.sample_id = s.id AND r.selection_id = ? "
            "WHERE s.project_id = ? AND s.split = 'distill' GROUP BY q.position, q.id, q.text",
            [search.project_id, page, search.selection_id, search.project_id],
        )
        places = {row.pop("position"): row for row in rows}
        return [places[position] for position in page if position in places], len(positions)

    def stream_found(self, search: Search) -> Iterator[tuple[Any, ...]]:
        """All that `find_page` finds, in its order: id, text, kept, samples, answers (by teacher and draw), cosine.

        Raises:
            KeyError: if there is no such condition or order.
        """
        matching, values = search.find(f"q.id, q.text, row_number() OVER (ORDER BY {SORTS[search.sort]}) AS place")
        return self._db.stream(
            "SELECT f.id, f.text, count(*) FILTER (WHERE starts_with(r.reason, 'kept')), count(*), "
            f"list(s.label ORDER BY s.teacher, s.draw), min(r.similarity) FROM ({matching}) f "
            "JOIN samples s ON s.query_id = f.id AND s.project_id = ? AND s.split = 'distill' "
            "LEFT JOIN selection_rows r ON r.query_id = f.id AND r.sample_id = s.id AND r.selection_id = ? "
            "GROUP BY f.place, f.id, f.text ORDER BY f.place",
            [*values, search.project_id, search.selection_id],
        )

    def find_samples(self, search: Search, teacher: str | None) -> list[str]:
        """Ids of all samples of the queries that are found, of one teacher or (None) all, in order."""
        matching, values = search.find("q.id")
        rows = self._db.rows(
            f"SELECT s.id FROM samples s JOIN ({matching}) f ON f.id = s.query_id "
            "WHERE s.project_id = ? AND s.split = 'distill' AND (? IS NULL OR s.teacher = ?) ORDER BY s.id",
            [*values, search.project_id, teacher, teacher],
        )
        return [row["id"] for row in rows]

    def find_samples_of(self, project_id: str, queries: Sequence[str]) -> list[str]:
        """Ids of all samples of some queries, in order."""
        rows = self._db.rows(
            "SELECT id FROM samples WHERE project_id = ? AND split = 'distill' "
            "AND query_id IN (SELECT unnest(?::VARCHAR[])) ORDER BY id",
            [project_id, list(queries)],
        )
        return [row["id"] for row in rows]

    def query_of(self, project_id: str, sample_id: str) -> tuple[str, str]:
        """The id of the query that a sample answers, and its first 160 characters.

        Raises:
            NotFound: if there is no such sample.
        """
        row = self._db.row(
            "SELECT q.id, left(q.text, 160) AS text FROM samples s "
            "JOIN queries q ON q.project_id = s.project_id AND q.id = s.query_id WHERE s.project_id = ? AND s.id = ?",
            [project_id, sample_id],
        )
        if row is None:
            raise NotFound("This sample is not there any more. Nothing was done.")
        return str(row["id"]), str(row["text"])

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


def _insert(writer: Transaction, selection: StoredSelection, of_plan: bool) -> None:
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
            newest(writer, "selections", selection.project_id),
            of_plan,
        ],
    )
