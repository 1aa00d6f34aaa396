"""What a person decided over the selection. Nothing is overwritten, so all can be undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import pyarrow as pa

from engine.errors import Conflict
from storage.db import Database, Transaction
from storage.projects import now

Action = Literal["keep", "drop", "edit"]


@dataclass(frozen=True)
class Decision:
    """One decision over one sample; `text` is the rationale that an edit puts in place of the teacher's."""

    sample_id: str
    action: Action
    text: str | None = None


class Edit(NamedTuple):
    """A rationale as a person rewrote it; numbers grow with time."""

    number: int
    text: str


class Decided(NamedTuple):
    """The decisions that count: keep or drop, and the newest text, each by sample."""

    actions: dict[str, str]
    edits: dict[str, Edit]


class Overrules:
    """Table family of overrules."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, project_id: str, decisions: Sequence[Decision], seen: int | None = None) -> int:
        """Record what was decided at once, in one go with one undoing; returns the number of the last decision.

        `seen` is the number of the edit that whoever decided had before them (0: the teacher's own text); None where
        that does not matter.

        Raises:
            Conflict: if the first sample has been edited since; then nothing is recorded.
        """
        at = now()
        rows = {
            "project_id": pa.array([project_id] * len(decisions), pa.string()),
            "sample_id": [decision.sample_id for decision in decisions],
            "action": [decision.action for decision in decisions],
            "text": pa.array([decision.text for decision in decisions], pa.string()),
            "created_at": [at] * len(decisions),
        }
        with self._db.write() as writer:
            if seen is not None and _newest_edit(writer, project_id, decisions[0].sample_id) != seen:
                raise Conflict(
                    "This rationale was edited elsewhere after you opened it. Nothing was overwritten and your text is "
                    "still in its box: choose the sample again to see theirs."
                )
            writer.insert("overrules", pa.table(rows))
            newest = writer.run("SELECT max(number) FROM overrules WHERE project_id = ?", [project_id])
        return int(newest[0][0])

    def mark(self, project_id: str) -> tuple[int, int]:
        """What tells one state of a project's decisions from another, at little cost."""
        row = self._db.remembered(
            "SELECT coalesce(max(number), 0) AS newest, count(*) FILTER (WHERE undone) AS undone FROM overrules "
            "WHERE project_id = ?",
            [project_id],
        )[0]
        return int(row["newest"]), int(row["undone"])

    def counting(self, project_id: str) -> int:
        """How many decisions count: those that nobody took back."""
        sql = "SELECT count(*) AS n FROM overrules WHERE project_id = ? AND NOT undone"
        return int(self._db.remembered(sql, [project_id])[0]["n"])

    def edits(self, project_id: str, sample_ids: Sequence[str]) -> dict[str, Edit]:
        """The edits that count of some samples."""
        rows = self._db.rows(
            "SELECT sample_id, number, text FROM overrules WHERE project_id = ? AND NOT undone AND action = 'edit' "
            "AND sample_id IN (SELECT unnest(?::VARCHAR[])) "
            "QUALIFY row_number() OVER (PARTITION BY sample_id ORDER BY number DESC) = 1",
            [project_id, list(sample_ids)],
        )
        return {row["sample_id"]: Edit(row["number"], row["text"]) for row in rows}

    def current(self, project_id: str) -> Decided:
        """The decisions that count: of each sample and sort the newest that was not undone."""
        rows = self._db.rows(
            "SELECT sample_id, action, number, text FROM overrules WHERE project_id = ? AND NOT undone "
            "QUALIFY row_number() OVER (PARTITION BY sample_id, action = 'edit' ORDER BY number DESC) = 1",
            [project_id],
        )
        return Decided(
            {row["sample_id"]: row["action"] for row in rows if row["action"] != "edit"},
            {row["sample_id"]: Edit(row["number"], row["text"]) for row in rows if row["action"] == "edit"},
        )

    def undo(self, project_id: str) -> dict[str, Any] | None:
        """Take the newest decision back (all samples that were decided at once); what it was, or None."""
        with self._db.write() as writer:
            newest = writer.run(
                "SELECT created_at FROM overrules WHERE project_id = ? AND NOT undone ORDER BY number DESC LIMIT 1",
                [project_id],
            )
            if not newest:
                return None
            undone = writer.run(
                "UPDATE overrules SET undone = TRUE WHERE project_id = ? AND created_at = ? AND NOT undone "
                "RETURNING sample_id, action",
                [project_id, newest[0][0]],
            )
        actions = sorted({row[1] for row in undone})
        return {"action": " and ".join(actions), "samples": [row[0] for row in undone]}


def _newest_edit(writer: Transaction, project_id: str, sample_id: str) -> int:
    row = writer.run(
        "SELECT coalesce(max(number), 0) FROM overrules WHERE project_id = ? AND sample_id = ? AND action = 'edit' "
        "AND NOT undone",
        [project_id, sample_id],
    )
    return int(row[0][0])
