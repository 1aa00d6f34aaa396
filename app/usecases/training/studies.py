"""Studies: the runs of a grid one after the other, a record of each, and the table of all records there are."""

from __future__ import annotations

import json
import platform
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from app.usecases.evaluation.scores import hash_labels
from app.usecases.exports.cards import public_name
from app.usecases.training.materials import StageBuilder
from app.usecases.training.plans import PlanService, plan_notes
from app.usecases.training.runs import RunService
from app.usecases.training.sharing import TAKEN_FROM
from app.usecases.workspace.context import Context
from engine.budgets import BUDGETS
from engine.errors import InputError, TacitError
from engine.lines import write_atomically
from engine.pipeline import measure_stages
from engine.plans import Evaluate, Plan, make_plan
from engine.study import FINISHED, Cell, Grid, Record, list_cells, read_grid
from engine.study_table import StudyResult, summarise_study
from engine.values import LOCAL, Event, RunStatus, Split
from storage.runs import Run

_MOST_POINTS = 50
_PACKAGES = ("tacit-studio", "torch", "transformers", "peft", "trl")


@dataclass(frozen=True)
class StudyService:
    """Use cases of studies."""

    context: Context
    planning: PlanService
    running: RunService

    def folder(self, grid: Grid) -> Path:
        """Where a study's records lie, if nothing else is said."""
        return self.context.workspace / "studies" / grid.name

    def run(
        self,
        grid: Grid,
        folder: Path,
        tell: Callable[[str], None] = lambda text: None,
        on_event: Callable[[Event], None] = lambda event: None,
    ) -> StudyResult:
        """Do what is left of a study, and give its table. A run that fails is a record too, and tried anew next time.

        Runs that the project has already, of the same plan and seed, are taken as they are; what was cut off goes on.

        Raises:
            NotFound: if there is no such project.
            InputError: if records contradict each other.
        """
        project = self.context.projects.get(grid.project)
        cells = list_cells(grid)
        for cell in cells[: len(grid.arms)]:  # said before anything is trained
            find_counted(make_plan(cell.order), cell.arm.system)
        scored_by = hash_labels(self.context, project.id)
        for number, cell in enumerate(cells, 1):
            file = folder / f"{cell.name}.json"
            if file.is_file() and _holds(read_record(file), cell, scored_by):
                continue
            tell(f"{number} of {len(cells)}: {cell.arm.name}, seed {cell.seed}")
            record = self._do(grid, cell, project.id, tell, on_event)
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(file, record.to_dict())
        return summarise_study(grid, read_records(folder))

    def _do(
        self,
        grid: Grid,
        cell: Cell,
        project_id: str,
        tell: Callable[[str], None],
        on_event: Callable[[Event], None],
    ) -> Record:
        try:
            plan = self.make_plan(grid.project, cell)
            for note in plan_notes(plan):
                tell(note)
            run = self._find(project_id, grid.project, plan)
            if run is None:
                run = self.running.start(grid.project, plan, share=True)
            elif run.status is RunStatus.FINISHED:
                run = self._renew(run, cell)
            elif run.status is RunStatus.STOPPED:
                run = self.running.resume(run.id)
            run = self.running.wait(run.id, on_event)
            if run.status is not RunStatus.FINISHED:
                return _record(grid, cell, run.status.value, run.message)
            return self._read(grid, cell, run)
        except TacitError as error:
            return _record(grid, cell, "failed", str(error))

    def make_plan(self, project_name: str, cell: Cell) -> Plan:
        """The plan of a cell, within the study's budget.

        Raises:
            ConfigError: if a name is unknown, or the budget is too small.
            NotFound: if nothing was selected yet.
        """
        plan = self.planning.make(project_name, cell.order)
        if cell.budget is None:
            return plan
        project = self.context.projects.get(project_name)
        selection = self.running.selecting.select_for(project_name, plan)
        pretended = Run("", project.id, selection.id, plan, "", RunStatus.WAITING, "")
        pipeline = StageBuilder(self.context, pretended).pipeline
        return BUDGETS.get(cell.budget.kind).apply(plan, cell.budget.amount, measure_stages(pipeline))

    def _renew(self, run: Run, cell: Cell) -> Run:
        """A finished run that answers to what the project holds now: its stale steps, queries and labels."""
        if self.running.stale_steps(run.id):
            return self.running.resume(run.id)
        counted = find_counted(run.plan, cell.arm.system).name
        heldout = {query.id for query in self.context.queries.get(run.project_id, Split.HELDOUT)}
        if heldout - {item.query_id for item in self.context.runs.answers(run.id, counted)}:
            return self.running.rerun(run.id, counted)
        self.running.score(run.id)
        return run

    def _find(self, project_id: str, project_name: str, plan: Plan) -> Run | None:
        """A run of the same plan on the same selection, wherever it trained."""
        selection = self.running.selecting.select_for(project_name, plan).id
        same = (
            run
            for run in self.context.runs.all(project_id)
            if run.selection_id == selection and _neutral(run.plan) == _neutral(plan)
        )
        return next(same, None)

    def _read(self, grid: Grid, cell: Cell, run: Run) -> Record:
        """The record of a finished run."""
        step = find_counted(run.plan, cell.arm.system)
        kinds = {query.id: query.kind or "" for query in self.context.queries.get(run.project_id, Split.HELDOUT)}
        answers = tuple(
            (item.query_id, kinds.get(item.query_id, ""), bool(item.correct), item.tokens, item.text)
            for item in self.context.runs.answers(run.id, step.name)
            if item.correct is not None
        )
        if not answers:
            return _record(grid, cell, "not scored", "there are no labels to score its answers against", step.system)
        states = self.context.runs.steps(run.id)
        facts = {
            "scored_by": hash_labels(self.context, run.project_id),
            "run": run.id,
            "plan": _public(run.plan),
            "selection": run.plan.selection.fingerprint if run.plan.selection else run.selection_id,
            "fingerprints": {state.name: state.fingerprint for state in states},
            "shared": {s.name: s.result[TAKEN_FROM] for s in states if TAKEN_FROM in s.result},
            "systems": self._sum_up_systems(run),
            "curves": {train.name: self._read_curve(run, train.name) for train in run.plan.trained},
            "updates": {s.name: s.result["updates"] for s in states if "updates" in s.result},
            "training_tokens": {s.name: s.result["tokens"] for s in states if "tokens" in s.result},
            "device_seconds": self.context.runs.device_seconds(run.id),
            "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
        }
        return _record(grid, cell, FINISHED, "", step.system, answers, facts)

    def _sum_up_systems(self, run: Run) -> dict[str, dict[str, float]]:
        """Every student that the plan scored: how many of how many are right, and mean output tokens."""
        systems = {}
        for step in run.plan.evaluated:
            items = [item for item in self.context.runs.answers(run.id, step.name) if item.correct is not None]
            if items:
                tokens = sum(item.tokens for item in items) / len(items)
                right = sum(bool(item.correct) for item in items)
                systems[step.system] = {"right": right, "n": len(items), "tokens": round(tokens, 3)}
        return systems

    def _read_curve(self, run: Run, step: str) -> list[tuple[int, float]]:
        """(update, loss) of a train step; each loss is the mean since the one before, 50 at most."""
        rows = [row for row in self.context.runs.metrics(run.id, step) if row["name"] == "loss"]
        blocks = np.array_split(np.arange(len(rows)), min(_MOST_POINTS, len(rows))) if rows else []
        return [
            (int(rows[block[-1]]["update_no"]), round(float(np.mean([rows[place]["value"] for place in block])), 5))
            for block in blocks
        ]


def _holds(record: Record, cell: Cell, scored_by: str) -> bool:
    """Whether a record is what a cell asks for now: finished, of these settings, scored against these labels."""
    of_now = record.settings == cell.settings and record.facts.get("scored_by") == scored_by
    return record.status == FINISHED and of_now


def _neutral(plan: Plan) -> str:
    """A plan's fingerprint wherever it trains."""
    return plan.model_copy(update={"backend": LOCAL}).fingerprint


def find_counted(plan: Plan, system: str) -> Evaluate:
    """The evaluation of the student that counts: the one that is named, else the last trained one in its own mode.

    Raises:
        InputError: if the plan scores no such student.
    """
    scored = [step for step in plan.evaluated if step.start is not None]
    named = [step for step in scored if step.system == system] if system else [s for s in scored if not s.alias]
    if not named:
        there = ", ".join(step.system for step in scored) or "none"
        raise InputError(f"the plan {plan.name} scores no student {system or 'that it trained'}; it scores {there}")
    return named[-1]


def _public(plan: Plan) -> dict[str, Any]:
    """A plan with its student by the name that it has outside this machine."""
    student = plan.student.model_copy(update={"model": public_name(plan.student.model)})
    return plan.model_copy(update={"student": student}).model_dump(mode="json")


def _record(
    grid: Grid,
    cell: Cell,
    status: str,
    message: str,
    system: str = "",
    answers: Sequence[tuple[str, str, bool, int, str]] = (),
    facts: dict[str, Any] | None = None,
) -> Record:
    return Record(
        grid.name, cell.arm.name, cell.seed, cell.settings, system, status, message, tuple(answers), facts or {}
    )


def read_grid_file(file: Path) -> Grid:
    """A grid from a TOML file.

    Raises:
        InputError: if there is no such file, or it is no TOML.
        ConfigError: one line a wrong setting.
    """
    try:
        data = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"there is no file {file} that can be read. Nothing was started.") from error
    except ValueError as error:  # the parser's words name line and column
        raise InputError(f"{file} is no TOML: {error}. Nothing was started.") from error
    return read_grid(data)


def read_record(file: Path) -> Record:
    """One record.

    Raises:
        InputError: if the file is none.
    """
    try:
        return Record.from_dict(json.loads(file.read_text("utf-8")))
    except (OSError, ValueError, InputError) as error:
        raise InputError(
            f"{file.name} is no record of a study; take it out of the folder, or write it again"
        ) from error


def read_records(folder: Path) -> list[Record]:
    """All records of a folder, by name.

    Raises:
        InputError: if a file is none.
    """
    return [read_record(file) for file in sorted(folder.glob("*.json"))]
