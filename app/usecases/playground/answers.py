"""The playground: one query to students, by a resident worker that gives way to runs, and to teachers, by a job."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from app.usecases.evaluation.comparisons import say_growing
from app.usecases.labelling.label import LabelService
from app.usecases.labelling.waits import read_waits, say_later
from app.usecases.playground.panes import Pane, follow, read_attempt
from app.usecases.playground.process import StudentProcess
from app.usecases.playground.stand_in import BESIDE, FROM_RECORD, MEANWHILE, StandIns, is_small, make_spare
from app.usecases.teachers.connections import Connections
from app.usecases.training.materials import StageBuilder
from app.usecases.workspace.context import Context
from engine.datasets.rows import student_prompt
from engine.errors import InputError, MissingPart, NotFound, StateError, WorkerFailed
from engine.jobs.events import EventLog
from engine.labelling.online import label
from engine.pipeline import prompt_of
from engine.ports import Task, Teacher
from engine.tasks import get_task, verify_many
from engine.teachers.hosted import HostedTeacher
from engine.values import Choice, Job, Query, Split, make_query
from storage.projects import Project
from storage.runs import Run
from storage.votes import VERDICTS, Vote

PLAY = "play"
_LOOK_S = 0.15
_STILL_S = 1.0
"""A page that changes nothing is sent all the same this often: only so a closed tab is noticed."""
_ATTEMPTS, _FIRST_WAIT_S = 3, 0.5
"""Who looks on does not wait for seven, nor long between them."""
_MOST_WAIT_S = 10.0
"""Nor for a provider that asks to wait longer."""
MOST_QUERY = 8_000
"""Characters of a query: even at a token each it leaves a student's context room for the answer."""
_USUALLY = 4
MOST_ASKED = 6
"""Systems that are asked at once."""


@dataclass(frozen=True)
class PlayOrder:
    """What is asked, whom (ids of students and teachers), and whether two of them answer unnamed."""

    text: str | None
    ids: list[str] | None
    blind: bool


@dataclass(frozen=True)
class PlayService:
    """Use cases of the playground. `heard` holds what teachers are saying now: by job, the text by teacher."""

    context: Context
    connections: Connections
    labelling: LabelService
    resident: StudentProcess = field(default_factory=StudentProcess)
    heard: dict[str, dict[str, str]] = field(default_factory=dict)
    spare: StudentProcess = field(default_factory=make_spare)

    @property
    def stand_ins(self) -> StandIns:
        """Who answers for students while a job has the device."""
        return StandIns(self.context, self.spare)

    def close(self) -> None:
        """End the processes that students live in, for good."""
        self.resident.close()
        self.spare.close()

    def systems(self, project: Project) -> dict[str, str]:
        """What can be asked: the name as a person knows it, and an id. Stages of the newest run come first."""
        systems: dict[str, str] = {}
        for run in self.context.runs.all(project.id):
            trained = [step.name for step in run.plan.trained if self._adapter(run, step.name)]
            if trained:
                systems |= {f"{name} · {run.title}": f"student {run.id} {name}" for name in trained}
                systems.setdefault(f"vanilla · {run.plan.student.model}", f"student {run.id} ")
        for spec in self.context.projects.teachers(project.id):
            if spec.provider != "local":
                systems[spec.name] = f"teacher {spec.name}"
        return systems

    def named(self, project: Project, names: Sequence[str]) -> list[str]:
        """The ids of some systems, each by its name or its beginning, as stage3; the first four where none is named.

        Raises:
            InputError: if there is none of a name; the message tells those there are.
        """
        systems = self.systems(project)
        brief = {name.partition(" · ")[0]: id_ for name, id_ in reversed(systems.items())}
        unknown = [name for name in names if name not in systems and name not in brief]
        if unknown:
            raise InputError(f"nobody is called {unknown[0]!r}; there are {', '.join(systems) or 'none yet'}")
        return [systems.get(name) or brief[name] for name in names] or list(systems.values())[:_USUALLY]

    def _adapter(self, run: Run, step: str) -> Path | None:
        folder = StageBuilder(self.context, run).folder(step) / "adapter"
        return folder if folder.is_dir() else None

    def pick(self, project: Project, at_random: float) -> Query | None:
        """A query of the project, held-out ones first; `at_random` from 0 to 1 says which."""
        for split in (Split.HELDOUT, Split.DISTILL):
            query = self.context.queries.pick(project.id, split, at_random)
            if query is not None:
                return query
        return None

    def first(self, project: Project, size: int = 50) -> list[tuple[str, str]]:
        """The beginning of some queries with their ids, held-out ones first."""
        beginnings = self.context.queries.beginnings(project.id, size)
        return [(" ".join(begin.split()), id_) for begin, id_ in beginnings]

    def render(self, project: Project, query_id: str) -> str:
        """One of the project's queries as its teachers read it.

        Raises:
            NotFound: if there is none of that id.
        """
        return get_task(project.config.task).render(self.context.queries.find_one(project.id, query_id))

    def read_query(self, project: Project, text: str) -> Query:
        """The query that somebody typed: one of the project's where it reads like that, else a new one.

        Lines as "A) first option" at its end are options.

        Raises:
            InputError: if it is empty or too long.
        """
        if not text.strip():
            raise InputError("Type a query first, or take one of the project's.")
        if len(text) > MOST_QUERY:
            raise InputError(
                f"The query is longer than {MOST_QUERY:,} characters, the most that are asked; shorten it."
            )
        made = get_task(project.config.task).read_typed(text.strip())
        try:
            return self.context.queries.find_one(project.id, made.id)
        except NotFound:
            return made

    def busy(self) -> str:
        """What has the device, as text; "" where nothing has."""
        job = self.context.watch.holder()
        if job is None:
            return ""
        return (
            f"The device is taken by a job ({job.kind}), so students can't answer until it is over. Teachers can: "
            "choose them alone."
        )

    def meanwhile(self, ids: Sequence[str] | None) -> str:
        """Who answers for these while a job has the device; "" where none of them needs it, or none has it."""
        job = self.context.watch.holder() if _students(ids) else None
        return f"The device is taken by a job ({job.kind}) at this moment. {MEANWHILE}" if job else ""

    def hindrance(self, project: Project, ids: Sequence[str] | None, query: Query | None = None) -> str:
        """The one reason why these can't be asked now, for a query if it is known; "" where they can."""
        if not self.systems(project):
            return "Nobody can be asked yet: add teachers, or train a student."
        if not ids or len(ids) > MOST_ASKED:
            return f"Choose one to {MOST_ASKED} of those who can be asked."
        students = _students(ids)
        reason = self.busy() if students else ""
        return reason if reason and not self.stand_ins.all_can(students, query) else ""

    def ask(
        self, project: Project, query: Query, ids: Sequence[str], left: threading.Event | None = None
    ) -> Iterator[list[Pane]]:
        """Ask some systems one query; gives all panes out, in the order asked, as their texts grow.

        Once `left` is set nobody wants the rest: students are not asked further, teachers are hung up on.

        Raises:
            NotFound: if there is no such system.
            StateError: if a job has the device that a student among them needs.
        """
        if reason := self.hindrance(project, ids, query):
            raise StateError(reason)
        known = {id_: name for name, id_ in self.systems(project).items()}
        unknown = [id_ for id_ in ids if id_ not in known]
        if unknown:
            raise NotFound(f"there is no system {unknown[0]!r} any more; load the page again")
        panes = {id_: Pane(known[id_]) for id_ in ids}
        teachers = [id_.removeprefix("teacher ") for id_ in ids if id_.startswith("teacher ")]
        job = self._ask_teachers(project, query, teachers) if teachers else None
        left, gone = left or threading.Event(), threading.Event()
        asking = ThreadPoolExecutor(1, "playground")
        students = asking.submit(self._ask_students, project, query, panes, gone)
        try:
            shown: list[Pane] = []
            shown_at = 0.0
            while not left.is_set():
                over = students.done()
                if job is not None and any(not panes[f"teacher {name}"].over for name in teachers):
                    self._collect(job, panes, get_task(project.config.task), query)
                now = self._judge(project, query, panes)
                if shown != now or time.monotonic() - shown_at > _STILL_S:
                    shown, shown_at = now, time.monotonic()
                    yield now
                if all(pane.over for pane in now):
                    return
                if over:
                    students.result()
                if self.context.watch.failure is not None:
                    raise WorkerFailed("the jobs of this studio are not looked after any more; start it again")
                time.sleep(_LOOK_S)
            yield [pane if pane.over else replace(pane, over=True, message="stopped") for pane in panes.values()]
        finally:  # also where nobody looks any more; whoever closes a generator does not wait for the supervisor
            gone.set()
            if job is not None and any(not pane.over for pane in panes.values()):
                asking.submit(self.context.watch.cancel, job.id)
            asking.shutdown(wait=False)

    def _judge(self, project: Project, query: Query, panes: dict[str, Pane]) -> list[Pane]:
        """The panes, once all are over each with whether it is right; as they are where no gold label says so."""
        if not all(pane.over for pane in panes.values()):
            return list(panes.values())
        gold, task = self.context.queries.find_gold(project.id, query.id), get_task(project.config.task)
        if gold is None:
            return list(panes.values())
        read = {
            id_: task.read_answer(query, pane.text) if id_.startswith("student ") else pane.label
            for id_, pane in panes.items()
            if pane.whole
        }
        said = {id_: label for id_, label in read.items() if label is not None}
        try:
            verdicts = verify_many(task, [(query, label, gold) for label in said.values()])
            right = dict(zip(said, verdicts, strict=True))
        except MissingPart:  # labels are programs, and nothing runs them here
            return list(panes.values())
        judged = {id_: replace(panes[id_], label=read[id_], right=right.get(id_, False)) for id_ in read}
        return [judged.get(id_, pane) for id_, pane in panes.items()]

    def _ask_students(self, project: Project, query: Query, panes: dict[str, Pane], gone: threading.Event) -> None:
        """Ask the students one after the other, as long as somebody looks."""
        for id_ in [id_ for id_ in panes if id_.startswith("student ")]:
            if gone.is_set():
                return
            if not self.resident.alive and not self.busy():
                panes[id_] = replace(panes[id_], message="The student is being loaded, which can take a minute.")
            for pane in self._ask_student(project, query, panes[id_], id_, gone):
                panes[id_] = pane
                if gone.is_set():
                    return

    def _ask_student(
        self, project: Project, query: Query, pane: Pane, id_: str, gone: threading.Event
    ) -> Iterator[Pane]:
        _, run_id, step = id_.split(" ", 2)
        run = self.context.runs.get(run_id)
        if run.project_id != project.id:
            raise NotFound(f"{project.name!r} has no run {run_id}")
        task = get_task(project.config.task)
        adapter = self._adapter(run, step) if step else None
        if step and adapter is None:
            yield replace(pane, over=True, message="its adapter is not there any more")
            return
        request = {
            "student": run.plan.student.model_dump(mode="json"),
            "prompt": student_prompt(task, query, prompt_of(run.plan, step)),
            "adapter": str(adapter) if adapter else None,
        }
        if not self.busy():
            replies = self.resident.ask(request, lambda: "stopped" if gone.is_set() else self.busy())
            try:
                yield from follow(pane, replies)
                return
            except StateError as error:
                if gone.is_set() or not self.busy():
                    yield replace(pane, over=True, message=str(error))
                    return
        yield from self._stand_in(run, step, query, pane, request, gone)

    def _stand_in(
        self, run: Run, step: str, query: Query, pane: Pane, request: dict[str, Any], gone: threading.Event
    ) -> Iterator[Pane]:
        """What stands in for a student while a job has the device."""
        recorded = self.stand_ins.find(run, step, query)
        if recorded is not None:
            pane = replace(
                pane, text=recorded.text, tokens=recorded.tokens, seconds=recorded.latency_s, message=FROM_RECORD
            )
            yield replace(pane, over=True, whole=True, log_prob=recorded.log_prob, label_tokens=recorded.label_tokens)
        elif not is_small(run):
            yield replace(pane, over=True, message=self.busy())
        else:
            pane = replace(pane, text="", message=BESIDE)
            yield pane
            try:
                yield from follow(pane, self.spare.ask(request, lambda: "stopped" if gone.is_set() else ""), BESIDE)
            except StateError as error:
                yield replace(pane, over=True, message=str(error))

    def _ask_teachers(self, project: Project, query: Query, names: Sequence[str]) -> Job:
        choices = [[choice.letter, choice.text] for choice in query.choices]
        spec = {"teachers": list(names), "query": [query.text, choices, dict(query.extra)]}
        return self.context.submit(project.id, PLAY, spec)

    async def run_play(self, job: Job, log: EventLog, stop: Callable[[], bool]) -> None:
        """The coroutine of a playground job: the teachers answer one query; it stands on the ledger like any other."""
        project = self.context.projects.get(job.project_id)
        text, choices, extra = job.spec["query"]
        query = make_query(text, tuple(Choice(*choice) for choice in choices), extra=extra)
        heard = self.heard.setdefault(job.id, {})

        async def ask() -> None:
            async with self.connections.open(project, job.spec["teachers"], stop, sink=log) as reach:
                reach.caller.attempts, reach.caller.first_wait_s = _ATTEMPTS, _FIRST_WAIT_S
                reach.caller.most_wait_s = _MOST_WAIT_S
                teachers = [_heard_by(teacher, heard) for teacher in await self.labelling.probed(reach, log)]
                await label(self.labelling.plan_one(project, query, teachers, job.id), log, reach.caller)

        try:
            await _until(stop, asyncio.ensure_future(ask()))
        finally:
            self.heard.pop(job.id)

    def _collect(self, job: Job, panes: dict[str, Pane], task: Task, query: Query) -> None:
        """Put in what the teachers have said so far."""
        now = self.context.jobs.get_job(job.id)
        for name, text in list(self.heard.get(job.id, {}).items()):
            if not panes[f"teacher {name}"].over:
                panes[f"teacher {name}"] = replace(panes[f"teacher {name}"], text=say_growing(task, text))
        for row in self.context.samples.attempts(job.id):
            id_ = f"teacher {row['teacher']}"
            panes[id_] = read_attempt(panes[id_], row, task, query)
        if now.status.over:
            waits = read_waits(self.context, job.id)
            unsent = {
                e.data["teacher"]: str(e.data["message"]) for e in self.context.jobs.events(job.id, kinds=("held",))
            }
            for id_, pane in panes.items():
                if id_.startswith("teacher ") and not pane.over:
                    name = id_.removeprefix("teacher ")
                    later = say_later(waits[name]) if name in waits else unsent.get(name, "")
                    reasons = "; ".join(filter(None, (pane.message, later)))
                    message = reasons or now.message or "declines: it does not know this query"
                    panes[id_] = replace(pane, over=True, message=message)

    def vote(self, project: Project, vote: Vote) -> None:
        """Store a blind vote.

        Raises:
            InputError: if there is no such verdict.
        """
        if vote.verdict not in VERDICTS:
            raise InputError(f"there is no verdict {vote.verdict!r}")
        self.context.votes.add(project.id, vote)

    def tally(self, project: Project) -> list[dict[str, Any]]:
        """Blind votes by pair of systems. Keys: system, other, votes, better, worse, both_good, neither_good."""
        return self.context.votes.tally(project.id)


def _students(ids: Sequence[str] | None) -> list[str]:
    return [id_ for id_ in ids or () if id_.startswith("student ")]


def _heard_by(teacher: Teacher, heard: dict[str, str]) -> Teacher:
    """The teacher, its answer streamed into `heard` where its provider can."""
    if not isinstance(teacher, HostedTeacher):
        return teacher
    return replace(teacher, hear=partial(heard.__setitem__, teacher.spec.name))


async def _until(stop: Callable[[], bool], work: asyncio.Future[None]) -> None:
    """Wait for work, but hang up on whoever is answering when it is not wanted any more: that ends the bill too."""
    try:
        while not work.done() and not stop():
            await asyncio.wait({work}, timeout=_LOOK_S)
    finally:
        if not work.done():
            work.cancel()
    with suppress(asyncio.CancelledError):
        await work
