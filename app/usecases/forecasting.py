"""The forecast: how long a plan will take here, how much memory, and which rows are too long, before it starts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.usecases.context import Context
from app.usecases.stages import STUDENT, StageBuilder, ask_of
from engine.config import Plan, Step
from engine.dataset import row_to_json, student_prompt
from engine.errors import StateError
from engine.jobs.spec import SPEC_FILE, ForecastJob, ForecastStep, write_atomically, write_lines
from engine.students import check_student
from engine.tasks import get_task
from engine.types import Job, JobStatus, RunStatus, Split, hash_id
from storage.runs import Run

FORECAST = "forecast"
TO_WRITE = {"untrained": 1.5, "full": 1.0, "compressed": 0.5, "label": 0.1}
"""How long an answer is against the middling rationale, by what its stage was taught; a guess until it has run."""
_WRITES_LOW = 0.5


@dataclass(frozen=True)
class StageForecast:
    """What a train step will do. `guessed`: its rows are not known yet, so those of stage 1 stand in for them."""

    name: str
    rows: int
    updates: int
    longest: int
    dropped: int
    seconds: float
    guessed: bool


@dataclass(frozen=True)
class Forecast:
    """What a plan will take, measured on the device. Time in seconds, memory in bytes.

    `writing_low` and `writing_high` bound the time of student answers and evaluations: nobody knows yet how much the
    student will write. `too_long` names rows that will be left out.
    """

    device: str
    dtype: str
    stages: list[StageForecast]
    training_s: float
    writing_low: float
    writing_high: float
    peak_bytes: int
    too_long: list[dict[str, Any]]


@dataclass(frozen=True)
class ForecastService:
    """Use cases of forecasts."""

    context: Context

    def ask(self, project_name: str, plan: Plan) -> Job:
        """Queue the measuring of a plan on the newest selection; a few updates and words on the device.

        Raises:
            NotFound: if nothing was selected yet.
            StateError: if the selection is empty, or it is being measured already.
            ConfigError: if the student can't be had.
        """
        run = self._pretend(project_name, plan)
        check_student(plan.student)
        key = self._key(run)
        if any(job.kind == FORECAST and job.spec["key"] == key for job in self.context.jobs.unfinished_jobs()):
            raise StateError("This is being measured already; wait for it.")
        job = self.context.prepare(run.project_id, FORECAST, {"key": key})
        folder = Path(job.folder)
        builder = StageBuilder(self.context, run)
        steps = []
        for dataset, train_step in _by_dataset(plan).items():
            rows = builder.rows(dataset)
            if not rows:
                raise StateError("the selection keeps nothing to train on; loosen it on the page Select")
            file = write_lines(folder / f"{dataset}.jsonl", map(row_to_json, rows))
            steps.append(ForecastStep(name=dataset, file=file, train=train_step.train))
        task = get_task(self.context.projects.get(run.project_id).config.task)
        kept = {example.query.id: example.query for example in builder.examples}
        queries = list(kept.values())[: plan.student.generate_batch]
        asks = write_lines(folder / "asks.jsonl", [ask_of(q, STUDENT, student_prompt(task, q)) for q in queries])
        payload = ForecastJob(student=plan.student, steps=tuple(steps), asks=asks).model_dump(mode="json")
        write_atomically(folder / SPEC_FILE, {"kind": FORECAST, "payload": payload})
        return self.context.queue(job)

    def find(self, project_name: str, plan: Plan) -> Forecast | None:
        """The forecast of a plan on the newest selection; None where it was not measured.

        Raises:
            StateError: if measuring failed, with the reason.
        """
        run = self._pretend(project_name, plan)
        key = self._key(run)
        jobs = [j for j in self.context.jobs.jobs_of(run.project_id) if j.kind == FORECAST and j.spec["key"] == key]
        if not jobs or not jobs[0].status.over:
            return None
        if jobs[0].status is not JobStatus.FINISHED:
            raise StateError(f"measuring is {jobs[0].status}: {jobs[0].message}")
        events = self.context.jobs.last_events(jobs[0].id, ("measured",))
        return self._reckon(run, dict(events[0].data)) if events else None

    def _pretend(self, project_name: str, plan: Plan) -> Run:
        """The run that would be started; nothing is stored."""
        project = self.context.projects.get(project_name)
        selection = self.context.selections.latest(project.id)
        return Run("", project.id, selection.id, plan, "", RunStatus.WAITING, "")

    def _key(self, run: Run) -> str:
        """What a measurement depends on: epochs and rates do not count."""
        steps = {name: [s.train.batch_size, s.train.max_tokens] for name, s in _by_dataset(run.plan).items()}
        return hash_id(FORECAST, run.selection_id, run.plan.student.model_dump(mode="json"), steps)

    def _reckon(self, run: Run, found: dict[str, Any]) -> Forecast:
        measured = {step["name"]: step for step in found["steps"]}
        speed = found["train_tokens_per_second"]
        stages: dict[str, StageForecast] = {}
        for step in run.plan.steps:
            if step.kind == "train":
                equal = sum(stages[name].updates for name in step.equal_updates_to)
                stages[step.name] = _reckon_stage(step, measured, speed, equal)
        prompts = self._prompts(run)
        high = sum(number * length for number, length in prompts) / (found["write_tokens_per_second"] or 1.0)
        return Forecast(
            device=found["device"],
            dtype=found["dtype"],
            stages=list(stages.values()),
            training_s=sum(stage.seconds for stage in stages.values()),
            writing_low=high * _WRITES_LOW,
            writing_high=high,
            peak_bytes=found["peak_bytes"],
            too_long=[row for step in found["steps"] for row in step["too_long"]],
        )

    def _prompts(self, run: Run) -> list[tuple[int, float]]:
        """How many prompts each answering step has, and how many tokens its answers may take."""
        held = len(self.context.queries.get(run.project_id, Split.HELDOUT))
        kept = self.context.selections.kept(run.selection_id)
        typical = sum(len(row["rationale"]) for row in kept) / max(1, len(kept)) / 3
        taught = {step.name: TO_WRITE[step.dataset] for step in run.plan.steps if step.kind == "train"}
        found = []
        for step in run.plan.steps:
            length = min(
                run.plan.student.generate_tokens, typical * taught.get(step.start or "", TO_WRITE["untrained"])
            )
            if step.kind == "evaluate":
                found.append((held, length))
            elif step.kind == "answer":
                found.append((len({row["query_id"] for row in kept}), length))
        return found


def _reckon_stage(step: Step, measured: dict[str, Any], speed: float, equal: int) -> StageForecast:
    rows = measured.get(step.dataset, measured.get("full") or next(iter(measured.values())))
    train = step.train
    updates = (
        equal or train.updates or math.ceil(train.epochs * rows["rows"] * (1 - train.validation) / train.batch_size)
    )
    tokens = updates * train.batch_size * rows["tokens"] / rows["rows"]
    return StageForecast(
        name=step.name,
        rows=rows["rows"],
        updates=updates,
        longest=rows["longest"],
        dropped=rows["dropped"],
        seconds=tokens / speed,
        guessed=step.dataset not in measured,
    )


def _by_dataset(plan: Plan) -> dict[str, Step]:
    """A train step for each dataset whose rows are known before the run: compressed ones are not."""
    known = [step for step in plan.steps if step.kind == "train" and step.dataset != "compressed"]
    return {step.dataset: step for step in reversed(known)}
