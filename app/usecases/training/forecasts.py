"""The forecast: how long a plan will take here, how much memory, and which rows are too long, before it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from app.usecases.selection.selections import SelectService
from app.usecases.training.materials import StageBuilder, pretend_run
from app.usecases.workspace.context import Context
from engine.datasets import DATASETS
from engine.datasets.rows import row_to_json, student_prompt
from engine.errors import StateError
from engine.forecasts import CHARACTERS, Forecast, PlannedWriting, find_measured, reckon
from engine.jobs.backends import BACKENDS
from engine.jobs.spec import ForecastJob, ForecastStep
from engine.lines import write_lines
from engine.pipeline import StudentPrompt, as_line
from engine.plans import Plan
from engine.plans.reserved import STUDENT
from engine.students import check_student
from engine.tasks import get_task
from engine.values import LOCAL, Job, JobStatus, Split, hash_id
from storage.projects import Project
from storage.runs import Run

FORECAST = "forecast"


@dataclass(frozen=True)
class ForecastService:
    """Use cases of forecasts."""

    context: Context
    selecting: SelectService
    _rows: dict[tuple[str, str], int] = field(default_factory=dict)
    """By selection and dataset: counted once, since a selection stays as it is."""

    def ask(self, project_name: str, plan: Plan) -> Job:
        """Queue the measuring of a plan on the newest selection; a few updates and words on the device.

        Raises:
            NotFound: if nothing was selected yet.
            StateError: if the selection is empty, or it is being measured already.
            ConfigError: if the student can't be had.
        """
        project = self.context.projects.get(project_name)
        run = pretend_run(plan, project.id, self.selecting.select_for(project_name, plan).id)
        check_student(plan.student)
        key = self._key(project, plan)
        if any(job.kind == FORECAST and job.spec["key"] == key for job in self.context.jobs.unfinished_jobs()):
            raise StateError("This is being measured already; wait for it.")
        spec = {"key": key, "selection": run.selection_id}
        BACKENDS.get(plan.backend)

        def fill(job: Job) -> ForecastJob:
            return self._bundle(run, job.path)

        return self.context.submit(run.project_id, FORECAST, spec, fill=fill, backend=plan.backend)

    def _bundle(self, run: Run, folder: Path) -> ForecastJob:
        """What the worker measures: the rows of each dataset, and prompts to write to."""
        builder, plan = StageBuilder(self.context, run), run.plan
        steps = []
        for dataset, train_step in find_measured(plan).items():
            rows = builder.rows(dataset)
            if not rows:
                raise StateError("the selection keeps nothing to train on; loosen it on the page Select")
            file = write_lines(folder / f"{dataset}.jsonl", map(row_to_json, rows))
            steps.append(ForecastStep(name=dataset, file=file, train=train_step.train))
        task = get_task(self.context.projects.get(run.project_id).config.task)
        kept = {example.query.id: example.query for example in builder.examples}
        queries = list(kept.values())[: plan.student.generate_batch]
        asks = write_lines(
            folder / "asks.jsonl", [as_line(StudentPrompt(q.id, STUDENT, student_prompt(task, q))) for q in queries]
        )
        return ForecastJob(student=plan.student, steps=tuple(steps), asks=asks)

    def find(self, project_name: str, plan: Plan) -> Forecast | None:
        """The forecast of a plan on the newest selection; None where it was not measured.

        Raises:
            StateError: if measuring failed, with the reason.
        """
        project = self.context.projects.get(project_name)
        key = self._key(project, plan)
        jobs = [j for j in self.context.jobs.jobs_of(project.id) if j.kind == FORECAST and j.spec["key"] == key]
        if not jobs or not jobs[0].status.over:
            return None
        if jobs[0].status is not JobStatus.FINISHED:
            raise StateError(f"measuring is {jobs[0].status}: {jobs[0].message}")
        events = self.context.jobs.last_events(jobs[0].id, ("measured",))
        if not events or not self.context.selections.exists(jobs[0].spec["selection"]):
            return None
        return reckon(plan, events[0].data, self._count(pretend_run(plan, project.id, jobs[0].spec["selection"])))

    def rows(self, project_name: str, plan: Plan) -> dict[str, int]:
        """By train step: how many rows it will learn from, where the newest selection tells that already."""
        if plan.selection is not None or plan.missing:
            return {}
        project = self.context.projects.get(project_name)
        selection = self.context.selections.latest(project.id)
        counts: dict[str, int] = {}
        builder = StageBuilder(self.context, pretend_run(plan, project.id, selection.id))
        for step in plan.trained:
            dataset = DATASETS.get(step.dataset)
            if not dataset.needs_compress and not step.replay:
                key = (selection.id, step.dataset)
                if key not in self._rows:
                    self._rows[key] = len(builder.rows(step.dataset))
                counts[step.name] = self._rows[key]
        return counts

    def _key(self, project: Project, plan: Plan) -> str:
        """What a measurement depends on: epochs and rates do not count."""
        own, store = plan.selection, self.context
        selected: object = store.selections.latest(project.id).id if own is None else own.fingerprint
        marks = [] if own is None else [*store.samples.state(project.id), *store.overrules.mark(project.id)]
        steps = {
            name: [s.train.batch_size, s.train.max_tokens, s.train.loss] for name, s in find_measured(plan).items()
        }
        elsewhere = [plan.backend] if plan.backend != LOCAL else []  # what was measured before there were others stays
        return hash_id(FORECAST, selected, marks, plan.student.model_dump(mode="json"), steps, *elsewhere)

    def _count(self, run: Run) -> PlannedWriting:
        """How much the student will write."""
        kept = self.context.selections.kept(run.selection_id)
        heldout = self.context.queries.counts(run.project_id).get(Split.HELDOUT.value, 0)
        typical = sum(len(row["rationale"]) for row in kept) / max(1, len(kept)) / CHARACTERS
        return PlannedWriting(len({row["query_id"] for row in kept}), heldout, typical)
