"""Scores a run's answers on the held-out queries and stores the report. The only use of gold labels beside AUROC."""

from __future__ import annotations

from app.usecases.context import Context
from app.usecases.stages import TEACHERS
from engine.evaluate import compare_all, find_consensus, score_item, summarise
from engine.tasks import get_task
from engine.types import EvalItem, Split
from storage.runs import Run


def score_run(context: Context, run: Run) -> None:
    """Score all answers to held-out queries and store the report: by gold labels, which gives accuracy.

    Where no held-out query has one, by what most teachers said of it, which gives agreement and is never called
    accuracy; the teachers themselves are then left out. Without either the report stays empty.
    """
    project = context.projects.get(run.project_id)
    held = {query.id for query in context.queries.get(project.id, Split.HELDOUT)}
    golds = {query_id: label for query_id, label in context.queries.golds(project.id).items() if query_id in held}
    measure = "accuracy" if golds else "agreement"
    items = score_answers(context, run, golds or _consensus(context, project.id), with_teachers=bool(golds))
    references = [step.system for step in run.plan.evaluated if step.reference]
    context.reports.put(run.id, summarise(items, measure), compare_all(items, references))


def _consensus(context: Context, project_id: str) -> dict[str, str]:
    """What most teachers said of each held-out query, by its id; label keys, in which equal labels are equal."""
    labels: dict[str, dict[str, str]] = {}
    for sample in context.samples.get(project_id, Split.HELDOUT):
        labels.setdefault(sample.query_id, {}).setdefault(sample.teacher, sample.label_key)
    return find_consensus(labels)


def score_answers(context: Context, run: Run, golds: dict[str, str], with_teachers: bool = True) -> list[EvalItem]:
    """Verify every answer of the run's evaluations to queries that `golds` has a label of; verdicts are stored."""
    project = context.projects.get(run.project_id)
    task = get_task(project.config.task)
    queries = {q.id: q for q in context.queries.get(project.id, Split.HELDOUT) if q.id in golds}
    steps = [step.name for step in run.plan.evaluated]
    context.runs.forget_scores(run.id)
    scored: list[EvalItem] = []
    for step in (*steps, TEACHERS) if with_teachers else steps:
        items = [
            score_item(task, queries[item.query_id], golds[item.query_id], item, read=step != TEACHERS)
            for item in context.runs.answers(run.id, step)
            if item.query_id in queries
        ]
        context.runs.set_scores(run.id, step, items)
        scored += items
    return scored
