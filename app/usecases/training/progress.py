"""Watching runs: how far each is, its losses and throughput, and the last lines of its log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.usecases.evaluation.verdicts import best_student
from app.usecases.training.remaining import RemainingService
from app.usecases.training.run_settings import plan_title
from app.usecases.workspace.context import Context
from app.usecases.workspace.jobs import read_tail
from app.usecases.workspace.paging import Page, turn_to
from app.usecases.workspace.sheets import Sheet
from engine.jobs.spec import LOG_FILE
from engine.remaining import Left
from engine.values import Event, Job, JobStatus, RunStatus
from engine.values.report import ReportRow
from storage.runs import Run, RunPage

LISTED = 8
"""Runs on a page of the list."""
SHOWN = {"": "All", "going": "Running", "finished": "Finished", "stopped": "Stopped"}
"""Which runs can be listed."""
_STATUSES: dict[str, tuple[RunStatus, ...]] = {
    "going": (RunStatus.RUNNING, RunStatus.WAITING),
    "finished": (RunStatus.FINISHED,),
    "stopped": (RunStatus.STOPPED,),
}
_SPARK, _BATCH = 40, 100
_COLUMNS = (
    *("run id", "run", "plan", "status", "started (UTC)", "steps done", "steps", "last loss"),
    *("best student", "score", "note", "message"),
)


@dataclass(frozen=True)
class Progress:
    """How far a run is. `left_s` is of the present step, in seconds, `left` of the whole run, scoring included.

    None where it can't be told.
    """

    run: Run
    steps_done: int
    steps: int
    step: str
    update: int | None
    of: int | None
    losses: list[float]
    trained: str
    """The train step of these losses, the last that has begun; "" where none has."""
    tokens_per_second: float | None
    left_s: float | None
    left: Left | None
    queued: bool
    best: ReportRow | None = None
    """The student of the plan's method that scored highest; None before it is scored."""


@dataclass(frozen=True)
class StepProgress:
    """Where a step stands: its status in a word, seconds it took so far, rows it is made of or has made."""

    name: str
    status: JobStatus
    seconds: float | None
    rows: int | None


@dataclass(frozen=True)
class Curve:
    """A metric of one train step by update, `offset` updates of earlier steps before it.

    `baseline`: the step trains what the plan's method is compared with.
    """

    run: str
    step: str
    offset: int
    updates: list[int]
    values: list[float]
    baseline: bool = False


@dataclass(frozen=True)
class WatchService:
    """Use cases of watching."""

    context: Context
    remaining: RemainingService

    def page(self, project_name: str, search: str, show: str, sort: str, page: int) -> Page[Progress]:
        """One page of a project's runs. `show` is one of `SHOWN`, `sort` as `RunPage` says."""
        project_id = self.context.projects.get(project_name).id
        asked = RunPage(project_id, LISTED, 0, search, _STATUSES.get(show, ()), sort)
        runs = turn_to(page, LISTED, lambda begin: self.context.runs.page(replace(asked, begin=begin)))
        return Page(self._progress_of(project_id, runs.rows), runs.begin, runs.total)

    def _progress_of(self, project_id: str, runs: Sequence[Run]) -> list[Progress]:
        jobs = {job.run_id: job for job in reversed(self.context.jobs.jobs_of(project_id)) if job.run_id}
        return [self._progress(run, jobs.get(run.id)) for run in runs]

    def sheet(self, project_name: str, search: str, show: str, sort: str) -> Sheet:
        """All that `page` finds."""
        project_id = self.context.projects.get(project_name).id
        asked = RunPage(project_id, _BATCH, 0, search, _STATUSES.get(show, ()), sort)
        return Sheet(_COLUMNS, self._lines(asked))

    def _lines(self, asked: RunPage) -> Iterator[Sequence[Any]]:
        begin, total = 0, 1
        while begin < total:
            runs, total = self.context.runs.page(replace(asked, begin=begin))
            for one in self._progress_of(asked.project_id, runs):
                run, loss, best = one.run, one.losses[-1] if one.losses else None, one.best
                yield (
                    *(run.id, run.title, plan_title(run.plan), run.status.value, run.created_at),
                    *(one.steps_done, one.steps, loss, best.name if best else None, best.accuracy if best else None),
                    *(run.note, run.message),
                )
            begin += _BATCH

    def one(self, run: Run) -> Progress:
        """How far one run is."""
        jobs = [job for job in self.context.jobs.jobs_of(run.project_id) if job.run_id == run.id]
        return self._progress(run, jobs[0] if jobs else None)

    def steps(self, run: Run) -> list[StepProgress]:
        """The steps of a run in their order."""
        took = self.context.runs.step_seconds(run.id)
        return [
            StepProgress(state.name, state.status, took.get(state.name), _count_rows(state.result))
            for state in self.context.runs.steps(run.id)
        ]

    def _progress(self, run: Run, job: Job | None) -> Progress:
        """Reckoned once between two writes to the store, for the list, the open run and every tab.

        Run and job may have been read before the newest write: what was reckoned of them is not of later ones.
        """
        seen = (run.id, run.status, run.name, run.note, run.message, job and (job.id, job.status))
        progress: Progress = self.context.db.once(f"progress of run {seen}", lambda: self._reckon(run, job))
        return progress

    def _reckon(self, run: Run, job: Job | None) -> Progress:
        states = self.context.runs.steps(run.id)
        current = next((s for s in states if s.status is not JobStatus.FINISHED), None)
        begun = {s.name for s in states if s.status is not JobStatus.QUEUED}
        trained = [step.name for step in run.plan.trained if step.name in begun]
        metrics = self.context.runs.metrics(run.id, trained[-1]) if trained else []
        losses = [row["value"] for row in metrics if row["name"] == "loss"]
        speeds = [row["value"] for row in metrics if row["name"] == "tokens_per_second"]
        update, of, left = self._pace(job, current.name if current else "")
        return Progress(
            run=run,
            steps_done=sum(s.status is JobStatus.FINISHED for s in states),
            steps=len(states),
            step=current.name if current and run.status is not RunStatus.FINISHED else "",
            update=update,
            of=of,
            losses=_thin(losses),
            trained=trained[-1] if trained else "",
            tokens_per_second=speeds[-1] if speeds else None,
            left_s=left if run.status is RunStatus.RUNNING else None,
            left=self.remaining.left(run, states) if run.status is RunStatus.RUNNING else None,
            queued=bool(job and job.status is JobStatus.QUEUED),
            best=best_student(self.context, run) if run.status is RunStatus.FINISHED else None,
        )

    def _pace(self, job: Job | None, step: str) -> tuple[int | None, int | None, float | None]:
        """Updates done and to do in a step, and the seconds that are left of it."""
        if job is None or job.status is not JobStatus.RUNNING:
            return None, None, None
        events = [e for e in self.context.jobs.events(job.id, 0, ("metric", "step_started")) if e.data["step"] == step]
        started = next((event for event in reversed(events) if event.type == "step_started"), None)
        metrics = [event for event in events if event.type == "metric" and started and event.seq > started.seq]
        if not metrics:
            return None, None, None
        first, last = metrics[0], metrics[-1]
        return int(last.data["update"]), int(last.data["of"]), _left(first, last)

    def curves(self, run_ids: Sequence[str]) -> dict[str, list[Curve]]:
        """By metric (loss, validation_loss, tokens_per_second, ...): its curve in each train step of some runs."""
        by_metric: defaultdict[str, list[Curve]] = defaultdict(list)
        for run_id in run_ids:
            run = self.context.runs.get(run_id)
            ends: dict[str, int] = {}
            beside = {step.start for step in run.plan.evaluated if step.role == "baseline"}
            for step in run.plan.trained:
                offset = ends.get(step.start or "", 0)
                rows = self.context.runs.metrics(run.id, step.name)
                ends[step.name] = offset + max((row["update_no"] for row in rows), default=0)
                for name in dict.fromkeys(row["name"] for row in rows):
                    own = [row for row in rows if row["name"] == name]
                    updates, values = [row["update_no"] for row in own], [row["value"] for row in own]
                    by_metric[name].append(Curve(run.id, step.name, offset, updates, values, step.name in beside))
        return by_metric

    def log_tail(self, run_id: str) -> str:
        """The last lines that the run's newest worker printed; "" where there are none."""
        run = self.context.runs.get(run_id)
        for job in self.context.jobs.jobs_of(run.project_id):
            log = Path(job.folder) / LOG_FILE
            if job.run_id == run.id and log.is_file():
                return read_tail(log)
        return ""


def _count_rows(result: Mapping[str, Any]) -> int | None:
    """How many rows a finished step learned, or answers or rationales it wrote; None where none are told."""
    return next((int(result[key]) for key in ("train_rows", "rationales", "answers") if key in result), None)


def _thin(values: Sequence[float]) -> list[float]:
    """At most so many values as a small line has room for, the last one among them."""
    every = max(1, len(values) // _SPARK)
    return list(values[::-every][::-1])


def _left(first: Event, last: Event) -> float | None:
    done = int(last.data["update"]) - int(first.data["update"])
    if done < 1:
        return None
    return (last.at - first.at) / done * (int(last.data["of"]) - int(last.data["update"]))


def why_not_resumed(run: Run) -> str:
    """Why a run that is neither stopped nor stale can't be resumed, and what can be done instead."""
    short = run.id[:8]
    if run.status is RunStatus.WAITING:
        asked = f"approve its rationales on the page Compress, or by `tacit compress {short} --approve`"
        return f"run {run.id} waits for a review: {asked}"
    if run.status is RunStatus.RUNNING:
        return f"run {run.id} is running already: wait for it, or cancel it first"
    return (
        f"run {run.id} is {run.status}, and none of its steps is out of date; only a stopped run can be resumed. To do "
        f"a step and all behind it again, rerun it from there (page Runs, or `tacit runs rerun {short} STEP`); for "
        "other settings start another run on the page Train"
    )
