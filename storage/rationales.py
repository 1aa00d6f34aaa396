"""Rewritten rationales: every version of each, who wrote it, and which of them a person approved."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from engine.errors import Conflict
from engine.values import RationaleOrigin
from storage.db import Database
from storage.projects import now
from storage.runs import Run

Texts = dict[str, tuple[str, tuple[str, ...]]]
_NEWEST = (
    "SELECT *, EXISTS (SELECT 1 FROM approvals a WHERE a.run_id = v.run_id AND a.step = v.step "
    "AND a.sample_id = v.sample_id AND a.version = v.version) AS approved FROM rationales v "
    "WHERE run_id = ? AND step = ? AND NOT outdated "
    "QUALIFY row_number() OVER (PARTITION BY sample_id ORDER BY version DESC) = 1"
)
_LISTED = f"""
    SELECT n.sample_id AS sample, n.version, n.origin, n.text AS compressed, n.flags, n.approved, s.teacher, s.label,
        s.query_id, q.text AS query, coalesce(o.text, s.rationale) AS original, a.text AS student, q.position
    FROM ({_NEWEST}) n JOIN runs u ON u.id = n.run_id
    JOIN selection_rows k ON k.selection_id = u.selection_id AND k.sample_id = n.sample_id AND k.reason LIKE 'kept%'
    JOIN samples s ON s.project_id = u.project_id AND s.id = n.sample_id
    LEFT JOIN overrules o ON o.number = k.edit
    JOIN queries q ON q.project_id = u.project_id AND q.id = s.query_id
    LEFT JOIN answers a ON a.run_id = n.run_id AND a.step = ? AND a.query_id = s.query_id
"""
_FOUND = f"""
    SELECT * FROM ({_LISTED}) LEFT JOIN (
        SELECT unnest(?::VARCHAR[]) AS sample, unnest(?::INTEGER[]) AS long, unnest(?::INTEGER[]) AS short,
            unnest(?::BOOLEAN[]) AS changed, unnest(?::BOOLEAN[]) AS kept
    ) USING (sample)
    WHERE (contains(lower(query), lower(?)) OR contains(lower(compressed), lower(?))) AND
"""
_LENGTH = "coalesce(short, length(compressed))"
WHICH = {
    "all": "TRUE",
    "unapproved": "NOT approved",
    "changed": "coalesce(changed, FALSE)",
    "longer": f"{_LENGTH} > coalesce(long, length(original))",
    "edited": "origin <> 'compressed'",
    "kept": "coalesce(kept, FALSE)",
    "approved": "approved",
}
"""Which rationales are listed, by name."""
SORTS = {
    "": "position, sample",
    "query": "query, position, sample",
    "-query": "query DESC, position, sample",
    "tokens": f"{_LENGTH}, position, sample",
    "-tokens": f"{_LENGTH} DESC, position, sample",
}
"""In which order, by name; "": as their queries came."""


@dataclass(frozen=True)
class RationaleMeasures:
    """What the store doesn't know of rationales, one place a sample: their lengths and what their check found.

    Lengths are in the student's tokens; None: not known, characters count instead. `changed`: the rewriting did not
    keep the answer, `kept`: so the teacher's own text stayed.
    """

    samples: Sequence[str] = ()
    long: Sequence[int | None] = ()
    short: Sequence[int | None] = ()
    changed: Sequence[bool] = ()
    kept: Sequence[bool] = ()


@dataclass(frozen=True)
class Sought:
    """Which rationales are looked for: a text in the query or the short form, names of `WHICH` and of `SORTS`."""

    text: str = ""
    which: str = "all"
    sort: str = ""


@dataclass(frozen=True)
class Version:
    """A rewritten rationale as a person wrote or chose it; `approved`: by that it may be taught."""

    origin: RationaleOrigin
    text: str
    flags: tuple[str, ...] = ()
    approved: bool = True


class Rationales:
    """Table family of rewritten rationales and their approvals.

    They belong to the compress step that asked for them; where none is named, the run's last one that has any is meant.
    Versions are numbered by step and sample. When a step is done again, its earlier versions are outdated: they are
    history, and nothing is taught from them.
    """

    def __init__(self, db: Database) -> None:
        self._db = db

    def last_step(self, run_id: str) -> str:
        """The last compress step of a run that has rationales; "" where none has."""
        row = self._db.row(
            "SELECT s.name FROM steps s WHERE s.run_id = ? AND EXISTS (SELECT 1 FROM rationales v WHERE "
            "v.run_id = s.run_id AND v.step = s.name AND NOT v.outdated) ORDER BY s.position DESC LIMIT 1",
            [run_id],
        )
        return "" if row is None else str(row["name"])

    def count(self, project_id: str) -> int:
        """How many rationales a project's runs have rewritten, each counted once however many versions it has."""
        row = self._db.remembered(
            "SELECT count(DISTINCT (run_id, sample_id)) AS done FROM rationales WHERE project_id = ?", [project_id]
        )[0]
        return int(row["done"])

    def count_in(self, run_id: str) -> int:
        """How many rationales one run has rewritten that are not outdated."""
        row = self._db.row(
            "SELECT count(DISTINCT sample_id) AS done FROM rationales WHERE run_id = ? AND NOT outdated", [run_id]
        )
        return int(row["done"]) if row else 0

    def count_left(self, run: Run, step: str) -> dict[str, int]:
        """How many kept samples a compress step has not rewritten yet, by their teacher."""
        rows = self._db.rows(
            "SELECT k.teacher, count(*) AS n FROM selection_rows k WHERE k.selection_id = ? AND k.reason LIKE 'kept%' "
            "AND NOT EXISTS (SELECT 1 FROM rationales v WHERE v.run_id = ? AND v.step = ? AND NOT v.outdated "
            "AND v.sample_id = k.sample_id) GROUP BY k.teacher",
            [run.selection_id, run.id, step],
        )
        return {row["teacher"]: row["n"] for row in rows}

    def newest(self, run_id: str, step: str = "") -> Texts:
        """The newest version (compressed, edited or restored) and its flags, by sample id."""
        return _texts(self._db.rows(_NEWEST, [run_id, step or self.last_step(run_id)]))

    def approved(self, run_id: str, step: str = "") -> Texts:
        """The newest version that a person approved, by sample id."""
        return _texts(
            self._db.rows(
                "SELECT v.sample_id, v.text, v.flags FROM rationales v "
                "JOIN approvals a USING (run_id, step, sample_id, version) "
                "WHERE v.run_id = ? AND v.step = ? AND NOT v.outdated "
                "QUALIFY row_number() OVER (PARTITION BY v.sample_id ORDER BY v.version DESC) = 1",
                [run_id, step or self.last_step(run_id)],
            )
        )

    def listed(self, run_id: str, answers: str, sample_id: str | None = None, step: str = "") -> list[dict[str, Any]]:
        """Rewritten rationales of what the run's selection keeps, each beside the original and the student's own.

        `answers` is the step in which the student wrote. Keys: sample, version, origin, compressed, flags, approved,
        teacher, label, query_id, query, original, student (None: it wrote none).
        """
        rows = self._db.rows(
            f"SELECT * EXCLUDE (position) FROM ({_LISTED} WHERE ? IS NULL OR n.sample_id = ?) "
            "ORDER BY position, sample",
            [run_id, step or self.last_step(run_id), answers, sample_id, sample_id],
        )
        return [{**row, "flags": tuple(json.loads(row["flags"]))} for row in rows]

    def find_page(
        self, run_id: str, answers: str, measured: RationaleMeasures, sought: Sought, begin: int, size: int
    ) -> tuple[list[dict[str, Any]], int]:
        """Of a run's last step at most `size` rationales that are sought, behind the first `begin`, and how many are.

        Keys as of `listed`.

        Raises:
            KeyError: if there is no such filter or order.
        """
        matching = f"{_FOUND} {WHICH[sought.which]}"
        values = self._seek(run_id, answers, measured, sought)
        total = self._db.rows(f"SELECT count(*) AS n FROM ({matching})", values)[0]["n"]
        rows = self._db.rows(
            f"SELECT * EXCLUDE (position, long, short, changed, kept) FROM ({matching}) ORDER BY {SORTS[sought.sort]} "
            "LIMIT ? OFFSET ?",
            [*values, size, begin],
        )
        return [{**row, "flags": tuple(json.loads(row["flags"]))} for row in rows], int(total)

    def stream_found(
        self, run_id: str, answers: str, measured: RationaleMeasures, sought: Sought
    ) -> Iterator[tuple[Any, ...]]:
        """All that `find_page` finds, in its order.

        Columns: query, teacher, label, original, student, compressed, long, short (see `RationaleMeasures`), origin,
        approved.

        Raises:
            KeyError: if there is no such filter or order.
        """
        return self._db.stream(
            "SELECT query, teacher, label, original, student, compressed, long, short, origin, approved "
            f"FROM ({_FOUND} {WHICH[sought.which]}) ORDER BY {SORTS[sought.sort]}",
            self._seek(run_id, answers, measured, sought),
        )

    def find_next(
        self, run_id: str, answers: str, measured: RationaleMeasures, sought: Sought, sample_id: str
    ) -> tuple[str, int] | None:
        """The first unapproved rationale behind a sample's in the order that is sought, from the start again where
        none is behind it; with its place among those sought, from 0. None where no other is left.
        """
        which, own = WHICH[sought.which], [sample_id]
        rows = self._db.rows(
            f"WITH found AS (SELECT sample, approved, {which} AS shown, "
            f"row_number() OVER (ORDER BY {SORTS[sought.sort]}) AS place FROM ({_FOUND} ({which} OR sample = ?))) "
            "SELECT n.sample, (SELECT count(*) FROM found f WHERE f.shown AND f.place < n.place) AS place FROM found n "
            "WHERE NOT n.approved AND n.sample <> ? "
            "ORDER BY n.place < coalesce((SELECT place FROM found WHERE sample = ?), 0), n.place LIMIT 1",
            [*self._seek(run_id, answers, measured, sought), *own, *own, *own],
        )
        return (rows[0]["sample"], int(rows[0]["place"])) if rows else None

    def _seek(self, run_id: str, answers: str, measured: RationaleMeasures, sought: Sought) -> list[Any]:
        known = [list(measured.samples), list(measured.long), list(measured.short)]
        checked = [list(measured.changed), list(measured.kept)]
        return [run_id, self.last_step(run_id), answers, *known, *checked, sought.text, sought.text]

    def stamp(self, run_id: str) -> str:
        """Changes when the newest versions of a run's last step do, and not when some are approved."""
        row = self._db.row(
            "SELECT count(*) AS n, sum(version) AS versions, max(created_at) AS at FROM rationales "
            "WHERE run_id = ? AND step = ? AND NOT outdated",
            [run_id, self.last_step(run_id)],
        )
        return "" if row is None else f"{row['n']} {row['versions']} {row['at']}"

    def count_approved(self, run_id: str) -> int:
        """How many samples of a run's last step have a newest version that is approved."""
        rows = self._db.rows(f"SELECT count(*) AS n FROM ({_NEWEST}) WHERE approved", [run_id, self.last_step(run_id)])
        return int(rows[0]["n"])

    def versions(self, run_id: str, sample_id: str) -> list[dict[str, Any]]:
        """All versions of one in the run's last step, outdated ones too, oldest first.

        Keys: version, origin, text, flags, note, created_at, approved.
        """
        rows = self._db.rows(
            "SELECT version, origin, text, flags, note, created_at, EXISTS (SELECT 1 FROM approvals a WHERE "
            "a.run_id = v.run_id AND a.step = v.step AND a.sample_id = v.sample_id AND a.version = v.version) "
            "AS approved "
            "FROM rationales v WHERE run_id = ? AND sample_id = ? AND step = ? ORDER BY version",
            [run_id, sample_id, self.last_step(run_id)],
        )
        return [{**row, "flags": tuple(json.loads(row["flags"]))} for row in rows]

    def add(self, run: Run, sample_id: str, version: Version, seen: int | None = None) -> int:
        """Add a version; earlier ones stay. Returns its number.

        `seen` is the newest version when the person looked; None where it doesn't matter.

        Raises:
            Conflict: if there is a newer one; then nothing is stored.
        """
        step = self.last_step(run.id)
        with self._db.write() as writer:
            rows = writer.run(
                "SELECT coalesce(max(version), 0), coalesce(max(version) FILTER (WHERE NOT outdated), 0) "
                "FROM rationales WHERE run_id = ? AND step = ? AND sample_id = ?",
                [run.id, step, sample_id],
            )
            last, newest = map(int, rows[0])
            if seen is not None and seen != newest:
                raise Conflict(
                    "This rationale was changed elsewhere after you opened it. Nothing was overwritten and your text "
                    "is still in its box: open it again to see theirs."
                )
            values = [version.origin.value, last + 1, version.text, json.dumps(list(version.flags)), now()]
            writer.run(
                "INSERT INTO rationales (project_id, run_id, step, sample_id, origin, version, text, flags, "
                "created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [run.project_id, run.id, step, sample_id, *values],
            )
            if version.approved:
                writer.run("INSERT INTO approvals VALUES (?, ?, ?, ?, ?)", [run.id, step, sample_id, last + 1, now()])
        return last + 1

    def approve(self, run_id: str, versions: Sequence[tuple[str, int]], step: str = "") -> int:
        """Approve versions, each named by its sample and number; those approved before stay so. Returns how many."""
        named = step or self.last_step(run_id)
        table = pa.table(
            {
                "run_id": pa.array([run_id] * len(versions), pa.string()),
                "step": pa.array([named] * len(versions), pa.string()),
                "sample_id": pa.array([sample for sample, _ in versions], pa.string()),
                "version": pa.array([version for _, version in versions], pa.int32()),
                "created_at": pa.array([now()] * len(versions), pa.timestamp("us")),
            }
        )
        with self._db.write() as writer:
            if versions:
                writer.insert("approvals", table, "ON CONFLICT DO NOTHING")
        return len(versions)

    def withdraw(self, run_id: str, *samples: str) -> None:
        """Take the approvals of all versions of some samples back, in the run's last step."""
        step = self.last_step(run_id)
        with self._db.write() as writer:
            writer.run(
                "DELETE FROM approvals WHERE run_id = ? AND step = ? AND sample_id IN (SELECT unnest(?::VARCHAR[]))",
                [run_id, step, list(samples)],
            )


def _texts(rows: Sequence[dict[str, Any]]) -> Texts:
    return {row["sample_id"]: (row["text"], tuple(json.loads(row["flags"]))) for row in rows}
