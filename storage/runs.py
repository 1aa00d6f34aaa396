"""Runs of plans: their steps, metrics and answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa

from engine.config import read_config
from engine.errors import NotFound
from engine.plans import Plan
from engine.values import EvalItem, Generation, JobStatus, RunStatus
from storage.db import Database, Transaction
from storage.projects import newest
from storage.second_draws import SECOND, read_second

_PLANS = 4_000
"""Plans that are remembered as they were read."""


@dataclass(frozen=True)
class Run:
    """One run of a plan on one selection.

    `number` counts a project's runs from 1, the oldest first; a run that is not stored has none. `created_at` in UTC.
    `threads`: how many its first worker had; None before there was one.
    """

    id: str
    project_id: str
    selection_id: str
    plan: Plan
    folder: str
    status: RunStatus
    message: str
    name: str = ""
    note: str = ""
    number: int = field(default=0, compare=False)
    created_at: datetime | None = field(default=None, compare=False)
    threads: int | None = field(default=None, compare=False)

    @property
    def title(self) -> str:
        """What people know it by: the name somebody gave it, else its number among the project's runs."""
        return self.name or f"Run {self.number}"


@dataclass(frozen=True)
class StepState:
    """Where one step of a run stands. `fingerprint` is that of the inputs its result was made from."""

    name: str
    kind: str
    status: JobStatus
    job_id: str | None
    fingerprint: str | None
    result: Mapping[str, Any]


@dataclass(frozen=True)
class StepOf:
    """A finished step of some run, and that run's folder."""

    run_id: str
    name: str
    folder: str
    result: Mapping[str, Any]


@dataclass(frozen=True)
class RunPage:
    """Some runs of a project: those whose name, note or plan holds `search` and that stand so (none named: any).

    `sort` is name, started, plan or status, with a hyphen before it from the last on; else the newest come first.
    """

    project_id: str
    size: int
    begin: int = 0
    search: str = ""
    statuses: tuple[RunStatus, ...] = ()
    sort: str = ""


_NAME, _NOTE = 80, 2_000
_RUN = (
    "id, project_id, selection_id, plan, folder, status, message, "
    f"left(coalesce(name, ''), {_NAME}) AS name, left(coalesce(note, ''), {_NOTE}) AS note, number, created_at, "
    "CASE WHEN threads > 0 THEN threads END AS threads FROM "
    "(SELECT *, row_number() OVER (PARTITION BY project_id ORDER BY created_at, id) AS number FROM runs)"
)
_SORTS = {"name": "lower(title)", "started": "created_at", "plan": "plan_name", "status": "status"}


class Runs:
    """Table family of runs."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._plans: dict[str, Plan] = {}

    def _read(self, row: Mapping[str, Any]) -> Run:
        """A run of a row; its plan, which never changes, is read once."""
        text = row["plan"]
        plan = self._plans.get(text)
        if plan is None:
            while len(self._plans) >= _PLANS:
                self._plans.pop(next(iter(self._plans)), None)
            plan = self._plans[text] = read_config(Plan, json.loads(text))
        return Run(**{**row, "plan": plan, "status": RunStatus(row["status"])})

    def add(self, run: Run) -> None:
        """Store a run with all its steps queued."""
        with self._db.write() as writer:
            writer.run(
                "INSERT INTO runs (id, project_id, selection_id, plan, folder, status, message, created_at, name, "
                "note) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    run.id,
                    run.project_id,
                    run.selection_id,
                    run.plan.model_dump_json(),
                    run.folder,
                    run.status.value,
                    run.message,
                    newest(writer, "runs", run.project_id),
                    run.name,
                    run.note,
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
        rows = self._db.rows(f"SELECT {_RUN} WHERE starts_with(id, ?)", [run_id])
        if len(rows) != 1 or not run_id:
            raise NotFound(f"{'no run' if not rows else 'more than one run'} begins with {run_id!r}; see `tacit runs`")
        return self._read(rows[0])

    def all(self, project_id: str | None = None) -> list[Run]:
        """Runs, newest first, of one project or all."""
        where, values = ("", []) if project_id is None else ("WHERE project_id = ?", [project_id])
        return [
            self._read(row) for row in self._db.remembered(f"SELECT {_RUN} {where} ORDER BY created_at DESC", values)
        ]

    def page(self, asked: RunPage) -> tuple[list[Run], int]:
        """Some of a project's runs, and how many were found in all."""
        where = "project_id = ?"
        values: list[Any] = [asked.project_id]
        if asked.search:
            where += " AND contains(lower(concat_ws(' ', title, note, plan_name)), lower(?))"
            values.append(asked.search)
        if asked.statuses:
            where += f" AND status IN ({', '.join('?' * len(asked.statuses))})"
            values += [status.value for status in asked.statuses]
        column, order = _SORTS.get(asked.sort.removeprefix("-"), ""), "DESC" if asked.sort.startswith("-") else "ASC"
        sort = f"{column} {order}, created_at DESC, id" if column else "created_at DESC, id"
        titled = (
            f"SELECT *, coalesce(nullif(name, ''), 'Run ' || number) AS title, plan->>'name' AS plan_name "
            f"FROM (SELECT {_RUN})"
        )
        total = self._db.remembered(f"SELECT count(*) AS n FROM ({titled}) WHERE {where}", values)[0]["n"]
        sql = f"SELECT * EXCLUDE (title, plan_name) FROM ({titled}) WHERE {where} ORDER BY {sort} LIMIT ? OFFSET ?"
        rows = self._db.remembered(sql, [*values, asked.size, asked.begin])
        return [self._read(row) for row in rows], int(total)

    def rename(self, run_id: str, name: str, note: str) -> None:
        """Give a run a name ("": its number again) and a note."""
        with self._db.write() as writer:
            writer.run("UPDATE runs SET name = ?, note = ? WHERE id = ?", [name, note, run_id])

    def count(self, project_id: str, status: RunStatus) -> int:
        """How many runs of a project stand so."""
        sql = "SELECT count(*) AS n FROM runs WHERE project_id = ? AND status = ?"
        return int(self._db.remembered(sql, [project_id, status.value])[0]["n"])

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

    def find_step(self, project_id: str, kind: str, fingerprint: str) -> StepOf | None:
        """The newest finished step of a kind that a run of the project did itself from these inputs."""
        row = self._db.row(
            "SELECT s.run_id, s.name, u.folder, s.result FROM steps s JOIN runs u ON u.id = s.run_id "
            "WHERE u.project_id = ? AND s.kind = ? AND s.fingerprint = ? AND s.status = 'finished' "
            "AND s.job_id IS NOT NULL ORDER BY u.created_at DESC LIMIT 1",
            [project_id, kind, fingerprint],
        )
        return StepOf(**{**row, "result": json.loads(row["result"])}) if row else None

    def copy_step(self, source: tuple[str, str], target: tuple[str, str], system: str | None = None) -> None:
        """Give a (run, step) the answers and metrics of another; `system`: under which name they are answered there."""
        with self._db.write() as writer:
            writer.run(
                "INSERT OR REPLACE INTO answers SELECT * REPLACE (? AS run_id, ? AS step, "
                "coalesce(?, system) AS system) FROM answers WHERE run_id = ? AND step = ?",
                [*target, system, *source],
            )
            writer.run(
                "INSERT OR REPLACE INTO metrics SELECT * REPLACE (? AS run_id, ? AS step) FROM metrics "
                "WHERE run_id = ? AND step = ?",
                [*target, *source],
            )

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
            "SELECT query_id, text, tokens, finished, latency_s, log_prob, label_tokens FROM answers "
            "WHERE run_id = ? AND step = ?",
            [run_id, step],
        )
        return {row["query_id"]: Generation(**{**row, "latency_s": row["latency_s"] or 0.0}) for row in rows}

    def find_answer(self, run_id: str, step: str, query_id: str = "") -> Generation | None:
        """What the student wrote to one query in one step, without an id to any of them; None where that is nothing."""
        row = self._db.row(
            "SELECT query_id, text, tokens, finished, latency_s, log_prob, label_tokens FROM answers "
            "WHERE run_id = ? AND step = ? AND (? = '' OR query_id = ?) LIMIT 1",
            [run_id, step, query_id, query_id],
        )
        return None if row is None else Generation(**{**row, "latency_s": row["latency_s"] or 0.0})

    def answers(self, run_id: str, step: str) -> list[EvalItem]:
        """The answers of one evaluation step."""
        rows = self._db.rows(
            "SELECT system, query_id, NULL AS kind, text, label, tokens, latency_s, correct, finished, log_prob, "
            "label_tokens FROM answers WHERE run_id = ? AND step = ? ORDER BY system, query_id",
            [run_id, step],
        )
        return [EvalItem(**row) for row in rows]

    def scored(self, run_id: str) -> list[EvalItem]:
        """The scored answers of all students of a run, with the kinds of their queries; without texts and labels."""
        rows = self._db.rows(
            "SELECT a.system, a.query_id, q.kind, '' AS text, NULL AS label, a.tokens, a.latency_s, a.correct, "
            "a.log_prob, a.label_tokens "
            "FROM answers a JOIN steps s ON s.run_id = a.run_id AND s.name = a.step AND s.kind = 'evaluate' "
            "JOIN runs u ON u.id = a.run_id JOIN queries q ON q.project_id = u.project_id AND q.id = a.query_id "
            "WHERE a.run_id = ? AND a.correct IS NOT NULL ORDER BY a.system, a.query_id",
            [run_id],
        )
        return [EvalItem(**row) for row in rows]

    def judged(self, run_id: str, teachers: str) -> list[EvalItem]:
        """All answers to held-out queries that count in a run, with log-probs and second draws; without texts.

        `teachers` is the step in which the teachers' answers stand; theirs have no verdict where no label is gold. The
        label is "" where there is one, None where nothing could be read.
        """
        rows = self._db.rows(
            "SELECT a.system, a.query_id, q.kind, '' AS text, CASE WHEN a.label IS NOT NULL THEN '' END AS label, "
            f"a.tokens, a.latency_s, a.correct, a.finished, a.log_prob, {SECOND} "
            "FROM answers a JOIN runs u ON u.id = a.run_id "
            "JOIN queries q ON q.project_id = u.project_id AND q.id = a.query_id AND q.split = 'heldout' "
            "LEFT JOIN steps s ON s.run_id = a.run_id AND s.name = a.step "
            "WHERE a.run_id = ? AND (s.kind = 'evaluate' OR a.step = ?) ORDER BY a.system, a.query_id",
            [run_id, teachers],
        )
        return [EvalItem(**{**row, "second": read_second(row["second"])}) for row in rows]

    def metrics(self, run_id: str, step: str) -> list[dict[str, Any]]:
        """Metrics of a step by update."""
        return self._db.rows(
            "SELECT update_no, name, value FROM metrics WHERE run_id = ? AND step = ? ORDER BY update_no, name",
            [run_id, step],
        )

    def other_threads(self, run_id: str) -> list[dict[str, Any]]:
        """Workers of a run that computed on processors with other threads than its first one had, in their order.

        Keys: threads, named (by a person), step (the first that it went on with; None: none).
        """
        return self._db.rows(
            "SELECT TRY_CAST(e.data->>'threads' AS BIGINT) AS threads, e.data->>'named' = 'true' AS named, "
            "(SELECT arg_min(s.data->>'step', s.seq) FROM events s WHERE s.job_id = e.job_id AND s.seq > e.seq "
            "AND s.type = 'step_started') AS step "
            "FROM events e JOIN jobs j ON j.id = e.job_id JOIN runs r ON r.id = j.run_id WHERE r.id = ? "
            "AND e.type = 'threads' AND e.data->>'device' = 'cpu' "
            "AND TRY_CAST(e.data->>'threads' AS BIGINT) <> r.threads ORDER BY j.number, e.seq",
            [run_id],
        )

    def paces(self, run_id: str) -> dict[str, tuple[float | None, int]]:
        """By train step: seconds between two updates (median; None: not known), and how many there are to be."""
        rows = self._db.rows(
            "SELECT step, median(gap) AS gap, arg_max(most, seq) AS most FROM (SELECT e.data->>'step' AS step, e.seq, "
            "(e.data->>'of')::BIGINT AS most, "
            'e."at" - lag(e."at") OVER (PARTITION BY e.job_id, e.data->>\'step\' ORDER BY e.seq) AS gap '
            "FROM events e JOIN jobs j ON j.id = e.job_id WHERE j.run_id = ? AND e.type = 'metric' "
            "AND (e.data->>'$.values.loss') IS NOT NULL) GROUP BY step",
            [run_id],
        )
        return {row["step"]: (row["gap"], row["most"]) for row in rows}

    def updates(self, run_id: str) -> dict[str, int]:
        """By train step: how many updates are done."""
        rows = self._db.rows("SELECT step, max(update_no) AS n FROM metrics WHERE run_id = ? GROUP BY step", [run_id])
        return {row["step"]: row["n"] for row in rows}

    def written(self, run_id: str) -> dict[str, tuple[int, float | None]]:
        """By step: how many answers are there, and seconds that one took on average (None: not known)."""
        rows = self._db.rows(
            "SELECT step, count(*) AS n, avg(latency_s) AS latency FROM answers WHERE run_id = ? GROUP BY step",
            [run_id],
        )
        return {row["step"]: (row["n"], row["latency"]) for row in rows}

    def step_seconds(self, run_id: str) -> dict[str, float]:
        """By step: seconds that its present job took for it so far; pauses before a step is resumed do not count."""
        rows = self._db.rows(
            "SELECT step, sum(took) AS seconds FROM (SELECT e.data->>'step' AS step, e.type, CASE WHEN e.type = "
            "'step_started' THEN 0 ELSE e.\"at\" - lag(e.\"at\") OVER (PARTITION BY e.job_id, e.data->>'step' "
            "ORDER BY e.seq) END AS took FROM events e JOIN steps s ON s.job_id = e.job_id "
            "AND s.name = e.data->>'step' WHERE s.run_id = ?) GROUP BY step HAVING sum(took) IS NOT NULL",
            [run_id],
        )
        return {row["step"]: row["seconds"] for row in rows}

    def device_seconds(self, *run_ids: str) -> float:
        """How long some runs' workers had the device; a gap in a journal, maybe a pause, counts for an hour at most."""
        row = self._db.row(
            'SELECT coalesce(sum(least(coalesce(took, 0), 3600)), 0) AS seconds FROM (SELECT e."at" - lag(e."at") OVER '
            "(PARTITION BY j.id ORDER BY e.seq) AS took FROM events e JOIN jobs j ON j.id = e.job_id "
            "WHERE list_contains(?, j.run_id) AND j.kind IN ('student', 'second-draws'))",
            [list(run_ids)],
        )
        return float(row["seconds"]) if row else 0.0


def put_scores(writer: Transaction, run_id: str, step: str, items: Sequence[EvalItem]) -> None:
    """Store labels and verdicts of a step's scored answers."""
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
    writer.update("answers", table, ("run_id", "step", "system", "query_id"))
