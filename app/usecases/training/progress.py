"""Watching runs: how far each is, its losses and throughput, and the last lines of its log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.usecases.training.remaining import RemainingService
from app.usecases.workspace.context import Context
from app.usecases.workspace.jobs import read_tail
from engine.jobs.spec import LOG_FILE
from engine.remaining import Left
from engine.values import Event, Job, JobStatus, RunStatus
from storage.runs import Run

_SPARK = 40


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
    tokens_per_second: float | None
    left_s: float | None
    left: Left | None
    queued: bool


@dataclass(frozen=True)
class Curve:
    """A metric of one train step by update, `offset` updates of earlier steps before it."""

    run: str
    step: str
    offset: int
    updates: list[int]
    values: list[float]


@dataclass(frozen=True)
class WatchService:
    """Use cases of watching."""

    context: Context
    remaining: RemainingService

    def progress(self, project_id: str) -> list[Progress]:
        """All runs of a project, newest first."""
        jobs = {job.run_id: job for job in reversed(self.context.jobs.jobs_of(project_id)) if job.run_id}
        return [self._progress(run, jobs.get(run.id)) for run in self.context.runs.all(project_id)]

    def _progress(self, run: Run, job: Job | None) -> Progress:
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
            tokens_per_second=speeds[-1] if speeds else None,
            left_s=left if run.status is RunStatus.RUNNING else None,
            left=self.remaining.left(run, states) if run.status is RunStatus.RUNNING else None,
            queued=bool(job and job.status is JobStatus.QUEUED),
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
            for step in run.plan.trained:
                offset = ends.get(step.start or "", 0)
                rows = self.context.runs.metrics(run.id, step.name)
                ends[step.name] = offset + max((row["update_no"] for row in rows), default=0)
                for name in dict.fromkeys(row["name"] for row in rows):
                    own = [row for row in rows if row["name"] == name]
                    updates, values = [row["update_no"] for row in own], [row["value"] for row in own]
                    by_metric[name].append(Curve(run.id, step.name, offset, updates, values))
        return by_metric

    def log_tail(self, run_id: str) -> str:
        """The last lines that the run's newest worker printed; "" where there are none."""
        run = self.context.runs.get(run_id)
        for job in self.context.jobs.jobs_of(run.project_id):
            log = Path(job.folder) / LOG_FILE
            if job.run_id == run.id and log.is_file():
                return read_tail(log)
        return ""


def _thin(values: Sequence[float]) -> list[float]:
    """At most so many values as a small line has room for, the last one among them."""
    every = max(1, len(values) // _SPARK)
    return list(values[::-every][::-1])


def _left(first: Event, last: Event) -> float | None:
    done = int(last.data["update"]) - int(first.data["update"])
    if done < 1:
        return None
    return (last.at - first.at) / done * (int(last.data["of"]) - int(last.data["update"]))
