"""What each step of a run works on, read from the store and written into a job's folder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from app.usecases.compression.compressions import read_examples
from app.usecases.workspace.context import Context
from engine.datasets.rows import Example
from engine.jobs.bundle import write_step
from engine.jobs.spec import WorkerStep
from engine.lines import write_lines
from engine.pipeline import Material, Pipeline
from engine.plans import Answer, Compress, Evaluate, Plan, Train
from engine.tasks import get_task
from engine.values import RunStatus, Split, StageRow
from storage.runs import Run

TEACHERS = "teachers"
"""The step in which the teachers' answers to held-out queries are measured."""


def read_material(context: Context, run: Run) -> Material:
    """What the steps of a run read, as it is in the store now."""
    rationales, queries = context.rationales, context.queries.get(run.project_id)
    compresses = [step.name for step in run.plan.steps if isinstance(step, Compress)]
    return Material(
        task=get_task(context.projects.get(run.project_id).config.task),
        examples=read_examples(context, run, queries),
        taught={
            name: rationales.approved(run.id, name) if run.plan.reviews(name) else rationales.newest(run.id, name)
            for name in compresses
        },
        asked=[query for query in queries if query.split is Split.DISTILL],
        heldout=[query for query in queries if query.split is Split.HELDOUT],
        teachers=context.projects.teachers(run.project_id),
        updates={state.name: int(state.result.get("updates") or 0) for state in context.runs.steps(run.id)},
    )


def pretend_run(plan: Plan, project_id: str, selection_id: str) -> Run:
    """The run of a plan on a selection that would be started; nothing is stored."""
    return Run("", project_id, selection_id, plan, "", RunStatus.WAITING, "")


@dataclass(frozen=True)
class StageBuilder:
    """Builds the worker's steps of one run, from what is in the store now: all of them from the same."""

    context: Context
    run: Run

    @cached_property
    def pipeline(self) -> Pipeline:
        """The run's plan over its material."""
        return Pipeline(self.run.plan, read_material(self.context, self.run))

    @property
    def examples(self) -> list[Example]:
        """G, with the teachers' own rationales."""
        return list(self.pipeline.material.examples)

    def rows(self, dataset: str, compress: str = "") -> list[StageRow]:
        return self.pipeline.rows(dataset, compress)

    def folder(self, step: str) -> Path:
        """Where a train step's checkpoints and adapter lie."""
        return Path(self.run.folder) / step

    def build(self, step: Train | Answer | Evaluate, job_folder: Path) -> WorkerStep:
        """Write a step's input into the job's folder and describe the step to the worker."""
        return write_step(self.pipeline, step, job_folder, self.folder)

    def build_teachers(self, job_folder: Path) -> WorkerStep | None:
        """The teachers' answers on held-out queries, to be measured in the student's tokens; None without any."""
        rows = self.context.samples.evaluated(self.run.project_id)
        if not rows:
            return None
        return WorkerStep(kind="count", name=TEACHERS, file=write_lines(job_folder / f"{TEACHERS}.jsonl", rows))
