"""Scores a run's answers on the held-out queries and stores the report. The only use of gold labels beside AUROC."""

from __future__ import annotations

from app.usecases.context import Context
from app.usecases.stages import TEACHERS
from engine.evaluate import compare, score_item, summarise
from engine.tasks import get_task
from engine.types import Difference, EvalItem, Split
from storage.runs import Run

_BASELINES = ("vanilla-fewshot", "standard-kd-equal-updates")


def score_run(context: Context, run: Run) -> None:
    """Score all answers to held-out queries that have a gold label; without gold labels the report stays empty."""
    items = score_answers(context, run)
    context.reports.put(run.id, summarise(items), differences(items))


def score_answers(context: Context, run: Run) -> list[EvalItem]:
    """Verify every answer of the run's evaluations; verdicts are stored."""
    project = context.projects.get(run.project_id)
    task = get_task(project.config.task)
    golds = context.queries.golds(project.id)
    queries = {q.id: q for q in context.queries.get(project.id, Split.HELDOUT) if q.id in golds}
    steps = [step.name for step in run.plan.steps if step.kind == "evaluate"]
    scored: list[EvalItem] = []
    for step in (*steps, TEACHERS):
        items = [
            score_item(task, queries[item.query_id], golds[item.query_id], item, read=step != TEACHERS)
            for item in context.runs.answers(run.id, step)
            if item.query_id in queries
        ]
        context.runs.set_scores(run.id, step, items)
        scored += items
    return scored


def differences(items: list[EvalItem]) -> list[Difference]:
    """Each system against few-shot vanilla, and against Standard KD at equal updates, paired by query."""
    systems = list(dict.fromkeys(item.system for item in items))
    found = [compare(items, name, base) for base in _BASELINES if base in systems for name in systems if name != base]
    return [difference for difference in found if difference is not None]
