"""Runs labels that are programs, in a worker: whether they are right, or what they do, as keys by which they agree.

What was found is kept as it comes, so that a worker that is started again runs only what is left.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from engine.errors import ConfigError
from engine.jobs.context import JobContext
from engine.jobs.spec import RunLabelsJob
from engine.lines import read_lines, write_lines
from engine.ports import RunsLabels
from engine.tasks import get_task
from engine.values import Query, query_from_json

_MANY = 100


def as_line(query: Query, label: str, gold: str | None) -> dict[str, Any]:
    """A label as a line of the worker's file; without a gold label its key is wanted."""
    return {"query": asdict(query), "label": label, "gold": gold}


def run(job: RunLabelsJob, context: JobContext) -> bool:
    """Run what was not run yet; False if it was stopped before the end.

    Raises:
        ConfigError: if the task runs no labels.
        MissingPart: if there is no sandbox.
    """
    task, lines = get_task(job.task), read_lines(job.file)
    if not isinstance(task, RunsLabels):
        raise ConfigError(f"labels of a task of {task.title} are not run")
    task.require()
    part = context.folder / "found.jsonl"
    results: list[bool | str] = read_lines(part) if part.exists() else []
    while len(results) < len(lines):
        if context.stop():
            return False
        context.sink.emit("progress", step="runs code", done=len(results), of=len(lines))
        results += _run(task, lines[len(results) : len(results) + _MANY])
        write_lines(part, results)
    write_lines(job.output, results)
    return True


def _run(task: RunsLabels, lines: list[dict[str, Any]]) -> list[bool | str]:
    asked = [(query_from_json(line["query"]), line["label"], line["gold"]) for line in lines]
    keys = task.find_keys((query, label) for query, label, gold in asked if gold is None)
    verdicts = task.verify_many((query, label, gold) for query, label, gold in asked if gold is not None)
    return [next(keys) if gold is None else next(verdicts) for _, _, gold in asked]
