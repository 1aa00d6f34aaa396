"""Has a run's answers on the held-out queries scored by a worker. The only use of gold labels beside AUROC."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from app.usecases.training.materials import TEACHERS
from app.usecases.workspace.context import Context
from engine.evaluation.report import find_consensus
from engine.jobs.score import LabelToVerify, as_line
from engine.jobs.spec import ScoreJob
from engine.lines import write_lines
from engine.tasks import require_parts
from engine.values import EvalItem, Job, Query, Split, hash_id
from storage.runs import Run

SCORE = ScoreJob.kind
ACCURACY, AGREEMENT = "accuracy", "agreement"


def submit_score(context: Context, run: Run) -> Job | None:
    """Queue the scoring of all answers to held-out queries; None where there is no answer to score, and the report is
    empty.

    They are scored by gold labels, which gives accuracy. Where no held-out query has one, by what most teachers said of
    it, which gives agreement and is never called accuracy; the teachers themselves are then left out.

    Raises:
        MissingPart: if the task runs answers and there is no sandbox here; then nothing is queued.
    """
    require_parts(context.projects.get(run.project_id).config.task)
    for job in context.jobs.unfinished_jobs():
        if job.run_id == run.id and job.kind == SCORE:  # being scored already
            return job
    queries = {query.id: query for query in context.queries.get(run.project_id, Split.HELDOUT)}
    given = read_teacher_labels(context, run.project_id)
    labels, measure = find_labels(context, run.project_id, queries, given)
    steps = [step.name for step in run.plan.evaluated] + ([TEACHERS] if measure == ACCURACY else [])
    costs = context.ledger.answer_costs(run.project_id)
    asked = [
        _ask(step, queries[item.query_id], labels[item.query_id], item, given.get(item.query_id, {}), costs)
        for step in steps
        for item in context.runs.answers(run.id, step)
        if item.query_id in queries and item.query_id in labels
    ]
    if not asked:
        context.reports.put(run.id, [], [])
        return None

    def fill(job: Job) -> ScoreJob:
        return ScoreJob(
            task=context.projects.get(run.project_id).config.task,
            file=write_lines(job.path / "answers.jsonl", map(as_line, asked)),
            output=job.path / "scored.json",
            measure=measure,
            references=tuple(step.system for step in run.plan.evaluated if step.reference),
        )

    return context.submit(run.project_id, SCORE, {}, run.id, fill)


def find_labels(
    context: Context,
    project_id: str,
    queries: Collection[str],
    given: Mapping[str, Mapping[str, str]] | None = None,
) -> tuple[dict[str, str], str]:
    """The labels that held-out queries are scored by, by query id, and what such a score is called.

    `queries` are the ids of the held-out ones; `given` what teachers said of each, where that is at hand.
    """
    stored = context.queries.golds(project_id)
    golds = {query_id: label for query_id, label in stored.items() if query_id in queries}
    if golds:
        return golds, ACCURACY
    return find_consensus(read_teacher_labels(context, project_id) if given is None else given), AGREEMENT


def hash_labels(context: Context, project_id: str) -> str:
    """Hash of the gold labels that held-out queries are scored against; "agreement" where there are none."""
    heldout = {query.id for query in context.queries.get(project_id, Split.HELDOUT)}
    golds = context.queries.golds(project_id)
    known = sorted((query, label) for query, label in golds.items() if query in heldout)
    return hash_id("golds", known) if known else "agreement"


def _ask(
    step: str,
    query: Query,
    label: str,
    item: EvalItem,
    given: Mapping[str, str],
    costs: Mapping[tuple[str, str], float | None],
) -> LabelToVerify:
    """An answer to be verified: a student's as it is; a teacher's with what it cost, and beside the other teachers'.

    Whether a teacher's answer ended by itself was not kept with it.
    """
    if step != TEACHERS:
        return LabelToVerify(step, query, label, True, item, given)
    cost = costs.get((item.system, item.query_id))
    others = {teacher: key for teacher, key in given.items() if teacher != item.system}
    return LabelToVerify(step, query, label, False, replace(item, cost=cost, finished=None), others)


def read_teacher_labels(context: Context, project_id: str) -> dict[str, dict[str, str]]:
    """What teachers said of each held-out query, by its id, then by teacher; label keys, so equal labels are equal."""
    labels: dict[str, dict[str, str]] = {}
    for sample in context.samples.get(project_id, Split.HELDOUT):
        labels.setdefault(sample.query_id, {}).setdefault(sample.teacher, sample.label_key)
    return labels
