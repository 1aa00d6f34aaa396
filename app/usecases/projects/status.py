"""Where a project stands: each step's state and the one number that matters, and the jobs that run."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any, Literal

from app.usecases.evaluation.verdicts import judge
from app.usecases.labelling.waits import Wait, read_waits
from app.usecases.projects.next_steps import NextStep, Status, next_step, status_of
from app.usecases.training.remaining import RemainingService
from app.usecases.workspace.context import Context
from engine.errors import NotFound, TacitError
from engine.plans.titles import title_of
from engine.tasks import TASKS
from engine.values import Job, JobStatus, RunStatus, Split
from engine.values.report import WHOLE
from engine.wording import counted
from storage.projects import Project
from storage.selections import StoredSelection
from storage.standings import Standing

_FEW = 5
"""Replies from which on a pace can be told."""
STUDY = "study"
"""The kind of a study's job."""
LISTED = 12
"""Projects on a page of the list."""
_AFTER_S = 5.0
"""So long after the last sign of life a page is still drawn anew."""
State = Literal["todo", "running", "done", "stale"]
_STEP_OF = {
    "label": "Label",
    "batch": "Label",
    "ray-label": "Label",
    "local": "Label",
    "ray": "Label",
    "grade": "Label",
}


GROUPS = {
    "Data": "Prepare",
    "Teachers": "Prepare",
    "Label": "Prepare",
    "Select": "Curate",
    "Compress": "Curate",
    "Train": "Distill",
    "Evaluate": "Distill",
    "Study": "Distill",
    "Save": "Use",
    "Playground": "Use",
    "Exports": "Use",
    "Jobs and spend": "Workspace",
}
"""The part of the work that a page belongs to; pages that are not here stand above all parts."""
_NO_STEP = ("Home", "Welcome", "Overview", "Jobs and spend")


@dataclass(frozen=True)
class Mark:
    """One page of the work on a project, and for a step of it its state and the one number that matters."""

    name: str
    path: str
    state: State
    number: str

    @property
    def group(self) -> str:
        """The part of the work that it belongs to; "" for what stands above all parts."""
        return GROUPS.get(self.name, "")

    @property
    def step(self) -> bool:
        """Whether it is a step that can be done."""
        return self.name not in _NO_STEP


@dataclass(frozen=True)
class RunningJob:
    """A job that is queued or runs: what it does, and how far it is (None: it does not tell)."""

    id: str
    project: str
    kind: str
    status: str
    text: str
    done: int | None
    of: int | None
    left_s: float | None = None
    """Seconds until it is done, once that can be said."""
    waits: Mapping[str, Wait] = field(default_factory=dict)
    """The teachers that wait since their providers asked for it."""


@dataclass(frozen=True)
class ProjectCard:
    """A project as a list shows it; `task` is the title of its task."""

    standing: Standing
    task: str
    status: Status
    next: NextStep


@dataclass(frozen=True)
class ProjectPage:
    """Cards of one page; the first is number `begin` (from 0) of `total`; `archived` ones there are over all."""

    cards: list[ProjectCard]
    begin: int
    total: int
    archived: int


@dataclass(frozen=True)
class StandingService:
    """Use cases of the frame around every page."""

    context: Context
    remaining: RemainingService
    _moved: dict[str, float] = field(default_factory=dict)

    def find_project(self, name: str | None) -> Project | None:
        """The project of that name, or None; where no name is given the newest, if there is any."""
        if name:
            try:
                return self.context.projects.get(name)
            except NotFound:
                return None
        projects = [project for project in self.context.projects.all() if not project.archived]
        return projects[-1] if projects else None

    def marks(self, project: Project | None) -> list[Mark]:
        """The steps in the order of the work."""
        if project is None:
            return [
                Mark("Home", "/", "todo", ""),
                Mark("Jobs and spend", "/jobs", "running" if self._jobs() else "todo", ""),
            ]
        counts = self.context.queries.counts(project.id)
        queries = sum(counts.values())
        teachers = self.context.projects.teachers(project.id)
        running = {_STEP_OF.get(job.kind, "") for job in self._jobs() if job.project_id == project.id}
        runs = self.context.runs.all(project.id)
        return [
            Mark("Home", "/", "todo", ""),
            Mark("Overview", "/overview", "todo", ""),
            Mark("Data", "/data", "done" if queries else "todo", _count(queries, "query")),
            Mark("Teachers", "/teachers", "done" if teachers else "todo", str(len(teachers) or "")),
            self._label_mark(project, "Label" in running),
            self._select_mark(project),
            self._compress_mark(project),
            Mark("Train", "/train", _run_state([run.status for run in runs]), _count(len(runs), "run")),
            self._evaluate_mark(project),
            self._study_mark(project),
            Mark("Save", "/save", "done" if self.context.reports.newest_run(project.id) else "todo", ""),
            self._play_mark(project),
            self._export_mark(project),
            Mark("Jobs and spend", "/jobs", "running" if self._jobs() else "todo", ""),
        ]

    def spent(self, project: Project) -> str:
        """What the project's teachers cost so far, in US dollars; "" where they cost nothing."""
        cost = self.context.projects.sizes(project.id)["cost"]
        return f"${cost:,.2f} spent" if cost else ""

    def _label_mark(self, project: Project, running: bool) -> Mark:
        size = self.context.projects.sizes(project.id)
        state: State = "running" if running else "done" if size["samples"] else "todo"
        money = f", ${size['cost']:.2f}" if size["cost"] else ""
        return Mark("Label", "/label", state, f"{_count(size['samples'], 'sample')}{money}" if size["samples"] else "")

    def _select_mark(self, project: Project) -> Mark:
        try:
            selection = self.context.selections.latest(project.id)
        except NotFound:
            return Mark("Select", "/select", "todo", "")
        state: State = "stale" if is_outdated(self.context, selection) else "done"
        return Mark("Select", "/select", state, f"{selection.counts['kept']:,} kept")

    def _compress_mark(self, project: Project) -> Mark:
        done = self.context.rationales.count(project.id)
        waiting = self.context.runs.count(project.id, RunStatus.WAITING)
        asking = any(job.kind in ("compress", "again") and job.project_id == project.id for job in self._jobs())
        state: State = "running" if asking or waiting else "done" if done else "todo"
        note = "waits for you" if waiting else f"{done:,} short" if done else ""
        return Mark("Compress", "/compress", state, note)

    def _evaluate_mark(self, project: Project) -> Mark:
        run_id = self.context.reports.newest_run(project.id)
        if run_id is None:
            return Mark("Evaluate", "/evaluate", "todo", "")
        note = self.context.db.once(f"what of {run_id} to ship, on the rail", lambda: self._tell_ship(run_id))
        return Mark("Evaluate", "/evaluate", "done", note)

    def _tell_ship(self, run_id: str) -> str:
        """What of a run to ship, by the rule of the page Evaluate."""
        verdict = judge(self.context, self.context.runs.get(run_id))
        if verdict is None:
            return ""
        scores = {row.name: row.accuracy for row in self.context.reports.rows(run_id) if row.kind == WHOLE}
        if verdict.ship not in scores:
            return "nothing to ship yet"
        return f"{scores[verdict.ship]:.2f} {title_of(verdict.ship)}"

    def _study_mark(self, project: Project) -> Mark:
        jobs = [job for job in self.context.jobs.jobs_of(project.id) if job.kind == STUDY]
        names = {job.spec["study"] for job in jobs}
        state: State = "running" if any(not job.status.over for job in jobs) else "done" if names else "todo"
        return Mark("Study", "/study", state, counted(len(names), "study", "studies") if names else "")

    def _play_mark(self, project: Project) -> Mark:
        votes = self.context.votes.count(project.id)
        return Mark("Playground", "/playground", "done" if votes else "todo", _count(votes, "vote"))

    def _export_mark(self, project: Project) -> Mark:
        made = [job for job in self.context.jobs.jobs_of(project.id) if job.kind in ("export", "merge", "push")]
        running = any(not job.status.over for job in made)
        done = sum(job.status is JobStatus.FINISHED for job in made)
        state: State = "running" if running else "done" if done else "todo"
        return Mark("Exports", "/exports", state, f"{done} made" if done else "")

    def _jobs(self) -> list[Job]:
        return self.context.jobs.unfinished_jobs()

    def trouble(self) -> str:
        """What keeps jobs from being watched over at this moment; "" where all is well."""
        failure = self.context.watch.failure
        if failure is None:
            return ""
        message = self.context.watch.redactor.text(str(failure)) if isinstance(failure, TacitError | OSError) else ""
        return (
            "Jobs can't be watched over at the moment, it is tried again and again: "
            f"{message or type(failure).__name__}"
        )

    def running(self) -> list[RunningJob]:
        """Jobs that are queued or run, in whatever project."""
        names = {project.id: project.name for project in self.context.projects.all()}
        return [self._describe(job, names.get(job.project_id, "")) for job in self._jobs()]

    def _describe(self, job: Job, project: str) -> RunningJob:
        text, done, of, left_s = "", None, None, None
        for event in self.context.jobs.last_events(job.id, ("progress", "metric", "label_started", "grade_started")):
            if event.type in ("label_started", "grade_started"):
                text = "held-out queries" if event.data.get("split") == Split.HELDOUT else ""
                of = event.data["requests"]
                done = min(of, self.context.jobs.count_replies(job.id, event.seq))
                rate, left_s = _pace(done, of, time.time() - event.at)
                text = " · ".join(filter(None, (text, f"{60 * rate:,.0f} per min" if rate else "")))
            elif event.type == "metric":
                text, done, of = event.data["step"], event.data["update"], event.data.get("of")
                left_s = self._left(job)
            elif isinstance(event.data.get("done"), int):
                text, done, of = str(event.data.get("step", "")), event.data["done"], event.data.get("of")
                done += self.context.jobs.count_events(job.id, "compressed")
        waits = read_waits(self.context, job.id)
        left_s = None if left_s is None else left_s + max((wait.seconds for wait in waits.values()), default=0.0)
        return RunningJob(job.id, project, job.kind, job.status.value, text, done, of, left_s, waits)

    def _left(self, job: Job) -> float | None:
        """Seconds until a run is done, scoring included; None where that can't be told."""
        if job.run_id is None:
            return None
        run_id = job.run_id
        left = self.context.db.once(
            f"what is left of run {run_id}",
            lambda: self.remaining.left(self.context.runs.get(run_id), self.context.runs.steps(run_id)),
        )
        return left.seconds if left else None

    def goes_on(self, project: Project | None, jobs: Sequence[RunningJob]) -> bool:
        """Whether a page of the project is to be drawn again, given the jobs that it knows of.

        A run goes on between two jobs too, when none is at work; and each part of a page is to see the end.
        """
        name, now = project.id if project else "", time.monotonic()
        if jobs or self.trouble() or self.context.runs.count(name, RunStatus.RUNNING):
            self._moved[name] = now
        return now - self._moved.get(name, -math.inf) < _AFTER_S

    def cancel(self, job_id: str) -> None:
        """Ask a job to stop; what it journaled is kept."""
        self.context.watch.cancel(job_id)

    def overview(self, archived: bool = False) -> list[dict[str, Any]]:
        """Projects, oldest first, with their sizes, state and what they cost: those that are archived, or the others.

        Keys: name, task, queries, samples, cost (US dollars), runs, status, changed (UTC, ISO 8601), next (a page).
        """
        return [
            {
                "name": row.name,
                "task": self.context.projects.get(row.id).config.task,
                "queries": row.queries,
                "samples": row.samples,
                "cost": row.cost,
                "runs": row.runs,
                "status": status_of(row),
                "changed": row.changed.replace(tzinfo=UTC).isoformat(timespec="seconds"),
                "next": self._next(row).page,
            }
            for row in self.context.standings.oldest_first(archived)
        ]

    def page(self, search: str = "", archived: bool = False, page: int = 1) -> ProjectPage:
        """One page of the projects whose names hold a text, what changed last first; beyond the end the last one."""
        total = self.context.standings.count(archived, search)
        begin = (min(page, max(1, -(-total // LISTED))) - 1) * LISTED
        rows = self.context.standings.page(archived, search, LISTED, begin)
        return ProjectPage([self._card(row) for row in rows], begin, total, self.context.standings.count(True))

    def _card(self, standing: Standing) -> ProjectCard:
        task = TASKS.get(name).title if (name := self.context.projects.get(standing.id).config.task) in TASKS else name
        return ProjectCard(standing, task, status_of(standing), self._next(standing))

    def next_of(self, project: Project | None) -> NextStep | None:
        """What is to be done next in a project, by the same rule as everywhere; nothing in one that is archived."""
        if project is None or project.archived:
            return None
        step: NextStep = self.context.db.once(
            f"next step of {project.id} within {project.config.margin}",
            lambda: self._next(self.context.standings.one(project.id)),
        )
        return step

    def _next(self, standing: Standing) -> NextStep:
        return next_step(standing, ships(self.context, standing))


def is_outdated(context: Context, selection: StoredSelection) -> bool:
    """Whether a project's samples, or what is known of them, have changed since they were selected from."""
    counts = selection.counts
    if list(context.samples.state(selection.project_id)) != counts.get("state"):
        return True
    return "evidence" in counts and list(context.evidence.state(selection.project_id)) != counts["evidence"]


def ships(context: Context, standing: Standing) -> bool:
    """Whether the newest report of a project shows a student to ship, by the rule of the page Evaluate."""
    run_id = context.reports.newest_run(standing.id) if standing.reported else None
    verdict = judge(context, context.runs.get(run_id)) if run_id else None
    return bool(verdict and verdict.ship)


def _pace(done: int, of: int, seconds: float) -> tuple[float | None, float | None]:
    """Replies a second and seconds left, once that can be said."""
    if done < _FEW or seconds < 1:
        return None, None
    rate = done / seconds
    return rate, (of - done) / rate


def _count(number: int, what: str) -> str:
    return counted(number, what) if number else ""


def _run_state(statuses: list[RunStatus]) -> State:
    if any(status in (RunStatus.RUNNING, RunStatus.WAITING) for status in statuses):
        return "running"
    return "done" if statuses else "todo"
