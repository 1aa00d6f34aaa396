"""Compressing rationales: the job of a run's step, and asking a teacher for one of them again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from app.usecases.compression.workers import rewrite_in_worker
from app.usecases.teachers.connections import Connections
from app.usecases.workspace.context import Context
from engine.compression import CHECK_PROMPTS, COMPRESSORS, Compressor, assign, compress
from engine.costs import Budget, find_price
from engine.datasets.rows import Example
from engine.errors import ConfigError, InputError, StateError
from engine.jobs.events import EventLog
from engine.plans import Answer, Compress, Plan
from engine.prompts import load_prompt
from engine.tasks import get_task
from engine.values import Job, Query
from engine.wording import counted
from storage.runs import Run

AGAIN = "again"
"""The kind of a job that asks for some rationales of a run again; the run does not wait for it."""
_MOST_NOTE = 2_000


@dataclass(frozen=True)
class CompressService:
    """Use cases of compression."""

    context: Context
    connections: Connections

    async def run_compress(self, job: Job, log: EventLog, stop: Callable[[], bool]) -> None:
        """The coroutine of a compression job: one step of a run."""
        run = self.context.runs.get(str(job.run_id))
        step = job.spec["step"]
        log.emit("step_started", step=step)
        done = self.context.rationales.newest(run.id, step)
        log.emit("progress", step=step, done=len(done), of=len(read_examples(self.context, run)))
        asked, answered = await self._ask(job, run, log, stop, {}, set(done))
        if answered < asked:
            if stop():
                return
            raise StateError(
                f"{asked - answered:,} of {counted(asked, 'rationale')} could not be compressed now, since a "
                "teacher failed; what came in is kept, and resuming asks for the rest"
            )
        self.context.watch.take_in(job)
        flags = [flag for _, flags in self.context.rationales.newest(run.id, step).values() for flag in flags]
        kept = sum(flag.startswith("kept original") for flag in flags)
        log.emit("step_finished", step=step, result={"rationales": len(done) + answered, "kept_original": kept})

    async def run_again(self, job: Job, log: EventLog, stop: Callable[[], bool]) -> None:
        """The coroutine of a job that asks for some rationales again, each with its reviewer's note."""
        run = self.context.runs.get(str(job.run_id))
        done = self.context.rationales.newest(run.id, _step_of(job)).keys() - job.spec["notes"].keys()
        asked, answered = await self._ask(job, run, log, stop, job.spec["notes"], done)
        if answered < asked and not stop():
            raise StateError("the teacher could not answer now; what was there is kept, ask again later")

    async def _ask(
        self,
        job: Job,
        run: Run,
        log: EventLog,
        stop: Callable[[], bool],
        notes: Mapping[str, str],
        done: set[str],
    ) -> tuple[int, int]:
        """Compress what is not done; how many were asked for, and how many came in."""
        project = self.context.projects.get(run.project_id)
        by = _compressor_of(run, _step_of(job))
        for name in (*by.prompts, *((by.again,) if by.again else ()), *CHECK_PROMPTS[run.plan.check_level]):
            prompt = load_prompt("compress", name)
            self.context.projects.keep_prompt(prompt.hash, prompt.name, prompt.text)
        students = self.context.runs.generations(run.id, answer_step(run, _step_of(job)))
        texts = self.context.rationales.newest(run.id, _step_of(job)) if notes else {}
        budget = Budget(run.plan.compress_cap)
        async with self.connections.open(project, None, stop, budget, log) as reach:
            teachers = {t.spec.name: t for t in reach.teachers}
            examples = [e for e in read_examples(self.context, run) if e.sample_id not in done]
            task, plan = get_task(project.config.task), run.plan
            work = [
                replace(
                    item,
                    previous=texts.get(str(item.example.sample_id), ("",))[0],
                    note=notes.get(str(item.example.sample_id), ""),
                    nonce=job.id,
                )
                for item in assign(task, examples, teachers, students, plan.compressor, plan.check_level, by)
            ]
            if by.worker:
                work = await rewrite_in_worker(self.context, job, run, _name_compressor(run, _step_of(job)), work, stop)
            results = await compress(task, work, by, plan.check_level, log, reach.caller)
        return len(work), len(results)

    def ask_again(self, run_id: str, sample_id: str, note: str) -> Job:
        """Ask the teacher to write a short form anew, as the note says; a job that the run does not wait for.

        Raises:
            InputError: if there is no note, or the run has no rationale of that sample.
            StateError: if this rationale is being asked for already.
        """
        run = self.context.runs.get(run_id)
        if not note.strip():
            raise InputError("Say what should be different; without a note the teacher would write the same again.")
        if len(note) > _MOST_NOTE:
            raise InputError(f"The note has {len(note):,} characters; at most {_MOST_NOTE:,} are passed on.")
        if sample_id not in self.context.rationales.newest(run.id):
            raise InputError(f"run {run.id} has no compressed rationale of sample {sample_id!r}")
        for job in self.context.jobs.unfinished_jobs():
            if job.kind == AGAIN and job.run_id == run.id and sample_id in job.spec["notes"]:
                raise StateError("This rationale is being asked for already; wait for it.")
        spec = {"notes": {sample_id: note.strip()}, "step": self.context.rationales.last_step(run.id)}
        return self.context.submit(run.project_id, AGAIN, spec, run.id)

    def can_ask(self, run_id: str, teacher: str) -> bool:
        """Whether the project has a live teacher to rewrite what this one said: itself, or the run's compressor."""
        run = self.context.runs.get(run_id)
        if run.plan.missing or not _compressor_of(run, self.context.rationales.last_step(run.id)).again:
            return False
        specs = {spec.name: spec for spec in self.context.projects.teachers(run.project_id)}
        asked = [specs[name] for name in (teacher, run.plan.compressor) if name in specs]
        return any(spec.provider != "recorded" for spec in asked)

    def check_compressor(self, project_id: str, plan: Plan) -> None:
        """Whether a project's rationales can be compressed, and checked, as a plan asks.

        Raises:
            ConfigError: if its teachers are recordings and no live one is named, if level 2 finds no second teacher to
                ask, if a cap on money can't hold, or if the model of a compressor can't be had.
            MissingPart: if the package of a compressor is not installed.
        """
        for step in plan.steps:
            worker = COMPRESSORS.get(step.by).worker if isinstance(step, Compress) else None
            if worker is not None:
                worker.check(worker.model())
        compressor = plan.compressor
        specs = {spec.name: spec for spec in self.context.projects.teachers(project_id)}
        recorded = [name for name, spec in specs.items() if spec.provider == "recorded"]
        named = specs.get(compressor or "")
        if plan.asks_to_compress and recorded and (named is None or named.provider == "recorded"):
            raise ConfigError(
                f"{', '.join(recorded)} can't rewrite rationales; name a live teacher as compressor, or "
                "leave stage 2 out"
            )
        live = [spec for spec in specs.values() if spec.provider not in ("recorded", "local")]
        if plan.check_level > 1 and len({(spec.endpoint, spec.model) for spec in live}) < 2:
            raise ConfigError(
                "Level 2 asks another teacher than the one that rewrote a rationale, and this project has only one "
                "that can be asked. Add a second teacher, or check at level 1."
            )
        unpriced = [name for name, spec in specs.items() if spec.provider != "recorded" and find_price(spec) is None]
        if plan.compress_cap is not None and unpriced:
            raise ConfigError(
                f"the price of {', '.join(unpriced)} is unknown, so a cap on compression can't hold; give the teacher "
                "its prices, or leave the cap out"
            )


def _step_of(job: Job) -> str:
    """The compress step that a job is of; "": the run's last one, of a job that an older program queued."""
    return str(job.spec.get("step", ""))


def _compressor_of(run: Run, step: str) -> Compressor:
    """What rewrites in a compress step of a run (none named: the last one)."""
    return COMPRESSORS.get(_name_compressor(run, step))


def _name_compressor(run: Run, step: str) -> str:
    steps = [other for other in run.plan.steps if isinstance(other, Compress) and step in ("", other.name)]
    return steps[-1].by if steps else Compress(name="compress").by


def answer_step(run: Run, compress: str = "") -> str:
    """The step in which the student wrote what a compress step goes by (none named: the last); "" if there is none."""
    if compress:
        return run.plan.before(compress, Answer)
    return next((step.name for step in reversed(run.plan.steps) if isinstance(step, Answer)), "")


def read_examples(context: Context, run: Run, queries: Sequence[Query] | None = None) -> list[Example]:
    """G of a run's selection: each kept sample as an example. `queries` are the project's, where they are at hand."""
    known = {query.id: query for query in (queries or context.queries.get(run.project_id))}
    return [
        Example(known[row["query_id"]], row["sample_id"], row["rationale"], row["label"], teacher=row["teacher"])
        for row in context.selections.kept(run.selection_id)
    ]
