"""Asking teachers for samples: the labelling jobs, which run in the app process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, cast, get_args

from app.usecases.labelling.left import OpenRequests, find_left
from app.usecases.labelling.probing import find_able
from app.usecases.labelling.workers import Placing
from app.usecases.teachers.connections import Connections, Reach
from app.usecases.teachers.prompts import freeze_prompt, job_prompt, teacher_prompt
from app.usecases.workspace.context import Context
from engine.costs import Budget, find_price
from engine.errors import ConfigError, ErrorKind, InputError, StateError
from engine.evaluation.pilot import spread
from engine.jobs.events import EVENTS_FILE, EventLog, read_events
from engine.labelling.batch import POLL_S as POLL_BATCH_S
from engine.labelling.batch import BatchWork, label_in_batches, read_chunks, restore_budget
from engine.labelling.online import LabelCounts, LabelWork, Unread, count_missing, label, read_sample, run_all
from engine.labelling.replay import current_ids, narrow, replay
from engine.ports import Task, Teacher
from engine.prompts import Prompt
from engine.tasks import get_task
from engine.teachers.hosted import HostedTeacher
from engine.teachers.providers import HOSTED
from engine.teachers.recorded import RecordedTeacher
from engine.teachers.scripted import SCRIPTED_TEACHERS
from engine.values import Job, JobStatus, Purpose, Query, Reply, SampleKey, Split, TeacherSpec
from storage.projects import Project

Engine = Literal["process", "batch", "ray"]
_ASKING = ("label", "batch", "ray-label", "local", "ray", "grade")
"""Kinds of jobs that ask teachers for samples or grades of them: two at a time would pay twice."""


@dataclass(frozen=True)
class LabelOrder:
    """What a labelling is to do: which teachers (none named: all live ones) and splits, within which caps.

    `max_cost` in US dollars. `retry` asks only what failed before: kinds of error, or `all`. `limit` asks only so many
    queries of a split, evenly out of all, as a pilot does. `engine`: asked from this process, by the provider's batch
    API at half the price, or spread over machines by Ray.
    """

    teachers: Sequence[str] = ()
    splits: Sequence[Split] = (Split.DISTILL,)
    max_cost: Decimal | None = None
    max_requests: int | None = None
    retry: Sequence[str] = ()
    limit: int | None = None
    engine: Engine = "process"


def read_money(text: str | None) -> Decimal | None:
    """An amount of US dollars as somebody typed it; None where nothing was.

    Raises:
        InputError: if it is no amount.
    """
    if text is None or not text.strip():
        return None
    try:
        amount = Decimal(text.strip().removeprefix("$"))
    except ArithmeticError:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise InputError(f"{text}: give a cap in US dollars as 2.50")
    return amount


def read_engine(name: str) -> Engine:
    """The engine of that name.

    Raises:
        ConfigError: if there is none.
    """
    for engine in get_args(Engine):
        if engine == name:
            return cast(Engine, engine)
    raise ConfigError(f"there is no engine {name!r}; there are {', '.join(get_args(Engine))}")


@dataclass(frozen=True)
class LabelService:
    """Use cases of labelling."""

    context: Context
    connections: Connections

    @property
    def placing(self) -> Placing:
        """Where teachers are asked that this process does not ask itself."""
        return Placing(self.context, self.connections)

    def add_scripted_teachers(self, project_id: str) -> None:
        """Give a project the three shipped teachers of the generated puzzles."""
        for teacher in SCRIPTED_TEACHERS:
            self.context.projects.put_teacher(project_id, teacher.spec)

    def start(self, project_name: str, order: LabelOrder = LabelOrder()) -> Job:
        """Queue the labelling of what has no sample yet.

        Raises:
            StateError: if there is nobody to ask or nothing to ask, or a labelling is running.
            ConfigError: if a teacher is unknown, or its price is while there is a cap on money.
            KeyMissing: if a teacher's key is not there.
        """
        project = self.context.projects.get(project_name)
        chosen = self.choose(project, order.teachers)
        counts = self.context.queries.counts(project.id)
        if not any(counts.get(split.value) for split in order.splits):
            raise StateError(f"{project.name!r} has no queries yet; bring them with `tacit import-queries`")
        unknown = [kind for kind in order.retry if kind != "all" and kind not in set(ErrorKind)]
        if unknown:
            raise ConfigError(f"no kind of error is named {', '.join(unknown)}; there are {', '.join(ErrorKind)}")
        self.check(chosen, order)
        if self.running(project):
            raise StateError(f"{project.name!r} is being labelled or graded already; wait for that job, or cancel it")
        asked: dict[str, Any] = {
            "teachers": [spec.name for spec in chosen],
            "splits": [split.value for split in order.splits],
            "max_cost": None if order.max_cost is None else str(order.max_cost),
            "max_requests": order.max_requests,
            "retry": list(order.retry),
            "limit": order.limit,
            "prompt": freeze_prompt(self.context, project),
        }
        left = self._left_batches(project, asked["teachers"]) if order.engine == "batch" else None
        if left is not None:
            spec_now = {**left.spec, "max_cost": asked["max_cost"], "max_requests": asked["max_requests"]}
            self.context.jobs.update_job(left.id, spec=json.dumps(spec_now), status=JobStatus.QUEUED)
            return left
        kind = {"process": "label", "batch": "batch", "ray": "ray-label"}[order.engine]
        return self.context.submit(project.id, kind, asked)

    def running(self, project: Project) -> list[Job]:
        """The project's jobs that ask teachers for samples or grades at this moment."""
        unfinished = self.context.jobs.unfinished_jobs()
        return [job for job in unfinished if job.project_id == project.id and job.kind in _ASKING]

    def check(self, chosen: Sequence[TeacherSpec], order: LabelOrder) -> None:
        """Whether these teachers can be asked in this way.

        Raises:
            ConfigError: if not.
            KeyMissing: if a key is not there.
        """
        if order.max_requests is not None and any(spec.provider == "local" for spec in chosen):
            raise ConfigError("a cap on requests does not reach a local model; leave it or the model out")
        for spec in chosen:
            if order.max_cost is not None and find_price(spec) is None:
                raise ConfigError(
                    f"the price of {spec.name} ({spec.model}) is unknown, so a cap on money can't hold; give the "
                    "teacher its prices, or cap the number of requests. Nothing was asked."
                )
            if spec.provider in HOSTED:
                self.connections.keys.find(spec)
            elif order.engine != "process":
                raise ConfigError(f"{spec.name} is a {spec.provider} teacher: only hosted ones go by {order.engine}")
        if order.engine == "ray" and (order.max_cost is not None or order.max_requests is not None):
            raise ConfigError("a cap can't hold over several machines: leave it out, or ask from this process")

    def _left_batches(self, project: Project, names: Sequence[str]) -> Job | None:
        """A batch job that was left before it had collected everything: it goes on rather than paying again."""
        for job in self.context.jobs.jobs_of(project.id):
            same = set(job.spec.get("teachers", ())) == set(names)
            if job.kind == "batch" and same and job.status.over and job.status is not JobStatus.FINISHED:
                chunks = read_chunks(read_events(Path(job.folder) / EVENTS_FILE).events)
                if any(not chunk.collected for chunk in chunks.values()):
                    return job
        return None

    def choose(self, project: Project, names: Sequence[str]) -> list[TeacherSpec]:
        """The teachers that are to be asked: the named ones, or all that are no recordings.

        Raises:
            ConfigError: if one is unknown.
            StateError: if there is none.
        """
        known = {spec.name: spec for spec in self.context.projects.teachers(project.id)}
        chosen = list(names) or [name for name, spec in known.items() if spec.provider != "recorded"]
        unknown = [name for name in chosen if name not in known]
        if unknown:
            raise ConfigError(f"no teacher is named {', '.join(unknown)}; the project has {', '.join(known) or 'none'}")
        if not chosen:
            raise StateError(
                f"{project.name!r} has no live teacher; add one with `tacit teachers add`, or bring recorded outputs "
                "with `tacit import-outputs`"
            )
        return [known[name] for name in chosen]

    def _open(self, job: Job) -> tuple[Project, Task]:
        """The project and task of a labelling job; the prompt's text is kept, so that its samples stay explainable."""
        project = self.context.projects.get(job.project_id)
        task = get_task(project.config.task)
        prompt = job_prompt(self.context, project, job.spec)
        self.context.projects.keep_prompt(prompt.hash, prompt.name, prompt.text)
        return project, task

    async def run_label(self, job: Job, log: EventLog, stop: Callable[[], bool]) -> None:
        """The coroutine of a labelling job."""
        project, task = self._open(job)
        budget = read_budget(job)
        async with self.connections.open(project, job.spec["teachers"], stop, budget, log) as reach:
            teachers = await self.probed(reach, log, others=bool(self._elsewhere(job, project)))
            recorded = [teacher for teacher in teachers if isinstance(teacher, RecordedTeacher)]
            asked = [teacher for teacher in teachers if not isinstance(teacher, RecordedTeacher)]
            works = self._plan_all(job, project, task, asked)
            budget.carry(self._left(project).bound_labels(works.values(), [teacher.spec for teacher in asked]))
            tell_plan(works.values(), [*(t.spec for t in teachers), *self._elsewhere(job, project)], log)
            for split, work in works.items():
                requests = sum(count_missing(work, teacher.spec) for teacher in asked)
                requests += sum(count_missing(narrow(work, one), one.spec) for one in recorded)
                log.emit("label_started", split=split, queries=len(work.queries), requests=requests)
                for one in recorded:
                    self.context.samples.replace_recorded(project.id, one.spec.name, current_ids(work, one))
                local = [
                    self.placing.label_locally(project, spec, work, log, stop) for spec in self._elsewhere(job, project)
                ]
                replays = [replay(work, one, log, reach.caller.stop) for one in recorded]
                counts = await run_all([label(work, log, reach.caller), *replays, *local])
                log.emit("label_ended", split=split, **_add_up(counts)._asdict())

    async def probed(self, reach: Reach, log: EventLog, others: bool = False) -> list[Teacher]:
        """As `find_able`."""
        return await find_able(self.connections, reach, log, others)

    def stopped(self, job_id: str) -> list[str]:
        """The teachers that a job gave up since every further request would have failed the same way, and why."""
        events = self.context.jobs.events(job_id, kinds=("teacher_stopped",))
        messages = {event.data["teacher"]: str(event.data.get("message", "")) for event in events}
        return [f"{name} was stopped: {message}" for name, message in messages.items()]

    def _elsewhere(self, job: Job, project: Project) -> list[TeacherSpec]:
        """Teachers of a job that are not asked from this process."""
        ray = job.kind == "ray-label"
        specs = [spec for spec in self.context.projects.teachers(project.id) if spec.name in job.spec["teachers"]]
        return [spec for spec in specs if spec.provider == "local" or (ray and spec.provider in HOSTED)]

    async def run_ray(self, job: Job, log: EventLog, stop: Callable[[], bool]) -> None:
        """The coroutine of a labelling by Ray: probes from here, then hands the requests to a worker."""
        project, task = self._open(job)
        async with self.connections.open(project, job.spec["teachers"], stop, sink=log) as reach:
            able = {teacher.spec.name for teacher in await self.probed(reach, log)}
        self.context.watch.take_in(job)
        asked = [spec for spec in self._elsewhere(job, project) if spec.name in able]
        tell_plan(self._plan_all(job, project, task, ()).values(), asked, log)
        for spec in asked:
            await self.placing.take_in_left(project, spec, stop)
            for split in (Split(value) for value in job.spec["splits"]):
                work = self.plan_work(project, task, (), split, {**job.spec, "nonce": job.id})
                await self.placing.label_on_ray(project, spec, work, log, stop)

    async def run_batch(self, job: Job, log: EventLog, stop: Callable[[], bool]) -> None:
        """The coroutine of a labelling by batches."""
        project, task = self._open(job)
        budget = read_budget(job)
        folder = Path(job.folder)
        specs = {spec.name: spec for spec in self.context.projects.teachers(project.id)}
        restore_budget(budget, read_events(folder / EVENTS_FILE).events, specs)
        async with self.connections.open(project, job.spec["teachers"], stop, budget, log) as reach:
            teachers = [teacher for teacher in await self.probed(reach, log) if isinstance(teacher, HostedTeacher)]
            works = self._plan_all(job, project, task, ())
            tell_plan(works.values(), [teacher.spec for teacher in teachers], log)
            for work in works.values():
                events = read_events(folder / EVENTS_FILE).events
                todo = [BatchWork(work, t, folder, events, budget, stop, poll_s=POLL_BATCH_S) for t in teachers]
                await run_all([label_in_batches(part, log) for part in todo])

    def _plan_all(self, job: Job, project: Project, task: Task, teachers: Sequence[Teacher]) -> dict[Split, LabelWork]:
        """What a job has to ask, by split."""
        spec = {**job.spec, "nonce": job.id}
        return {Split(name): self.plan_work(project, task, teachers, Split(name), spec) for name in job.spec["splits"]}

    def plan_work(
        self, project: Project, task: Task, teachers: Sequence[Teacher], split: Split, spec: Mapping[str, Any]
    ) -> LabelWork:
        """What a labelling job has to ask of one split."""
        queries = self.context.queries.get(project.id, split)
        queries = spread(queries, spec["limit"]) if spec.get("limit") else queries
        retry = spec.get("retry") or []
        prompt = job_prompt(self.context, project, spec)
        return LabelWork(
            task=task,
            prompt=prompt,
            queries=queries,
            teachers=teachers,
            known=self.context.samples.known_ids(project.id),
            purpose=Purpose.LABEL if split is Split.DISTILL else Purpose.EVALUATE,
            only=self._failed(project, prompt, [] if "all" in retry else retry) if retry else None,
            nonce=str(spec.get("nonce", "")),
            left=self._left(project).keys if spec.get("nonce") else {},
        )

    def _left(self, project: Project) -> OpenRequests:
        return find_left(self.context, project.id, Purpose.LABEL, Purpose.EVALUATE)

    def plan_one(self, project: Project, query: Query, teachers: Sequence[Teacher], nonce: str) -> LabelWork:
        """One query of the playground to some teachers, once each, whatever is known of it."""
        prompt = teacher_prompt(self.context, project)
        specs = [teacher.spec for teacher in teachers]
        return LabelWork(
            task=get_task(project.config.task),
            prompt=prompt,
            queries=[query],
            teachers=teachers,
            only={SampleKey(query.id, s.endpoint, s.model, prompt.hash, s.sampling, 0).id for s in specs},
            purpose=Purpose.PLAY,
            nonce=nonce,
        )

    def _failed(self, project: Project, prompt: Prompt, kinds: Sequence[str]) -> set[str]:
        """Samples to ask for again: of each failed one without a sample, the id that it has under this prompt."""
        specs = {spec.name: spec for spec in self.context.projects.teachers(project.id)}
        ids = set()
        for row in self.context.samples.failed(project.id, kinds):
            spec = specs.get(row["teacher"])
            if spec is not None:
                key = SampleKey(row["query_id"], spec.endpoint, spec.model, prompt.hash, spec.sampling, row["draw"])
                ids.add(key.id)
        return ids

    def parse_again(self, project_name: str) -> dict[str, dict[str, int]]:
        """Read the replies again that could not be read, with the parser of this version. Nobody is asked.

        Returns:
            By teacher: how many were unread, and how many are read now.
        """
        project = self.context.projects.get(project_name)
        task = get_task(project.config.task)
        queries = {query.id: query for query in self.context.queries.get(project.id)}
        parsed: dict[str, dict[str, Any]] = {}
        by_teacher: dict[str, dict[str, int]] = {}
        for row in self.context.samples.unread(project.id):
            counts = by_teacher.setdefault(row["teacher"], {"unread": 0, "read_now": 0})
            counts["unread"] += 1
            query = queries.get(row["query_id"])
            if query is None:
                continue
            reply = Reply(row["raw"], row["raw"], finish_reason=row["finish_reason"] or "stop")
            sample = read_sample(task, query, row["draw"], reply)
            if not isinstance(sample, Unread):
                names = {"id": row["sample_id"], "query_id": query.id, "teacher": row["teacher"]}
                parsed[row["id"]] = {**sample, **names, "split": query.split.value}
                counts["read_now"] += 1
        self.context.samples.add_read(project.id, parsed)
        return by_teacher


def _add_up(counts: Sequence[LabelCounts | None]) -> LabelCounts:
    """All parts of a labelling together; what a worker does, it counts itself."""
    known = [part for part in counts if part is not None]
    return LabelCounts(*(sum(column) for column in zip(*known, strict=True)))


def tell_plan(works: Iterable[LabelWork], asked: Sequence[TeacherSpec], log: EventLog) -> None:
    """Journal how many samples each teacher is to be asked for in all."""
    counts = [{spec.name: count_missing(work, spec) for spec in asked} for work in works]
    log.emit("label_planned", by_teacher={spec.name: sum(count[spec.name] for count in counts) for spec in asked})


def read_budget(job: Job) -> Budget:
    """The caps of a job that asks teachers."""
    cap = job.spec.get("max_cost")
    return Budget(None if cap is None else Decimal(cap), job.spec.get("max_requests"))
