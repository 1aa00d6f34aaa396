"""Asking teachers: the labelling and compression jobs, which run in the app process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.usecases.context import Context
from engine.compress import CompressWork, compress
from engine.dataset import Example
from engine.errors import ConfigError, StateError
from engine.jobs.events import EventLog
from engine.jobs.spec import read_lines
from engine.label import LabelWork, label, sample_ids
from engine.ports import Teacher
from engine.prompts import load_prompt
from engine.tasks import get_task
from engine.teachers.recorded import RecordedTeacher, Recording
from engine.teachers.scripted import SCRIPTED_TEACHERS
from engine.types import Job, Purpose, Query, Split, TeacherSpec
from storage.projects import Project
from storage.runs import Run


@dataclass(frozen=True)
class LabelService:
    """Use cases of teachers and labelling."""

    context: Context

    def add_scripted_teachers(self, project_id: str) -> None:
        """Give a project the three shipped teachers of the generated puzzles."""
        for teacher in SCRIPTED_TEACHERS:
            self.context.projects.put_teacher(project_id, teacher.spec)

    def start(self, project_name: str, teachers: Sequence[str] = (), splits: Sequence[Split] = (Split.DISTILL,)) -> Job:
        """Queue the labelling of what has no sample yet, by the named teachers or all that are live.

        Raises:
            StateError: if there is nobody to ask or nothing to ask.
        """
        project = self.context.projects.get(project_name)
        known = {spec.name: spec for spec in self.context.projects.teachers(project.id)}
        chosen = list(teachers) or [name for name, spec in known.items() if spec.provider != "recorded"]
        unknown = [name for name in chosen if name not in known]
        if unknown:
            raise ConfigError(f"no teacher is named {', '.join(unknown)}; the project has {', '.join(known) or 'none'}")
        if not chosen:
            raise StateError(f"{project.name!r} has no live teacher; recorded ones come by `tacit import-outputs`")
        if not any(self.context.queries.get(project.id, split) for split in splits):
            raise StateError(f"{project.name!r} has no queries yet; bring them with `tacit import-queries`")
        spec = {"teachers": chosen, "splits": [split.value for split in splits], "draws": 1}
        return self.context.submit(project.id, "label", spec)

    async def run_label(self, job: Job, log: EventLog, stop: Callable[[], bool]) -> None:
        """The coroutine of a labelling job."""
        project = self.context.projects.get(job.project_id)
        task = get_task(project.config.task)
        prompt = load_prompt("teacher", task.name)
        self.context.projects.keep_prompt(prompt.hash, prompt.name, prompt.text)
        teachers = open_teachers(self.context, project, job.spec["teachers"])
        for split in (Split(value) for value in job.spec["splits"]):
            queries = self.context.queries.get(project.id, split)
            known = self.context.samples.known_ids(project.id)
            purpose = Purpose.LABEL if split is Split.DISTILL else Purpose.EVALUATE
            log.emit("label_started", split=split, queries=len(queries), teachers=len(teachers))
            work = LabelWork(task, prompt, queries, teachers, known, job.spec["draws"], purpose)
            for teacher in teachers:
                if not teacher.live:
                    self.context.samples.replace_recorded(project.id, teacher.spec.name, sample_ids(work, teacher))
            counts = await label(work, log, stop)
            log.emit("label_ended", split=split, **counts._asdict())

    async def run_compress(self, job: Job, log: EventLog, stop: Callable[[], bool]) -> None:
        """The coroutine of a compression job: one step of a run."""
        run = self.context.runs.get(str(job.run_id))
        project = self.context.projects.get(run.project_id)
        step = job.spec["step"]
        log.emit("step_started", step=step)
        for prompt in (load_prompt("compress", "guided"), load_prompt("compress", "check")):
            self.context.projects.keep_prompt(prompt.hash, prompt.name, prompt.text)
        done = self.context.runs.rationales(run.id)
        students = self.context.runs.generations(run.id, job.spec["answers"])
        teachers = {t.spec.name: t for t in open_teachers(self.context, project, None)}
        work = [
            CompressWork(example, _compressor(run, teachers, teacher), students.get(example.query.id))
            for example, teacher in kept_examples(self.context, run)
            if example.sample_id not in done
        ]
        results = await compress(get_task(project.config.task), work, run.plan.check_level, log, stop)
        if len(results) < len(work):
            return
        flags = [flag for _, flags in self.context.runs.rationales(run.id).values() for flag in flags]
        flags += [flag for result in results for flag in result.flags]
        kept = sum(flag.startswith("kept original") for flag in flags)
        log.emit("step_finished", step=step, result={"rationales": len(done) + len(results), "kept_original": kept})


def _compressor(run: Run, teachers: dict[str, Teacher], name: str) -> Teacher:
    own = teachers.get(name)
    if own is not None and own.live:
        return own
    named = teachers.get(run.plan.compressor or "")
    if named is None or not named.live:
        raise ConfigError(f"{name} is a recording and can't rewrite; name a live teacher of the project as compressor")
    return named


def kept_examples(context: Context, run: Run) -> list[tuple[Example, str]]:
    """G of a run's selection: each kept sample as an example, with the name of its teacher."""
    queries: dict[str, Query] = {query.id: query for query in context.queries.get(run.project_id)}
    return [
        (Example(queries[row["query_id"]], row["sample_id"], row["rationale"], row["label"]), row["teacher"])
        for row in context.selections.kept(run.selection_id)
    ]


def open_teachers(context: Context, project: Project, names: Sequence[str] | None) -> list[Teacher]:
    """The project's teachers as they can be asked; all of them where no names are given."""
    specs = [spec for spec in context.projects.teachers(project.id) if names is None or spec.name in names]
    return [_open_teacher(context, spec) for spec in specs]


def _open_teacher(context: Context, spec: TeacherSpec) -> Teacher:
    if spec.provider == "scripted":
        return next(teacher for teacher in SCRIPTED_TEACHERS if teacher.spec.name == spec.name)
    if spec.provider == "recorded":
        lines = read_lines(str(context.workspace / "recordings" / f"{spec.endpoint}.jsonl"))
        recordings = {
            line["query_id"]: Recording(line["rationale"], line["answer"], line["raw"], line["factors"])
            for line in lines
            if line["teacher"] == spec.name
        }
        return RecordedTeacher(spec.name, recordings, spec.endpoint)
    raise ConfigError(f"the provider {spec.provider!r} of {spec.name} is not known to this version")
