"""What answers that are programs do, found by running them in a worker: never here, and never unprotected."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from app.usecases.workspace.context import Context
from engine.errors import StateError
from engine.jobs.run_labels import as_line
from engine.jobs.spec import RunLabelsJob
from engine.lines import read_lines, write_lines
from engine.ports import RunsLabels
from engine.tasks import get_task
from engine.values import Event, Job, Query, Split
from storage.projects import Project

Case = tuple[Query, str, str | None]
"""A query, a label, and the gold label it is verified against; without one its key is wanted."""


def run_labels(
    context: Context, project: Project, cases: Sequence[Case], on_event: Callable[[Event], None] = lambda event: None
) -> list[bool | str]:
    """Run labels in a worker: whether each is right, or its key.

    Raises:
        MissingPart: if there is no sandbox here; then nothing is queued.
        WorkerFailed: if they could not be run.
    """
    task = get_task(project.config.task)
    if not cases or not isinstance(task, RunsLabels):
        return []
    task.require()

    def fill(job: Job) -> RunLabelsJob:
        file = write_lines(job.path / "labels.jsonl", (as_line(*case) for case in cases))
        return RunLabelsJob(task=project.config.task, file=file, output=job.path / "results.jsonl")

    job = context.submit(project.id, RunLabelsJob.kind, {}, fill=fill)
    context.wait(job.id, on_event)
    return read_lines(job.path / "results.jsonl")


def settle_keys(context: Context, project: Project, on_event: Callable[[Event], None]) -> None:
    """See to it that samples' keys say what their labels do, where their task runs labels.

    Labelling only reads labels, so until then two agree where their texts do. Raises as `run_labels`.
    """
    task = get_task(project.config.task)
    if not isinstance(task, RunsLabels):
        return
    queries = {query.id: query for query in context.queries.get(project.id)}
    samples = [
        sample
        for split in Split
        for sample in context.samples.get(project.id, split)
        if not task.is_settled(sample.label_key) and sample.query_id in queries
    ]
    texts = list(dict.fromkeys((sample.query_id, sample.label) for sample in samples))
    behaviours = run_labels(context, project, [(queries[query_id], label, None) for query_id, label in texts], on_event)
    keys = dict(zip(texts, behaviours, strict=True))
    context.samples.set_keys(project.id, {s.id: str(keys[s.query_id, s.label]) for s in samples})


def check_settled(context: Context, project: Project) -> None:
    """Whether all samples' keys say what their labels do.

    Raises:
        StateError: if some do not.
    """
    task = get_task(project.config.task)
    if isinstance(task, RunsLabels) and not all(map(task.is_settled, context.samples.label_keys(project.id))):
        raise StateError("some answers were not run yet, so it is not known which agree; selecting runs them")
