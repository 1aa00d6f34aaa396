"""Comparing students, teachers and baselines: scores beside tokens and money, where two differ, when it pays back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from app.usecases.context import Context
from app.usecases.stages import TEACHERS
from engine.dataset import complete
from engine.errors import InputError
from engine.evaluate import break_even, recommend
from engine.ports import Task
from engine.tasks import get_task
from engine.tasks.reply import read_growing
from engine.types import Difference, Purpose, Query, ReportRow
from storage.runs import Run

PAGE = 10
Group = Literal["untrained", "stage", "baseline", "teacher"]
_VANILLA = "vanilla-fewshot"


@dataclass(frozen=True)
class System:
    """One row of the comparison. Money in US dollars, None where it is unknown.

    Tokens of `report` are the student tokenizer's, for comparing lengths; `billed_tokens` are what the provider bills,
    for money. `gained` is the paired difference against few-shot vanilla.
    """

    report: ReportRow
    group: Group
    cost_per_1000: float | None
    billed_tokens: float | None
    gained: Difference | None
    ship: bool


@dataclass(frozen=True)
class PayBack:
    """When a student has paid back what it cost to make. Money in US dollars; None: not known."""

    asking: float
    unknown_requests: int
    device_hours: float
    device: float | None
    teacher_cost: float | None
    student_cost: float | None
    queries: float | None


@dataclass(frozen=True)
class CompareService:
    """Use cases of comparing."""

    context: Context

    def systems(self, run: Run, device_hour: float | None = None) -> list[System]:
        """All systems of a run's report. `device_hour`: what an hour of the device costs the user, in US dollars."""
        rows = self.context.reports.rows(run.id)
        groups = _groups(run)
        stages = [name for name, group in groups.items() if group == "stage"]
        ship = recommend(rows, stages)
        gained = {d.name: d for d in self.context.reports.differences(run.id) if d.baseline == _VANILLA}
        billed = self._billed(run)
        systems = []
        for row in rows:
            if row.kind != "all":
                continue
            group = groups.get(row.name, "teacher")
            money, tokens = billed.get(row.name, (None, None)) if group == "teacher" else (None, None)
            cost = money if group == "teacher" else _device_cost(row, device_hour)
            systems.append(System(row, group, cost, tokens, gained.get(row.name), row.name == ship))
        return systems

    def ship_by_kind(self, run: Run) -> dict[str, str]:
        """The stage to ship for each kind of query, where kinds are told apart."""
        rows = self.context.reports.rows(run.id)
        stages = [name for name, group in _groups(run).items() if group == "stage"]
        kinds = sorted({row.kind for row in rows} - {"all"})
        return {kind: name for kind in kinds if (name := recommend(rows, stages, kind)) is not None}

    def _billed(self, run: Run) -> dict[str, tuple[float | None, float | None]]:
        """By teacher: US dollars a thousand answers, and billed output tokens an answer, on average."""
        rows = self.context.db.rows(
            "SELECT teacher, avg(cost)::DOUBLE AS cost, avg(output_tokens)::DOUBLE AS tokens, "
            "count(*) FILTER (WHERE cost IS NULL) AS unknown FROM attempts WHERE project_id = ? AND purpose = ? "
            "AND error IS NULL GROUP BY teacher",
            [run.project_id, Purpose.EVALUATE.value],
        )
        return {row["teacher"]: (None if row["unknown"] else 1000 * row["cost"], row["tokens"]) for row in rows}

    def pay_back(
        self, run: Run, student: str, teacher: str, device_hour: float | None, teacher_per_1000: float | None = None
    ) -> PayBack:
        """When a stage has paid back the asking and the training, against asking a teacher each time.

        `teacher_per_1000` stands in for what the teacher's thousand answers were measured to cost.

        Raises:
            InputError: if the report has no such system.
        """
        systems = {system.report.name: system for system in self.systems(run, device_hour)}
        lacking = [name for name in (student, teacher) if name not in systems]
        if lacking:
            raise InputError(f"the report has no {', '.join(lacking)}; it has {', '.join(systems) or 'nothing yet'}")
        spent = self.context.db.row(
            "SELECT coalesce(sum(cost), 0)::DOUBLE AS cost, count(*) FILTER (WHERE a.cost IS NULL) AS unknown "
            "FROM attempts a LEFT JOIN jobs j ON j.id = a.job_id WHERE a.project_id = ? "
            "AND (a.purpose = 'label' OR j.run_id = ?)",
            [run.project_id, run.id],
        ) or {"cost": 0.0, "unknown": 0}
        hours = self._device_hours(run)
        device = None if device_hour is None else hours * device_hour
        asked = teacher_per_1000 if teacher_per_1000 is not None else systems[teacher].cost_per_1000
        own = systems[student].cost_per_1000
        known = device is not None and asked is not None and own is not None and not spent["unknown"]
        queries = break_even(spent["cost"] + (device or 0), (asked or 0) / 1000, (own or 0) / 1000) if known else None
        return PayBack(spent["cost"], spent["unknown"], hours, device, asked, own, queries)

    def _device_hours(self, run: Run) -> float:
        """How long the run's workers had the device; a gap in a journal, maybe a pause, counts for an hour at most."""
        row = self.context.db.row(
            'SELECT coalesce(sum(least(coalesce(took, 0), 3600)), 0) AS seconds FROM (SELECT e."at" - lag(e."at") OVER '
            "(PARTITION BY j.id ORDER BY e.seq) AS took FROM events e JOIN jobs j ON j.id = e.job_id "
            "WHERE j.run_id = ? AND j.kind = 'student')",
            [run.id],
        )
        return float(row["seconds"]) / 3600 if row else 0.0

    def differing(self, run: Run, first: str, second: str, begin: int = 0, alone: str = "") -> list[dict[str, Any]]:
        """Held-out queries on which two systems give other labels or verdicts, ten from a place on.

        `alone`: only those that just this system got right. Keys: query, kind, gold (None: none), and first, second
        with text, label and correct each.
        """
        steps = _steps(run)
        lacking = [name for name in (first, second) if not name]
        if lacking:
            raise InputError("Choose two systems to compare.")
        where = {"": "TRUE", first: "a.correct AND NOT b.correct", second: "b.correct AND NOT a.correct"}.get(
            alone, "TRUE"
        )
        rows = self.context.db.rows(
            "SELECT q.id AS query_id, q.text AS query, q.kind, g.label AS gold, a.text AS first_text, "
            "a.label AS first_label, a.correct AS first_correct, b.text AS second_text, b.label AS second_label, "
            "b.correct AS second_correct "
            "FROM answers a JOIN answers b ON b.run_id = a.run_id AND b.query_id = a.query_id "
            "JOIN queries q ON q.project_id = ? AND q.id = a.query_id "
            "LEFT JOIN golds g ON g.project_id = q.project_id AND g.query_id = q.id "
            "WHERE a.run_id = ? AND a.step = ? AND a.system = ? AND b.step = ? AND b.system = ? "
            f"AND (a.correct IS DISTINCT FROM b.correct OR a.label IS DISTINCT FROM b.label) AND {where} "
            "ORDER BY q.position LIMIT ? OFFSET ?",
            [
                *(run.project_id, run.id, steps.get(first, TEACHERS), first, steps.get(second, TEACHERS), second),
                *(PAGE, begin),
            ],
        )
        task = get_task(self.context.projects.get(run.project_id).config.task)
        known = {side: name not in steps for side, name in (("first", first), ("second", second))}
        for row in rows:
            query = self.context.queries.find_one(run.project_id, row["query_id"])
            for side in (side for side, teacher in known.items() if teacher):
                row[f"{side}_text"] = say_reply(task, query, row[f"{side}_text"])
        return rows


def say_reply(task: Task, query: Query, raw: str) -> str:
    """A teacher's reply as a person reads it: the rationale and the answer; as it came where it can't be read."""
    parsed = task.parse(query, raw)
    return raw if parsed is None else complete(parsed.rationale, parsed.label)


@lru_cache(maxsize=32)
def say_growing(raw: str) -> str:
    """As `say_reply`, of a reply that is still being written."""
    rationale, label = read_growing(raw)
    return complete(rationale, label) if label else rationale


def _groups(run: Run) -> dict[str, Group]:
    """What kind of system each student of a run is, by the name that its answers go by."""
    groups: dict[str, Group] = {}
    for step in run.plan.steps:
        if step.kind == "evaluate":
            name = step.start or step.name
            groups[name] = "untrained" if step.start is None else "stage" if name.startswith("stage") else "baseline"
    return groups


def _steps(run: Run) -> dict[str, str]:
    """The evaluation step that each student answered in."""
    return {step.start or step.name: step.name for step in run.plan.steps if step.kind == "evaluate"}


def _device_cost(row: ReportRow, device_hour: float | None) -> float | None:
    """What a thousand answers of a student cost: the device's time at the user's price."""
    if device_hour is None or row.mean_latency_s is None:
        return None
    return device_hour * row.mean_latency_s * 1000 / 3600
