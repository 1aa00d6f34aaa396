"""What a finished project came to: its student beside its best teacher, and one answer of each."""

from __future__ import annotations

from dataclasses import dataclass

from app.usecases.evaluation.comparisons import ASSUMED_HOUR, CompareService, System, say_reply
from app.usecases.evaluation.summary import best_teacher
from app.usecases.training.materials import TEACHERS
from app.usecases.workspace.context import Context
from engine.evaluation.report import Verdict
from engine.pipeline import find_systems
from engine.tasks import get_task
from engine.values import Query
from storage.projects import Project
from storage.runs import Run


@dataclass(frozen=True)
class Result:
    """The newest report of a project: all systems that were scored, and what follows from it.

    The device's hour is reckoned at an assumed price; see `System.assumed`.
    """

    project: str
    run: Run
    verdict: Verdict
    systems: list[System]

    @property
    def ships(self) -> bool:
        """Whether there is a student to ship."""
        return self.verdict.ship is not None

    @property
    def student(self) -> System:
        """The student to ship; where none is, the best of the trained."""
        name = self.verdict.ship or self.verdict.best
        return next(system for system in self.systems if system.report.name == name)

    @property
    def teacher(self) -> System | None:
        """The teacher that scores highest, of equal ones the briefest; None where teachers were not scored."""
        return best_teacher(self.systems)


@dataclass(frozen=True)
class ResultExample:
    """A held-out query that student and teacher both answered rightly, the teacher at its usual length."""

    query: Query
    student: str
    short: str
    short_tokens: int
    teacher: str
    long: str
    long_tokens: int


@dataclass(frozen=True)
class ResultService:
    """Use cases of what a project came to."""

    context: Context
    compare: CompareService

    def find(self, project: Project) -> Result | None:
        """What the newest report of a project says; None where no trained student was scored."""
        run_id = self.context.reports.newest_run(project.id)
        if run_id is None:
            return None
        result: Result | None = self.context.db.once(
            f"result of {run_id} within {project.config.margin}", lambda: self._read(project, run_id)
        )
        return result

    def _read(self, project: Project, run_id: str) -> Result | None:
        run = self.context.runs.get(run_id)
        verdict, systems = self.compare.verdict(run), self.compare.systems(run, ASSUMED_HOUR)
        known = {system.report.name for system in systems}
        if verdict is None or (verdict.ship or verdict.best) not in known:
            return None
        return Result(project.name, run, verdict, systems)

    def showcase(self, preferred: str) -> Result | None:
        """The result to show first: of the project of that name, else of the newest one that has any."""
        projects = [project for project in self.context.projects.all() if not project.archived]
        projects = [*(p for p in projects if p.name == preferred), *projects[::-1]]
        return next(filter(None, map(self.find, projects)), None)

    def example(self, result: Result) -> ResultExample | None:
        """One answer of the student beside its teacher's, as both are stored; None where they share none."""
        teacher = result.teacher
        if teacher is None:
            return None
        example: ResultExample | None = self.context.db.once(
            f"example of {result.run.id}: {result.student.report.name}, {teacher.report.name}",
            lambda: self._example(result, result.student.report.name, teacher.report.name),
        )
        return example

    def _example(self, result: Result, student: str, teacher: str) -> ResultExample | None:
        steps, run = find_systems(result.run.plan), result.run
        row = self.context.differences.typical_right(
            run, (steps.get(student, student), student), (steps.get(teacher, TEACHERS), teacher)
        )
        if row is None:
            return None
        query = self.context.queries.find_one(run.project_id, row["query_id"])
        task = get_task(self.context.projects.get(run.project_id).config.task)
        long = say_reply(task, query, row["second_text"])
        return ResultExample(
            query, student, row["first_text"], row["first_tokens"], teacher, long, row["second_tokens"]
        )
