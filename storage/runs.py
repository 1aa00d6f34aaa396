"""Runs of plans: their steps, metrics and answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from engine.config import read_config
from engine.errors import NotFound
from engine.plans import Plan
from engine.types import EvalItem, Generation, JobStatus, RunStatus
from storage.db import Database
from storage.projects import now


@dataclass(frozen=True)
class Run:
    """One run of a plan on one selection."""

    id: str
    project_id: str
    selection_id: str
    plan: Plan
    folder: str
    status: RunStatus
    message: str


@dataclass(frozen=True)
class StepState:
    """Where one step of a run stands. `fingerprint` is that of the inputs its result was made from."""

    name: str
    kind: str
    status: JobStatus
    job_id: str | None
    fingerprint: str | None
    result: Mapping[str, Any]


_RUN = "id, project_id, selection_id, plan, folder, status, message"


class Runs:
    """Table family of runs."""

    def __init__(self, db: Database) -> None:
        """On an open database."""
        self._db = db

    def add(self, run: Run) -> None:
        """Store a run with all its steps queued."""
        with self._db.write() as writer:
            writer.run(
                "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    run.id,
                    run.project_id,
                    run.selection_id,
                    run.plan.model_dump_json(),
                    run.folder,
                    run.status.value,
                    run.message,
                    now(),
                ],
            )
            for position, step in enumerate(run.plan.steps):
                writer.run(
                    "INSERT INTO steps VALUES (?, ?, ?, ?, 'queued', NULL, NULL, '{}')",
                    [run.id, position, step.name, step.kind],
                )

    def get(self, run_id: str) -> Run:
        """A run by id or by the beginning of its id.

        Raises:
            NotFound: if there is none, or more than one.
        """
        rows = self._db.rows(f"SELECT {_RUN} FROM runs WHERE starts_with(id, ?)", [run_id])
        if len(rows) != 1 or not run_id:
            raise NotFound(f"{'no run' if not rows else 'more than one run'} begins with {run_id!r}; see `tacit runs`")
        return _run(rows[0])

    def all(self, project_id: str | None = None) -> list[Run]:
        """Runs, newest first, of one project or all."""
        where, values = ("", []) if project_id is None else ("WHERE project_id = ?", [project_id])
        return [
            _run(row)
            for row in self._db.remembered(f"SELECT {_RUN} FROM runs {where} ORDER BY created_at DESC", values)
        ]

    def set_status(self, run_id: str, status: RunStatus, message: str = "") -> None:
        """Change where a run stands."""
        with self._db.write() as writer:
            writer.run("UPDATE runs SET status = ?, message = ? WHERE id = ?", [status.value, message, run_id])

    def steps(self, run_id: str) -> list[StepState]:
        """The steps in the plan's order."""
        rows = self._db.rows(
            "SELECT name, kind, status, job_id, fingerprint, result FROM steps WHERE run_id = ? ORDER BY position",
            [run_id],
        )
        return [
            StepState(
                row["name"],
                row["kind"],
                JobStatus(row["status"]),
                row["job_id"],
                row["fingerprint"],
                json.loads(row["result"]),
            )
            for row in rows
        ]

    def set_step(self, run_id: str, name: str, **changes: Any) -> None:
        """Change status, job_id, fingerprint or result of a step."""
        names = ", ".join(f"{column} = ?" for column in changes)
        values = [json.dumps(value) if column == "result" else value for column, value in changes.items()]
        with self._db.write() as writer:
            writer.run(f"UPDATE steps SET {names} WHERE run_id = ? AND name = ?", [*values, run_id, name])

    def reset_steps(self, run_id: str, names: Sequence[str]) -> None:
        """Queue steps again; their answers and metrics go, journals stay, and rationales stay as history."""
        with self._db.write() as writer:
            for name in names:
                writer.run("DELETE FROM answers WHERE run_id = ? AND step = ?", [run_id, name])
                writer.run("DELETE FROM metrics WHERE run_id = ? AND step = ?", [run_id, name])
                writer.run("UPDATE rationales SET outdated = TRUE WHERE run_id = ? AND step = ?", [run_id, name])
                writer.run(
                    "UPDATE steps SET status = 'queued', job_id = NULL, fingerprint = NULL, result = '{}' "
                    "WHERE run_id = ? AND name = ?",
                    [run_id, name],
                )

    def generations(self, run_id: str, step: str) -> dict[str, Generation]:
        """What the student wrote in one step, by query id."""
        rows = self._db.rows(
            "SELECT query_id, text, tokens, finished, latency_s FROM answers WHERE run_id = ? AND step = ?",
            [run_id, step],
        )
        return {row["query_id"]: Generation(**{**row, "latency_s": row["latency_s"] or 0.0}) for row in rows}

    def answers(self, run_id: str, step: str) -> list[EvalItem]:
        """The answers of one evaluation step."""
        rows = self._db.rows(
            "SELECT system, query_id, NULL AS kind, text, label, tokens, latency_s, correct FROM answers "
            "WHERE run_id = ? AND step = ? ORDER BY system, query_id",
            [run_id, step],
        )
        return [EvalItem(**row) for row in rows]

    def scored(self, run_id: str) -> list[EvalItem]:
        """The scored answers of all students of a run, with the kinds of their queries; without texts and labels."""
        rows = self._db.rows(
            "SELECT a.system, a.query_id, q.kind, '' AS text, NULL AS label, a.tokens, a.latency_s, a.correct "
            "FROM answers a JOIN steps s ON s.run_id = a.run_id AND s.name = a.step AND s.kind = 'evaluate' "
            "JOIN runs u ON u.id = a.run_id JOIN queries q ON q.project_id = u.project_id AND q.id = a.query_id "
            "WHERE a.run_id = ? AND a.correct IS NOT NULL ORDER BY a.system, a.query_id",
            [run_id],
        )
        return [EvalItem(**row) for row in rows]

    def forget_scores(self, run_id: str) -> None:
        """Take back the verdicts on all answers of a run, before they are scored anew."""
        with self._db.write() as writer:
            writer.run("UPDATE answers SET correct = NULL WHERE run_id = ?", [run_id])

    def metrics(self, run_id: str, step: str) -> list[dict[str, Any]]:
        """Metrics of a step by update."""
        return self._db.rows(
            "SELECT update_no, name, value FROM metrics WHERE run_id = ? AND step = ? ORDER BY update_no, name",
            [run_id, step],
        )

    def set_scores(self, run_id: str, step: str, items: Sequence[EvalItem]) -> None:
        """Store labels and verdicts of scored answers."""
        table = pa.table(
            {
                "run_id": pa.array([run_id] * len(items), pa.string()),
                "step": pa.array([step] * len(items), pa.string()),
                "system": pa.array([item.system for item in items], pa.string()),
                "query_id": pa.array([item.query_id for item in items], pa.string()),
                "label": pa.array([item.label for item in items], pa.string()),
                "correct": pa.array([item.correct for item in items], pa.bool_()),
            }
        )
        with self._db.write() as writer:
            writer.update("answers", table, ("run_id", "step", "system", "query_id"))


def _run(row: Mapping[str, Any]) -> Run:
    plan = read_config(Plan, json.loads(row["plan"]))
    return Run(**{**row, "plan": plan, "status": RunStatus(row["status"])})
