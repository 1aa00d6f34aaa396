"""Verifies answers and makes the report of them, in a worker: a task's `verify` may take long, or run code.

Verdicts are kept as they come, so that a worker that is started again verifies only what is left.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.evaluation.report import compare_all, find_agreement, score_item, summarise
from engine.jobs.context import JobContext
from engine.jobs.spec import ScoreJob
from engine.lines import read_lines, write_atomically
from engine.tasks import get_task
from engine.values import EvalItem, Query, query_from_json
from engine.values.report import ScoredRun

_VERDICTS = "verdicts.jsonl"
_TOLD_EVERY = 100


@dataclass(frozen=True)
class Asked:
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


def as_line(asked: Asked) -> dict[str, Any]:
    """An answer as a line of the worker's file."""
    return asdict(asked)


def _from_line(line: Mapping[str, Any]) -> Asked:
    query, item = query_from_json(line["query"]), EvalItem(**line["item"])
    return Asked(line["step"], query, line["gold"], line["read"], item, line.get("teachers", {}))


def run(job: ScoreJob, context: JobContext) -> bool:
    """Verify what is not verified yet, then write verdicts and report; False if it was stopped before the end."""
    task, lines = get_task(job.task), read_lines(job.file)
    done = _read_verdicts(context.folder / _VERDICTS)
    items: dict[str, list[EvalItem]] = {}
    with (context.folder / _VERDICTS).open("a", encoding="utf-8") as file:
        for place, line in enumerate(lines):
            if context.stop():
                return False
            asked = _from_line(line)
            if place not in done:
                verified = score_item(task, asked.query, asked.gold, asked.item, asked.read)
                done[place] = (verified.label, verified.correct)
                file.write(f"{json.dumps([place, *done[place]])}\n")
            label, correct = done[place]
            agrees = find_agreement(task, asked.query, label, asked.teachers)
            scored = replace(asked.item, kind=asked.query.kind, label=label, correct=correct, agrees=agrees)
            items.setdefault(asked.step, []).append(scored)
            if place % _TOLD_EVERY == 0:
                file.flush()
                context.sink.emit("progress", step="scores answers", done=place, of=len(lines))
    every = [item for members in items.values() for item in members]
    report = ScoredRun(items, summarise(every, job.measure), compare_all(every, job.references))
    write_atomically(job.output, report.to_dict())
    context.sink.emit("scored", file=job.output.name)
    return True


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
