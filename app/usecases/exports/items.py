"""A stage's scored answers to the held-out queries, as evaluation harnesses take them."""

from __future__ import annotations

import re
from datetime import UTC

from app.usecases.evaluation.scores import ACCURACY
from app.usecases.exports.checks import ask_of, read_answers
from app.usecases.workspace.context import Context
from engine.errors import StateError
from engine.exports import Item, ScoredAnswers
from engine.ports import RunsLabels
from engine.tasks import get_task
from storage.projects import now
from storage.runs import Run

NO_GOLDS = "It was scored by agreement with the teachers: there are no gold labels to write."


def take_scored(context: Context, run: Run, step: str) -> ScoredAnswers:
    """What the student of a train step answered, with the labels it was scored by.

    Raises:
        StateError: if it was not scored by gold labels, or the labels of this task are run rather than compared.
    """
    if reason := why_no_items(context, run, step):
        raise StateError(reason)
    project = context.projects.get(run.project_id)
    task, stored = get_task(project.config.task), read_answers(context, run, step)
    if stored.measure != ACCURACY:
        raise StateError(NO_GOLDS)
    items = []
    for query, prompt, item in stored.rows:
        gold = stored.labels.get(query.id)
        if gold is None or item.correct is None:
            continue
        label = None if item.label is None else task.normalise(query, item.label) or item.label
        named = task.normalise(query, gold) or gold
        seconds = item.latency_s or 0.0
        items.append(
            Item(query.id, query.kind or "", prompt, named, item.text, label, item.correct, item.tokens, seconds)
        )
    if not items:
        raise StateError(f"the answers of {step} are not scored: no held-out query has a label")
    at = (run.created_at or now()).replace(tzinfo=UTC).isoformat(timespec="seconds")
    name = "tacit_" + (re.sub(r"\W+", "_", project.name, flags=re.ASCII).strip("_").lower() or "project")
    model = f"{project.name}/{run.id[:8]}-{step}"
    return ScoredAnswers(name, model, tuple(items), ask_of(context, run, step), at)


def why_no_items(context: Context, run: Run, step: str) -> str:
    """Why a stage has no answers for a harness; "": it has. Reads no answer."""
    if isinstance(get_task(context.projects.get(run.project_id).config.task), RunsLabels):
        return "Labels of this task are programs that are run; harnesses that compare texts can't score them."
    scored = next((one for one in run.plan.evaluated if one.start == step), None)
    rows = context.reports.rows(run.id) if scored is not None else []
    row = next((row for row in rows if scored is not None and row.name == scored.system), None)
    if row is None:
        return "This stage was not scored on held-out queries."
    return "" if row.measure == ACCURACY else NO_GOLDS
