"""What is known of samples beside their teachers' own scores: log-probs of labels, grades."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.values import Event, Purpose
from storage.db import Database, Transaction

_GIVEN = (Purpose.LABEL, Purpose.EVALUATE, Purpose.GRADE)
"""Requests whose replies give evidence; of samples those alone that the very reply makes."""
_SCHEMA = pa.schema([*((name, pa.string()) for name in ("project_id", "sample_id", "name")), ("value", pa.float64())])


class Evidence:
    """Table family of evidence."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def state(self, project_id: str) -> tuple[int, int]:
        """Number and hash of what is known of a project's samples: another pair means that something changed."""
        row = self._db.remembered(
            "SELECT count(*) AS n, coalesce(bit_xor(hash(sample_id, name, value)), 0)::HUGEINT AS mark FROM evidence "
            "WHERE project_id = ?",
            [project_id],
        )[0]
        return int(row["n"]), int(row["mark"])

    def columns(self, project_id: str) -> dict[str, NDArray[np.float64]]:
        """By name what is known of the distillation samples in the order of their ids, (N,), NaN where nothing is."""
        table = self._db.arrow(
            """
            SELECT s.place, s.total, e.name, e.value FROM (
                SELECT id, row_number() OVER (ORDER BY id) - 1 AS place, count(*) OVER () AS total FROM samples
                WHERE project_id = ? AND split = 'distill'
            ) s JOIN evidence e ON e.project_id = ? AND e.sample_id = s.id
            """,
            [project_id, project_id],
        )
        if not table.num_rows:
            return {}
        place, value = table["place"].to_numpy(), table["value"].to_numpy()
        names = np.array(table["name"].to_pylist())
        columns = {}
        for name in sorted(set(names.tolist())):
            column = np.full(table["total"][0].as_py(), np.nan)
            column[place[names == name]] = value[names == name]
            columns[name] = column
        return columns

    def tally(self, project_id: str, name: str) -> list[dict[str, Any]]:
        """By teacher its distillation samples, and how often each value of this is known of them.

        Keys: teacher, samples, values (a count by value).
        """
        rows = self._db.remembered(
            "SELECT s.teacher, e.value, count(*) AS n FROM samples s LEFT JOIN evidence e "
            "ON e.project_id = s.project_id AND e.sample_id = s.id AND e.name = ? "
            "WHERE s.project_id = ? AND s.split = 'distill' GROUP BY ALL ORDER BY ALL",
            [name, project_id],
        )
        by_teacher: dict[str, dict[str, Any]] = {}
        for row in rows:
            own = by_teacher.setdefault(row["teacher"], {"teacher": row["teacher"], "samples": 0, "values": {}})
            own["samples"] += row["n"]
            if row["value"] is not None:
                own["values"][row["value"]] = row["n"]
        return list(by_teacher.values())

    def known(self, project_id: str, name: str) -> set[str]:
        """Ids of the samples of which this is known."""
        sql = "SELECT sample_id FROM evidence WHERE project_id = ? AND name = ?"
        return {row["sample_id"] for row in self._db.rows(sql, [project_id, name])}


def put_evidence(writer: Transaction, project_id: str, events: Sequence[Event], known: set[str]) -> None:
    """Keep what replies say of their samples, what was known first staying.

    `known` are ids of samples that were there before: another reply for them says nothing of theirs.
    """
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    made: set[str] = set(known)
    for event in events:
        data = event.data
        if data["purpose"] not in _GIVEN:
            continue
        about = data["sample_id"]
        if data["purpose"] != Purpose.GRADE:
            if not data.get("sample") or about in made:
                continue
            made.add(about)
        for name, value in _read(data.get("evidence")).items():
            row = {"project_id": project_id, "sample_id": about, "name": name, "value": value}
            rows.setdefault((about, name), row)
    if rows:
        table = pa.Table.from_pylist(list(rows.values()), schema=_SCHEMA)
        writer.insert("evidence", table, "ON CONFLICT DO NOTHING")


def _read(evidence: object) -> dict[str, float]:
    """Numbers by name; whatever else a journal holds is left out."""
    given = evidence if isinstance(evidence, Mapping) else {}
    return {
        str(name): float(value)
        for name, value in given.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    }
