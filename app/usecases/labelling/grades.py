"""Grades: teachers are asked to grade their own answers, which hard rejection goes by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from app.usecases.labelling.label import LabelOrder, LabelService, read_budget
from app.usecases.labelling.left import find_left
from app.usecases.teachers.connections import Connections
from app.usecases.workspace.context import Context
from engine.errors import ConfigError, StateError
from engine.jobs.events import EventLog
from engine.labelling.grading import GRADES, GradeWork, grade, list_grade_requests
from engine.labelling.online import run_all
from engine.labelling.quote import Quote, reckon, take_some
from engine.prompts import load_prompt
from engine.tasks import get_task
from engine.values import GRADE, Job, Purpose, Split, TeacherSpec
from storage.projects import Project

_KIND = "grade"
_PROMPT = ("select", "grade")


@dataclass(frozen=True)
class GradeOrder:
    """Which teachers are to grade their answers (none named: all live ones), within which caps; US dollars."""

    teachers: Sequence[str] = ()
    max_cost: Decimal | None = None
    max_requests: int | None = None


@dataclass(frozen=True)
class GradeService:
    """Use cases of grading."""

    context: Context
    connections: Connections
    label: LabelService

    def quote(self, project_name: str, order: GradeOrder = GradeOrder()) -> list[Quote]:
        """What grading would ask each teacher, were no request to fail; a grade that is there is not asked for again.

        Raises:
            ConfigError: if a teacher is unknown, or a recording, which can't be asked.
            StateError: if nobody can be asked.
        """
        project = self.context.projects.get(project_name)
        work = self._plan(project)
        return [self._quote(project, spec, work) for spec in self._choose(project, order.teachers)]

    def _quote(self, project: Project, spec: TeacherSpec, work: GradeWork) -> Quote:
        measured = self.context.ledger.measured(project.id, spec.name, work.prompt.hash)
        missing = list(work.find_missing(spec.name))
        requests = [work.render(sample) for sample in take_some(missing)]
        prompts = [f"{request.system}\n{request.user}" for request in requests]
        return reckon(spec, len(missing), prompts, measured if measured["n"] else None)

    def start(self, project_name: str, order: GradeOrder = GradeOrder()) -> Job:
        """Queue the grading of samples to distill from that have no grade yet.

        Raises:
            ConfigError: as `quote`, or if a price is unknown while there is a cap on money.
            StateError: if nobody can be asked, or nothing is to be graded, or teachers are being asked already.
            KeyMissing: if a teacher's key is not there.
        """
        project = self.context.projects.get(project_name)
        chosen = self._choose(project, order.teachers)
        self.label.check(chosen, LabelOrder(max_cost=order.max_cost, max_requests=order.max_requests))
        work = self._plan(project)
        if not any(True for spec in chosen for _ in work.find_missing(spec.name)):
            names = ", ".join(spec.name for spec in chosen)
            raise StateError(f"there is nothing to grade: every sample of {names} has its grade, or there is none yet")
        if self.label.running(project):
            raise StateError(f"teachers of {project.name!r} are being asked already; wait for that job, or cancel it")
        asked = {
            "teachers": [spec.name for spec in chosen],
            "max_cost": None if order.max_cost is None else str(order.max_cost),
            "max_requests": order.max_requests,
        }
        return self.context.submit(project.id, _KIND, asked)

    async def run_grade(self, job: Job, log: EventLog, stop: Callable[[], bool]) -> None:
        """The coroutine of a grading job."""
        project, prompt = self.context.projects.get(job.project_id), load_prompt(*_PROMPT)
        self.context.projects.keep_prompt(prompt.hash, prompt.name, prompt.text)
        names = job.spec["teachers"]
        local = [s for s in self.context.projects.teachers(project.id) if s.name in names and s.provider == "local"]
        budget, left = read_budget(job), find_left(self.context, project.id, Purpose.GRADE)
        async with self.connections.open(project, names, stop, budget, log) as reach:
            teachers = await self.label.probed(reach, log, others=bool(local)) if reach.teachers else []
            work = replace(self._plan(project), teachers=teachers, nonce=job.id, left=left.keys)
            budget.carry(left.bound_grades(work))
            asked = [*(teacher.spec.name for teacher in teachers), *(spec.name for spec in local)]
            missing = {name: sum(1 for _ in work.find_missing(name)) for name in asked}
            log.emit("grade_started", requests=sum(missing.values()), by_teacher=missing)
            elsewhere = [
                self.label.placing.grade_locally(project, spec, list(list_grade_requests(work, spec)), log, stop)
                for spec in local
            ]
            counts, *_ = await run_all([grade(work, log, reach.caller), *elsewhere])
            totals = {} if counts is None else {"graded": counts.samples, "failures": counts.failures}
            log.emit("grade_ended", **totals)

    def standing(self, project: Project) -> list[dict[str, Any]]:
        """By teacher how many samples to distill from it has, and how many of them it graded Good, Medium and Poor."""
        return [
            {
                "teacher": row["teacher"],
                "samples": row["samples"],
                **{name: row["values"].get(value, 0) for name, value in GRADES.items()},
            }
            for row in self.context.evidence.tally(project.id, GRADE)
        ]

    def can_grade(self, project: Project) -> bool:
        """Whether a sample has no grade whose teacher can be asked."""
        live = {spec.name for spec in self.context.projects.teachers(project.id) if spec.provider != "recorded"}
        rows = self.standing(project)
        return any(row["teacher"] in live and row["samples"] > sum(row[name] for name in GRADES) for row in rows)

    def _plan(self, project: Project) -> GradeWork:
        return GradeWork(
            task=get_task(project.config.task),
            prompt=load_prompt(*_PROMPT),
            samples=self.context.samples.get(project.id, Split.DISTILL),
            queries={query.id: query for query in self.context.queries.get(project.id, Split.DISTILL)},
            known=self.context.evidence.known(project.id, GRADE),
        )

    def _choose(self, project: Project, names: Sequence[str]) -> list[TeacherSpec]:
        """The teachers that are to grade.

        Raises:
            ConfigError: if one is unknown, or a recording.
            StateError: if none can be asked.
        """
        known = {spec.name: spec for spec in self.context.projects.teachers(project.id)}
        recorded = [name for name, spec in known.items() if spec.provider == "recorded"]
        if recorded and len(recorded) == len(known):
            raise StateError(
                f"every teacher of {project.name!r} is a recording, which can't be asked to grade; select by agreement "
                "instead (`--preset recordings`), or add teachers that can be asked"
            )
        if asked := [name for name in names if name in recorded]:
            raise ConfigError(f"{', '.join(asked)} can't be asked to grade, being a recording. Nothing was asked.")
        return self.label.choose(project, names)
