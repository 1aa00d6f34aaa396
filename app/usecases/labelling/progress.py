"""How far a job that asks teachers is: done, failed, pace and money, by teacher."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from app.usecases.labelling.label import read_budget
from app.usecases.labelling.waits import Wait, read_waits
from app.usecases.workspace.context import Context
from engine.values import Job
from storage.projects import Project

_ASKING = ("label", "batch", "ray-label", "grade")
_PART = ("local", "ray")
"""Kinds of jobs in which a worker does a part of the job before them."""
_FEW = 5
"""Samples from which on a pace can be told."""


@dataclass(frozen=True)
class TeacherProgress:
    """One teacher's part. `of`, `rate` (samples a second) and `left_s` are None where they can't be told.

    `cost` is in US dollars, of those requests whose cost is known; `unknown` counts the others.
    """

    teacher: str
    done: int
    of: int | None
    failed: int
    requests: int
    tokens: int
    cost: Decimal
    unknown: int
    rate: float | None
    left_s: float | None
    wait: Wait | None = None
    """Where its provider asked to wait."""


@dataclass(frozen=True)
class Asking:
    """A job that asks teachers, the newest of a project, and each teacher's part. `at` is when it was last heard of."""

    job: Job
    teachers: list[TeacherProgress]
    max_cost: Decimal | None
    max_requests: int | None
    begun: float | None
    at: float | None

    @property
    def done(self) -> int:
        return sum(teacher.done for teacher in self.teachers)

    @property
    def of(self) -> int | None:
        totals = [teacher.of for teacher in self.teachers]
        return None if not totals or None in totals else sum(total or 0 for total in totals)

    @property
    def failed(self) -> int:
        return sum(teacher.failed for teacher in self.teachers)

    @property
    def cost(self) -> Decimal:
        """US dollars so far, without requests whose cost is not known."""
        return sum((teacher.cost for teacher in self.teachers), Decimal(0))

    @property
    def unknown(self) -> int:
        return sum(teacher.unknown for teacher in self.teachers)

    @property
    def requests(self) -> int:
        return sum(teacher.requests for teacher in self.teachers)

    @property
    def rate(self) -> float | None:
        rates = [teacher.rate for teacher in self.teachers if teacher.rate is not None]
        return sum(rates) if rates else None

    @property
    def left_s(self) -> float | None:
        """Until the slowest teacher is done, waits included; None as long as one of them can't be told."""
        open_ = [teacher for teacher in self.teachers if teacher.of is None or teacher.done < teacher.of]
        left = [None if t.left_s is None else t.left_s + (t.wait.seconds if t.wait else 0.0) for t in open_]
        return None if None in left else max((seconds or 0.0 for seconds in left), default=None)


def read_progress(context: Context, project: Project, *kinds: str) -> Asking | None:
    """The newest job of these kinds (none given: labelling or grading) in a project; None where there was none."""
    jobs = context.jobs.jobs_of(project.id)
    place = next((place for place, job in enumerate(jobs) if job.kind in (kinds or _ASKING)), None)
    if place is None:
        return None
    job = jobs[place]
    later = [part.id for part in jobs[:place] if part.kind in _PART]
    rows = context.ledger.of_jobs([job.id, *later])
    planned = _planned(context, job)
    now = None if job.status.over else time.time()
    by_teacher = {row["teacher"]: row for row in rows}
    waits = {} if now is None else read_waits(context, job.id)
    names = sorted({*planned, *waits, *(name for name, row in by_teacher.items() if row["done"])})
    budget = read_budget(job)
    return Asking(
        job=job,
        teachers=[
            replace(_part(name, by_teacher.get(name), planned.get(name), now), wait=waits.get(name)) for name in names
        ],
        max_cost=budget.max_cost,
        max_requests=budget.max_requests,
        begun=min(_times(rows, "first"), default=None),
        at=max(_times(rows, "last"), default=None),
    )


def _times(rows: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [row[name] for row in rows if row[name] is not None]


def _planned(context: Context, job: Job) -> dict[str, int]:
    """How many samples each teacher is to be asked for, as the job said when it began."""
    for event in context.jobs.events(job.id, kinds=("label_planned", "grade_started")):
        planned = event.data.get("by_teacher") or {}
        return {str(name): count for name, count in planned.items() if isinstance(count, int)}
    return {}


def _part(name: str, row: Mapping[str, Any] | None, of: int | None, now: float | None) -> TeacherProgress:
    """`now` is None once the job is over."""
    if row is None:
        return TeacherProgress(name, 0, of, 0, 0, 0, Decimal(0), 0, None, None)
    done = row["done"] if of is None else min(of, row["done"])
    seconds = (row["last"] if now is None else now) - row["first"] if row["first"] is not None else 0.0
    rate = done / seconds if done >= _FEW and seconds >= 1 else None
    left = (of - done) / rate if rate and of is not None and now is not None else None
    return TeacherProgress(
        teacher=name,
        done=done,
        of=of,
        failed=row["failed"],
        requests=row["requests"],
        tokens=(row["input_tokens"] or 0) + (row["output_tokens"] or 0),
        cost=row["cost"],
        unknown=row["unknown"],
        rate=rate,
        left_s=left,
    )
