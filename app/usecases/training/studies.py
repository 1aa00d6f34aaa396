"""Studies: the runs of a grid one after the other, a record of each, and the table of all records there are."""

from __future__ import annotations

import asyncio
import platform
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from app.usecases.evaluation.scores import hash_labels
from app.usecases.exports.cards import public_name
from app.usecases.projects.status import STUDY
from app.usecases.training.plan_sizes import measure_plan, sum_spent
from app.usecases.training.plans import PlanService, plan_notes
from app.usecases.training.runs import RunService
from app.usecases.training.sharing import TAKEN_FROM
from app.usecases.training.study_files import (
    GRID,
    keep_grid,
    list_grids,
    read_record,
    read_records,
    take_in_records,
)
from app.usecases.workspace.context import Context
from app.usecases.workspace.unpacking import STUDIES
from engine.budgets import BUDGETS
from engine.config import read_config
from engine.errors import InputError, NotFound, StateError, TacitError
from engine.jobs.events import EventLog
from engine.lines import write_atomically
from engine.plans import Evaluate, Plan
from engine.study import FINISHED, Grid, StudyCell, StudyRecord, list_cells
from engine.study_table import StudyResult, summarise_study
from engine.values import LOCAL, Event, Job, RunStatus, Split
from storage.runs import Run

_MOST_POINTS = 50
_PACKAGES = ("tacit-studio", "torch", "transformers", "peft", "trl")


class _Closed(Exception):
    """The app is being closed: runs go on by themselves."""


class Reading(NamedTuple):
    """A study's table, and the records that it was made of."""

    result: StudyResult
    records: list[StudyRecord]


@dataclass(frozen=True)
class StudyService:
    """Use cases of studies."""

    context: Context
    planning: PlanService
    running: RunService
    lock: threading.RLock = field(default_factory=threading.RLock)
    readings: dict[str, tuple[object, Reading]] = field(default_factory=dict)

    def folder(self, grid: Grid) -> Path:
        """Where a study's records lie, if nothing else is said."""
        return self.context.workspace / STUDIES / grid.name

    def grids(self, project_name: str) -> list[Grid]:
        """The studies of a project that the workspace keeps, the last changed first."""
        return [grid for grid in list_grids(self.context.workspace / STUDIES) if grid.project == project_name]

    def count(self, grid: Grid) -> tuple[int, int]:
        """How many runs of a study left a record, and how many there are to be. Records are not opened."""
        names = [f"{cell.name}.json" for cell in list_cells(grid)]
        return sum((self.folder(grid) / name).is_file() for name in names), len(names)

    def find(self, project_name: str, name: str) -> Grid:
        """A study of a project.

        Raises:
            NotFound: if the workspace keeps none of that name.
        """
        for grid in self.grids(project_name):
            if grid.name == name:
                return grid
        raise NotFound(f"the project {project_name!r} has no study {name!r}")

    def read(self, grid: Grid) -> Reading:
        """The table of what there is, and the records that it is made of: seconds of work, done once for these records.

        Raises:
            InputError: if records contradict each other.
        """
        with suppress(OSError):
            files = sorted(self.folder(grid).glob("*.json"))
            state = (grid, [(file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files])
            if grid.name not in self.readings or self.readings[grid.name][0] != state:
                records = read_records(self.folder(grid))
                self.readings[grid.name] = (state, Reading(summarise_study(grid, records), records))
            return self.readings[grid.name][1]
        raise StateError(f"a record of {grid.name} was just being replaced; look again")

    def take_in(self, grid: Grid, files: Sequence[Path]) -> int:
        """Take records of another machine in; how many are new. Raises as `take_in_records`."""
        return take_in_records(self.folder(grid), grid, files)

    def start(self, grid: Grid) -> Job:
        """Run what is left of a study in the background; the workspace keeps its grid.

        Raises:
            StateError: if it is running, or another study of that name is kept by another project.
            NotFound, ConfigError, InputError: as `run`.
        """
        project = self.context.projects.get(grid.project)
        with self.lock:
            if self.running_job(grid) is not None:
                raise StateError(f"the study {grid.name} is running already")
            self.check(grid)
            self._keep(grid)
            return self.context.submit(project.id, STUDY, {"study": grid.name, "grid": grid.model_dump(mode="json")})

    def _keep(self, grid: Grid) -> None:
        """Keep a grid in the workspace.

        Raises:
            StateError: if another project has a study of that name.
        """
        file = self.folder(grid) / GRID
        if file.is_file() and grid.name not in {other.name for other in self.grids(grid.project)}:
            raise StateError(f"another project has a study {grid.name}; give this one another name")
        keep_grid(self.folder(grid), grid)

    def running_job(self, grid: Grid) -> Job | None:
        """The job that runs a study now."""
        jobs = self.context.jobs.unfinished_jobs()
        return next((job for job in jobs if job.kind == STUDY and job.spec["study"] == grid.name), None)

    def cancel(self, grid: Grid) -> None:
        """Stop a study and the run it is at; what is recorded stays."""
        job = self.running_job(grid)
        if job is not None:
            self.context.watch.cancel(job.id)

    async def run_study(self, job: Job, log: EventLog, stop: Callable[[], bool]) -> None:
        """The coroutine of a study's job. Cancelled, it cancels the run it is at; closed with the app, it leaves it."""
        grid = read_config(Grid, job.spec["grid"])
        total = len(list_cells(grid))

        def tell(text: str) -> None:
            done = sum(file.name != GRID for file in self.folder(grid).glob("*.json"))
            log.emit("progress", step=text, done=done, of=total)

        def is_stopped() -> bool:
            if stop() and self.context.jobs.get_job(job.id).cancel_at is None:
                raise _Closed
            return stop()

        thread = ThreadPoolExecutor(1, "study")  # hours of waiting, for which the loop's own threads are too few
        work = partial(self.run, grid, self.folder(grid), tell, lambda event: None, is_stopped)
        try:
            await asyncio.get_running_loop().run_in_executor(thread, work)
        except _Closed:
            return
        finally:
            thread.shutdown(wait=False)

    def check(self, grid: Grid) -> None:
        """Whether every arm can be made, within the budget, and scores the student that counts.

        Raises:
            ConfigError, InputError: what of an arm can't be.
            NotFound: if there is no such project, or nothing was selected yet.
        """
        for cell in list_cells(grid)[: len(grid.arms)]:
            try:
                find_counted(self.make_plan(grid.project, cell), cell.arm.system)
            except InputError as error:
                raise type(error)(f"arm {cell.arm.name}: {error}. Nothing was started.") from None

    def run(
        self,
        grid: Grid,
        folder: Path,
        tell: Callable[[str], None] = lambda text: None,
        on_event: Callable[[Event], None] = lambda event: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> StudyResult:
        """Do what is left of a study, and give its table. A run that fails is a record too, and tried anew next time.

        Runs that the project has already, of the same plan and seed, are taken as they are; what was cut off goes on.
        Asked to `stop`, it cancels the run it is at and gives the table of what there is.

        Raises:
            NotFound: if there is no such project.
            InputError: if records contradict each other.
        """
        project = self.context.projects.get(grid.project)
        cells = list_cells(grid)
        self.check(grid)
        if folder == self.folder(grid):
            self._keep(grid)
        scored_by = hash_labels(self.context, project.id)
        selected = {cell.arm.name: self._hash_selected(grid.project, cell) for cell in cells[: len(grid.arms)]}
        for number, cell in enumerate(cells, 1):
            file = folder / f"{cell.name}.json"
            if file.is_file() and _holds(read_record(file), cell, scored_by, selected[cell.arm.name]):
                continue
            tell(f"{number} of {len(cells)}: {cell.arm.name}, seed {cell.seed}")
            record = self._do(grid, cell, project.id, tell, on_event, stop)
            if stop():
                break
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(file, record.to_dict())
        return summarise_study(grid, read_records(folder))

    def _do(
        self,
        grid: Grid,
        cell: StudyCell,
        project_id: str,
        tell: Callable[[str], None],
        on_event: Callable[[Event], None],
        stop: Callable[[], bool],
    ) -> StudyRecord:
        try:
            plan = self.make_plan(grid.project, cell)
            for note in plan_notes(plan):
                tell(note)
            with self.lock:  # two studies with a common arm do it once
                run = self._find(project_id, grid.project, plan)
                if run is None:
                    run = self.running.start(grid.project, plan, share=True)
                elif run.status is RunStatus.FINISHED:
                    run = self._renew(run, cell)
                elif run.status is RunStatus.STOPPED:
                    run = self.running.resume(run.id)
            if run.status is RunStatus.FINISHED:
                self.running.score(run.id)
            run = self.running.wait(run.id, on_event, stop)
            if run.status is not RunStatus.FINISHED:
                return _record(grid, cell, run.status.value, run.message)
            return self._read(grid, cell, run)
        except TacitError as error:
            return _record(grid, cell, "failed", str(error))

    def make_plan(self, project_name: str, cell: StudyCell) -> Plan:
        """The plan of a cell, within the study's budget.

        Raises:
            ConfigError: if a name is unknown, or the budget is too small.
            NotFound: if nothing was selected yet.
        """
        plan = self.planning.make(project_name, cell.order)
        if cell.budget is None:
            return plan
        size = measure_plan(self.running.selecting, project_name, plan)
        return BUDGETS.get(cell.budget.kind).apply(plan, cell.budget.amount, size)

    def _hash_selected(self, project_name: str, cell: StudyCell) -> str:
        """Hash of the samples that a cell trains on, the same on any machine."""
        return self.running.selecting.select_for(project_name, self.make_plan(project_name, cell)).fingerprint

    def _renew(self, run: Run, cell: StudyCell) -> Run:
        """A finished run, set going again where steps of it are stale or queries have come."""
        if self.running.stale_steps(run.id):
            return self.running.resume(run.id)
        counted = find_counted(run.plan, cell.arm.system).name
        heldout = {query.id for query in self.context.queries.get(run.project_id, Split.HELDOUT)}
        if heldout - {item.query_id for item in self.context.runs.answers(run.id, counted)}:
            return self.running.rerun(run.id, counted)
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

    def _read(self, grid: Grid, cell: StudyCell, run: Run) -> StudyRecord:
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
            "selected": self.context.selections.get(run.selection_id).fingerprint,
            "fingerprints": {state.name: state.fingerprint for state in states},
            "shared": {s.name: s.result[TAKEN_FROM] for s in states if TAKEN_FROM in s.result},
            "systems": self._sum_up_systems(run),
            "curves": {train.name: self._read_curve(run, train.name) for train in run.plan.trained},
            "updates": {s.name: s.result["updates"] for s in states if "updates" in s.result},
            "training_tokens": {s.name: s.result["tokens"] for s in states if "tokens" in s.result},
            "teacher_usd": sum_spent(self.running.selecting, grid.project, run),
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


def _holds(record: StudyRecord, cell: StudyCell, scored_by: str, selected: str) -> bool:
    """Whether a record is what a cell asks for now: finished, of these settings, these samples and these labels."""
    of_now = record.settings == cell.settings and record.facts.get("scored_by") == scored_by
    return record.status == FINISHED and of_now and record.facts.get("selected") == selected


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
    cell: StudyCell,
    status: str,
    message: str,
    system: str = "",
    answers: Sequence[tuple[str, str, bool, int, str]] = (),
    facts: dict[str, Any] | None = None,
) -> StudyRecord:
    return StudyRecord(
        grid.name, cell.arm.name, cell.seed, cell.settings, system, status, message, tuple(answers), facts or {}
    )
