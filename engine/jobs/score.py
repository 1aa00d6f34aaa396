"""Verifies answers and makes the report of them, in a worker: a task's `verify` may take long, or run code.

Verdicts are kept as they come, so that a worker that is started again verifies only what is left.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.evaluation.report import compare_all, find_agreement, score_item, summarise
from engine.jobs.context import JobContext
from engine.jobs.spec import ScoreJob
from engine.lines import read_lines, write_atomically
from engine.ports import RunsLabels, Task
from engine.tasks import get_task
from engine.values import EvalItem, Query, query_from_json
from engine.values.report import ScoredRun

_VERDICTS = "verdicts.jsonl"
_TOLD_EVERY = 100
_MANY = 100
"""Answers that a task which runs them is given together; what a stopped scoring may have to do again."""


@dataclass(frozen=True)
class LabelToVerify:
    """An answer to be verified: in which step it was given, to what, and against which label.

    `read`: the label is read out of the text; else it is the item's own. `teachers`: the label keys of other teachers'
    answers to the query, by teacher.
    """

    step: str
    query: Query
    gold: str
    read: bool
    item: EvalItem
    teachers: Mapping[str, str] = field(default_factory=dict)


def as_line(asked: LabelToVerify) -> dict[str, Any]:
    """An answer as a line of the worker's file."""
    return asdict(asked)


def _from_line(line: Mapping[str, Any]) -> LabelToVerify:
    query, item = query_from_json(line["query"]), EvalItem(**line["item"])
    return LabelToVerify(line["step"], query, line["gold"], line["read"], item, line.get("teachers", {}))


def run(job: ScoreJob, context: JobContext) -> bool:
    """Verify what is not verified yet, then write verdicts and report; False if it was stopped before the end."""
    task, lines = get_task(job.task), read_lines(job.file)
    done = _read_verdicts(context.folder / _VERDICTS)
    items: dict[str, list[EvalItem]] = {}
    block = _MANY if isinstance(task, RunsLabels) else 1
    with (context.folder / _VERDICTS).open("a", encoding="utf-8") as file:
        for first in range(0, len(lines), block):
            if context.stop():
                return False
            asked = {place: _from_line(lines[place]) for place in range(first, min(first + block, len(lines)))}
            for place, verdict in _verify(task, {p: one for p, one in asked.items() if p not in done}):
                done[place] = verdict
                file.write(f"{json.dumps([place, *verdict])}\n")
            for place, one in asked.items():
                label, correct = done[place]
                # what code does is known of teachers' labels alone, so nothing can be said of agreeing with them
                agrees = {} if isinstance(task, RunsLabels) else find_agreement(task, one.query, label, one.teachers)
                scored = replace(one.item, kind=one.query.kind, label=label, correct=correct, agrees=agrees)
                items.setdefault(one.step, []).append(scored)
            if first % _TOLD_EVERY == 0:
                file.flush()
                context.sink.emit("progress", step="scores answers", done=first, of=len(lines))
    every = [item for members in items.values() for item in members]
    report = ScoredRun(items, summarise(every, job.measure), compare_all(every, job.references))
    write_atomically(job.output, report.to_dict())
    context.sink.emit("scored", file=job.output.name)
    return True


def _verify(task: Task, asked: Mapping[int, LabelToVerify]) -> Iterator[tuple[int, tuple[str | None, bool | None]]]:
    """Label and verdict of each answer, by its place; a task that runs labels is given all at once."""
    if not isinstance(task, RunsLabels):
        for place, one in asked.items():
            verified = score_item(task, one.query, one.gold, one.item, one.read)
            yield place, (verified.label, verified.correct)
        return
    labels = {p: task.read_answer(one.query, one.item.text) if one.read else one.item.label for p, one in asked.items()}
    cases = {p: (asked[p].query, label, asked[p].gold) for p, label in labels.items() if label is not None}
    right = dict(zip(cases, task.verify_many(cases.values()), strict=True))
    for place, label in labels.items():
        yield place, (label, right.get(place, False))


def _read_verdicts(path: Path) -> dict[int, tuple[str | None, bool | None]]:
    """What an earlier start verified; a last line that it could not finish is left out."""
    verdicts: dict[int, tuple[str | None, bool | None]] = {}
    if path.exists():
        whole = path.read_bytes().rpartition(b"\n")[0]
        path.write_bytes(whole + b"\n" if whole else b"")
        for line in whole.decode("utf-8").splitlines():
            place, label, correct = json.loads(line)
            verdicts[place] = (label, correct)
    return verdicts
