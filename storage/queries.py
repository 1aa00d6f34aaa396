"""Queries, and apart from them their gold labels."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from engine.errors import NotFound
from engine.values import Choice, Query, Split
from storage.db import Database

_QUERY = "id, key, text, choices, kind, split, extra, origin"
SPLITS = {
    "all": "TRUE",
    "distill": "q.split = 'distill'",
    "heldout": "q.split = 'heldout'",
    "gold": "g.label IS NOT NULL",
}
"""Which queries are listed, by name."""
SORTS = {
    "": "q.position",
    "text": "q.text, q.position",
    "-text": "q.text DESC, q.position",
    "kind": "q.kind, q.position",
    "-kind": "q.kind DESC, q.position",
    "split": "q.split, q.position",
    "-split": "q.split DESC, q.position",
    "gold": "g.label, q.position",
    "-gold": "g.label DESC, q.position",
}
"""In which order, by name; "": as they came."""
_LISTED = """
    FROM queries q LEFT JOIN golds g ON g.project_id = q.project_id AND g.query_id = q.id
    WHERE q.project_id = ? AND contains(lower(q.text), lower(?)) AND
"""


class Queries:
    """Table family of queries."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, project_id: str, queries: Sequence[Query], golds: Mapping[str, str]) -> int:
        """Add queries and gold labels (by query id); those already there are left as they are.

        Returns:
            How many queries were new.
        """
        with self._db.write() as writer:
            start = writer.run("SELECT coalesce(max(position), 0) FROM queries WHERE project_id = ?", [project_id])[0][
                0
            ]
            added = writer.insert(
                "queries",
                pa.table(
                    {
                        "project_id": pa.array([project_id] * len(queries), pa.string()),
                        "id": [query.id for query in queries],
                        "key": pa.array([query.key for query in queries], pa.string()),
                        "text": [query.text for query in queries],
                        "choices": [json.dumps([[c.letter, c.text] for c in query.choices]) for query in queries],
                        "kind": pa.array([query.kind for query in queries], pa.string()),
                        "split": [query.split.value for query in queries],
                        "extra": [json.dumps(query.extra) for query in queries],
                        "origin": pa.array([query.origin for query in queries], pa.string()),
                        "position": range(start + 1, start + 1 + len(queries)),
                    }
                ),
                "ON CONFLICT DO NOTHING",
            )
            writer.insert(
                "golds",
                pa.table(
                    {
                        "project_id": pa.array([project_id] * len(golds), pa.string()),
                        "query_id": pa.array(list(golds), pa.string()),
                        "label": pa.array(list(golds.values()), pa.string()),
                    }
                ),
                "ON CONFLICT DO NOTHING",
            )
        return added

    def find(self, project_id: str, ids: Sequence[str]) -> dict[str, tuple[int, Split]]:
        """Of these ids those that are there, with position and split."""
        rows = self._db.rows(
            "SELECT id, position, split FROM queries WHERE project_id = ? AND id IN (SELECT unnest(?::VARCHAR[]))",
            [project_id, list(ids)],
        )
        return {row["id"]: (row["position"], Split(row["split"])) for row in rows}

    def has_paraphrases(self, project_id: str) -> bool:
        """Whether a query of the project is known to ask what another one asks in other words."""
        sql = "SELECT 1 FROM queries WHERE project_id = ? AND origin IS NOT NULL LIMIT 1"
        return self._db.row(sql, [project_id]) is not None

    def splits_of_families(self, project_id: str, families: Sequence[str]) -> dict[str, Split]:
        """The split of those of these families that have members there; where they are in both, held out."""
        rows = self._db.rows(
            "SELECT coalesce(origin, id) AS family, max_by(split, split = 'heldout') AS split FROM queries "
            "WHERE project_id = ? AND coalesce(origin, id) IN (SELECT unnest(?::VARCHAR[])) GROUP BY family",
            [project_id, list(families)],
        )
        return {row["family"]: Split(row["split"]) for row in rows}

    def starts(self, project_id: str, ids: Sequence[str]) -> dict[str, str]:
        """The first 80 characters of some queries, by id."""
        rows = self._db.rows(
            "SELECT id, left(text, 80) AS text FROM queries WHERE project_id = ? "
            "AND id IN (SELECT unnest(?::VARCHAR[]))",
            [project_id, list(ids)],
        )
        return {row["id"]: row["text"] for row in rows}

    def last_position(self, project_id: str) -> int:
        """The position of the newest query; 0 where there is none."""
        row = self._db.row("SELECT coalesce(max(position), 0) AS n FROM queries WHERE project_id = ?", [project_id])
        return int(row["n"]) if row else 0

    def get(self, project_id: str, split: Split | None = None) -> list[Query]:
        """Queries in the order they came, of one split or all."""
        where = "" if split is None else "AND split = ?"
        values = [project_id] if split is None else [project_id, split.value]
        rows = self._db.rows(
            f"SELECT {_QUERY} FROM queries WHERE project_id = ? {where} ORDER BY position",
            values,
        )
        return [_query(row) for row in rows]

    def some(self, project_id: str, ids: Sequence[str]) -> dict[str, Query]:
        """Of these ids those that are there, with their queries."""
        rows = self._db.rows(
            f"SELECT {_QUERY} FROM queries WHERE project_id = ? AND id IN (SELECT unnest(?::VARCHAR[]))",
            [project_id, list(ids)],
        )
        return {row["id"]: _query(row) for row in rows}

    def find_page(
        self, project_id: str, text: str, which: str, sort: str, begin: int, size: int
    ) -> tuple[list[dict[str, Any]], int]:
        """Queries that hold a text, of a name of `SPLITS` in the order of one of `SORTS`, and how many there are.

        Returns:
            At most `size` rows behind the first `begin`, each with `id`, `text` (160 characters), `kind`, `split` and
            `gold` (None: no label).

        Raises:
            KeyError: if there is no such name.
        """
        values = [project_id, text]
        matching = f"{_LISTED} {SPLITS[which]}"
        total = self._db.remembered(f"SELECT count(*) AS n {matching}", values)[0]["n"]
        rows = self._db.rows(
            f"SELECT q.id, left(q.text, 160) AS text, q.kind, q.split, g.label AS gold {matching} "
            f"ORDER BY {SORTS[sort]} LIMIT ? OFFSET ?",
            [*values, size, begin],
        )
        return [dict(row) for row in rows], int(total)

    def stream_found(self, project_id: str, text: str, which: str, sort: str) -> Iterator[tuple[Any, ...]]:
        """All that `find_page` finds, in its order: id, key, text, choices (JSON), kind, split, gold.

        Raises:
            KeyError: if there is no such name.
        """
        return self._db.stream(
            f"SELECT q.id, q.key, q.text, q.choices, q.kind, q.split, g.label {_LISTED} {SPLITS[which]} "
            f"ORDER BY {SORTS[sort]}",
            [project_id, text],
        )

    def find_gold(self, project_id: str, query_id: str) -> str | None:
        """The gold label of a query; None where it has none."""
        row = self._db.row("SELECT label FROM golds WHERE project_id = ? AND query_id = ?", [project_id, query_id])
        return None if row is None else str(row["label"])

    def find_one(self, project_id: str, query_id: str) -> Query:
        """One query.

        Raises:
            NotFound: if there is none of that id.
        """
        row = self._db.row(
            f"SELECT {_QUERY} FROM queries WHERE project_id = ? AND id = ?",
            [project_id, query_id],
        )
        if row is None:
            raise NotFound(f"there is no query {query_id}")
        return _query(row)

    def counts(self, project_id: str) -> dict[str, int]:
        """Number of queries a split."""
        rows = self._db.remembered(
            "SELECT split, count(*) AS n FROM queries WHERE project_id = ? GROUP BY split ORDER BY split", [project_id]
        )
        return {row["split"]: row["n"] for row in rows}

    def count_labelled(self, project_id: str) -> dict[str, int]:
        """Number of queries with a gold label, by split."""
        rows = self._db.remembered(
            "SELECT q.split, count(*) AS n FROM queries q JOIN golds g ON g.project_id = q.project_id "
            "AND g.query_id = q.id WHERE q.project_id = ? GROUP BY q.split",
            [project_id],
        )
        return {row["split"]: row["n"] for row in rows}

    def kinds(self, project_id: str) -> dict[str, int]:
        """Number of queries of each kind, the most frequent first; those of none are not counted."""
        rows = self._db.remembered(
            "SELECT kind, count(*) AS n FROM queries WHERE project_id = ? AND kind IS NOT NULL GROUP BY kind "
            "ORDER BY n DESC, kind",
            [project_id],
        )
        return {row["kind"]: row["n"] for row in rows}

    def first(self, project_id: str) -> Query | None:
        """The query that came first; None where there is none."""
        row = self._db.row(
            f"SELECT {_QUERY} FROM queries WHERE project_id = ? ORDER BY position LIMIT 1",
            [project_id],
        )
        return None if row is None else _query(row)

    def pick(self, project_id: str, split: Split, place: float) -> Query | None:
        """The query of a split that stands at a place from 0 (the first) to 1 (the last); None where there is none."""
        row = self._db.row(
            f"SELECT {_QUERY} FROM queries WHERE project_id = ? AND split = ? "
            "ORDER BY position LIMIT 1 "
            "OFFSET (SELECT floor(? * count(*))::BIGINT FROM queries WHERE project_id = ? AND split = ?)",
            [project_id, split.value, min(place, 0.999999), project_id, split.value],
        )
        return None if row is None else _query(row)

    def beginnings(self, project_id: str, size: int) -> list[tuple[str, str]]:
        """The first 120 characters and the ids of some queries, held-out ones first, else in their order."""
        rows = self._db.rows(
            "SELECT left(text, 120) AS begin, id FROM queries WHERE project_id = ? "
            "ORDER BY split = 'heldout' DESC, position LIMIT ?",
            [project_id, size],
        )
        return [(row["begin"], row["id"]) for row in rows]

    def count_golds(self, project_id: str) -> int:
        """How many queries have both samples to distill from and a gold label."""
        row = self._db.remembered(
            "SELECT count(DISTINCT s.query_id) AS n FROM samples s JOIN golds g ON g.project_id = s.project_id "
            "AND g.query_id = s.query_id WHERE s.project_id = ? AND s.split = 'distill'",
            [project_id],
        )[0]
        return int(row["n"])

    def golds(self, project_id: str) -> dict[str, str]:
        """Gold labels by query id; for scoring only."""
        rows = self._db.rows("SELECT query_id, label FROM golds WHERE project_id = ?", [project_id])
        return {row["query_id"]: row["label"] for row in rows}


def _read_extra(text: str | None) -> dict[str, Any]:
    """What a task needs besides; nothing where that is no JSON object, as a stranger's file may have it."""
    try:
        extra = json.loads(text or "{}")
    except ValueError:
        return {}
    return extra if isinstance(extra, dict) else {}


def _query(row: Mapping[str, Any]) -> Query:
    choices = tuple(Choice(letter, text) for letter, text in json.loads(row["choices"]))
    extra = _read_extra(row["extra"])
    return Query(row["id"], row["text"], choices, row["kind"], row["key"], Split(row["split"]), extra, row["origin"])
