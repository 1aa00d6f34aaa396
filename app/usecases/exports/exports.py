"""Taking results out: the distillation set, the rows of a stage, a stage's student or its answers, by the exporters."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

from app.usecases.exports.cards import base_name, write_card
from app.usecases.exports.checks import (
    adapter_of,
    ask_of,
    find_read_back,
    place_of,
    read_answers,
    result_of,
    say_read_back,
    write_check,
)
from app.usecases.exports.items import take_scored
from app.usecases.exports.snippets import load_snippet
from app.usecases.training.materials import StageBuilder
from app.usecases.workspace.context import Context
from engine.datasets.rows import row_to_json
from engine.errors import NotFound, StateError
from engine.evaluation.readback import SAMPLE, ReadBack
from engine.exports import EXPORTERS, Exporter, Outgoing, Scope, Student
from engine.exports.base import write_notes
from engine.jobs.spec import AskedSo, ExportJob
from engine.students import read_model_config
from engine.values import Job, JobStatus
from engine.wording import counted
from storage.projects import Project
from storage.runs import Run

EXPORT = ExportJob.kind
ADAPTER = "adapter"
"""The exporter of students where none is named."""
NO_NOTES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class ExportOrder:
    """What is taken out, and as what.

    With a `step` its student, or its answers; with a `dataset` the rows that it makes of a run's set; else the
    distillation set. `form` names an exporter; where it is empty, a file's name says it, and of a step it is the
    adapter. `sample`: how many held-out queries an exported student answers again, to be compared; 0: none.
    """

    run: str | None = None
    step: str | None = None
    dataset: str | None = None
    form: str = ""
    sample: int = SAMPLE


@dataclass(frozen=True)
class ExportService:
    """Use cases of exports."""

    context: Context

    def write(self, project_name: str, to: Path, order: ExportOrder) -> str:
        """Export what an order says; returns a sentence that says what was written.

        Raises:
            StateError: if the order does not fit together, or there is something at `to` already.
            ConfigError: if there is no such exporter.
        """
        project, run = self._find(project_name, order)
        if order.step is None:
            name = order.form or _form_of(to)
            return f"{counted(self._write_rows(project, run, order, name, to), 'row')} written to {to}"
        if run is None:
            raise StateError("--stage belongs to a run; name it with --run")
        name = order.form or ADAPTER
        exporter = _exporter(name, Scope.STUDENT, Scope.ITEMS)
        if to.exists():
            raise StateError(f"{to} exists already; nothing was written")
        said = f"{order.step}, {exporter.title}, written to {to}"
        if exporter.scope is Scope.ITEMS:
            scored = take_scored(self.context, run, order.step)
            exporter.write(Outgoing(scored=scored), to)
            return f"{said}: {counted(len(scored.items), 'query')}"
        if exporter.needs_worker or order.sample > 0:
            self.context.wait(self.prepare(run.id, order.step, name, order.sample).id)
            _copy_whole(self.prepared(run, order.step, name), to, self.take_student(run, order.step, name).notes)
        else:
            exporter.write(self.take_student(run, order.step, name), to)
        return f"{said}. {self.say_read_back(run, order.step, name)}"

    def _find(self, project_name: str, order: ExportOrder) -> tuple[Project, Run | None]:
        """The project of an order, and its run where it names one."""
        if order.step is not None and order.dataset is not None:
            raise StateError("--stage takes a student out and --dataset writes rows; give one of them")
        project = self.context.projects.get(project_name)
        run = self.context.runs.get(order.run) if order.run is not None else None
        if run is not None and run.project_id != project.id:
            raise StateError(f"run {order.run} is not a run of {project.name!r}")
        if run is None and order.dataset is not None:
            raise StateError("--dataset belongs to a run; name it with --run")
        return project, run

    def _write_rows(self, project: Project, run: Run | None, order: ExportOrder, name: str, to: Path) -> int:
        """Write the set, or a dataset's rows; returns how many there are."""
        exporter = _exporter(name, Scope.ROWS)
        if run is not None and order.dataset is not None:
            rows = [row_to_json(row) for row in StageBuilder(self.context, run).rows(order.dataset)]
        else:
            selection = run.selection_id if run else self.context.selections.latest(project.id).id
            rows = self.context.selections.kept_whole(project.id, selection)
        exporter.write(Outgoing(rows=rows), to)
        return len(rows)

    def take_student(self, run: Run, step: str, name: str, public: bool = False, repository: str = "") -> Outgoing:
        """The student of a finished train step with its card and its provenance, for an exporter.

        `public` and `repository` as of `write_card`.

        Raises:
            StateError: if the step has no adapter.
        """
        student = Student(run.plan.student, self.find_adapter(run, step))
        notes = write_card(self.context, run, step, name, public, repository).files
        asking = ask_of(self.context, run, step)
        return Outgoing(student=student, notes=notes, base=base_name(run, public), asking=asking)

    def card(self, run: Run, step: str, name: str = ADAPTER) -> str:
        """The card that goes with a stage's student, in Markdown."""
        return write_card(self.context, run, step, name).readme

    def snippet(self, run: Run, step: str, name: str = ADAPTER) -> str:
        """Python that loads a stage's exported student and asks it."""
        project = self.context.projects.get(run.project_id)
        return load_snippet(self.context, project, run, step, name, base_name(run))

    def find_adapter(self, run: Run, step: str) -> Path:
        """The adapter of a finished train step.

        Raises:
            StateError: if there is none.
        """
        source = adapter_of(run, step)
        if step not in {other.name for other in run.plan.steps} or not source.is_dir():
            raise StateError(f"step {step} of run {run.id} has no finished adapter")
        return source

    def stages(self, run: Run) -> list[str]:
        """The train steps of a run whose adapters are there."""
        return [step.name for step in run.plan.trained if adapter_of(run, step.name).is_dir()]

    def prepared(self, run: Run, step: str, name: str) -> Path:
        """Where a student lies once a worker has made it.

        Raises:
            StateError: if the step has no adapter.
        """
        self.find_adapter(run, step)
        return place_of(self.context, run, step, name)

    def read_back(self, run: Run, step: str, name: str) -> ReadBack | None:
        """How an export's answers compared with the scored ones; None where it was not checked."""
        return find_read_back(self.context, run, step, name)

    def say_read_back(self, run: Run, step: str, name: str) -> str:
        """The same in words."""
        return say_read_back(self.read_back(run, step, name))

    def refusal(self, run: Run, name: str) -> str:
        """Why a run's student can't be taken out so; "": it can, as far as is known before its model is loaded."""
        config = read_model_config(run.plan.student)
        return "" if config is None else EXPORTERS.get(name).refuses(config)

    def is_ready(self, run: Run, step: str, name: str) -> bool:
        """Whether a stage's student can be taken out so now: it needs no worker, or one has made it as it is now."""
        trained = step in self.stages(run)
        return trained and (not EXPORTERS.get(name).needs_worker or self.prepared(run, step, name).exists())

    def is_selected(self, project_name: str) -> bool:
        """Whether a project has a distillation set."""
        try:
            self.context.selections.latest(self.context.projects.get(project_name).id)
        except NotFound:
            return False
        return True

    def prepare(self, run_id: str, step: str, name: str, sample: int = SAMPLE) -> Job:
        """Let a worker make a stage's student and check it on `sample` held-out queries.

        What is made already stays, and is only checked where that was not done on as many and can be: by what the
        check came to, not by what was wished for. A job that is at it goes on.

        Raises:
            StateError: if the step has no adapter, or such a model is not taken out so.
            ConfigError: if there is no such exporter.
        """
        run = self.context.runs.get(run_id)
        _exporter(name, Scope.STUDENT)
        output = self.prepared(run, step, name)
        if reason := self.refusal(run, name):
            raise StateError(reason)
        is_checked = self._is_checked(run, step, name, sample)
        for job in self.context.jobs.jobs_of(run.project_id):
            if job.kind != EXPORT or job.spec["output"] != str(output):
                continue
            if not job.status.over or (job.status is JobStatus.FINISHED and output.exists() and is_checked):
                return job
        output.parent.mkdir(parents=True, exist_ok=True)

        def fill(job: Job) -> ExportJob:
            return ExportJob(
                exporter=name,
                student=run.plan.student,
                adapter=self.find_adapter(run, step),
                output=output,
                base=base_name(run),
                asking=AskedSo(**asdict(ask_of(self.context, run, step))),
                check=write_check(self.context, run, step, output, sample, job.path),
            )

        check = str(result_of(output))
        spec = {"output": str(output), "check": check, "step": step, "run": run.id, "what": name, "sample": sample}
        return self.context.submit(run.project_id, EXPORT, spec, fill=fill)

    def can_check(self, run: Run, step: str, sample: int) -> bool:
        """Whether an export of a stage has anything to answer again: there is a sample, and the stage was scored."""
        return sample > 0 and bool(read_answers(self.context, run, step).rows)

    def _is_checked(self, run: Run, step: str, name: str, sample: int) -> bool:
        """Whether an export answered so many held-out queries, or all that there are."""
        read_back = self.read_back(run, step, name)
        if read_back is None:
            return not self.can_check(run, step, sample)
        return read_back.asked >= sample or read_back.asked == read_back.of

    def pack(self, project_name: str, order: ExportOrder, folder: Path) -> Path:
        """Make one file of an export in a folder, to be downloaded.

        Raises:
            StateError: if there is nothing to export, or its worker has not made it yet.
            ConfigError: if there is no such exporter.
        """
        project, run = self._find(project_name, order)
        exporter = EXPORTERS.get(order.form)
        if order.step is None:
            path = folder / f"{f'rows-{order.dataset}' if order.dataset else 'set'}{exporter.suffix}"
            if not self._write_rows(project, run, order, order.form, path) and order.dataset:
                raise StateError("this run has no such rows")
            return path
        if run is None:
            raise StateError("Choose a run first; the page Train starts one.")
        target = folder / f"{order.step}-{order.form}{exporter.suffix or '.zip'}"
        if exporter.scope is Scope.ITEMS:
            return self._pack_answers(run, order.step, exporter, target)
        if exporter.needs_worker:
            source = self.prepared(run, order.step, order.form)
            if not source.exists():
                raise StateError(f"{exporter.title} is not made yet")
            return _pack(source, target, self.take_student(run, order.step, order.form).notes)
        with tempfile.TemporaryDirectory(dir=folder) as part:
            made = Path(part) / f"{order.step}{exporter.suffix}"
            exporter.write(self.take_student(run, order.step, order.form), made)
            return _pack(made, target)

    def _pack_answers(self, run: Run, step: str, exporter: Exporter, target: Path) -> Path:
        scored = take_scored(self.context, run, step)
        with tempfile.TemporaryDirectory(dir=target.parent) as part:
            made = Path(part) / f"{step}{exporter.suffix}"
            exporter.write(Outgoing(scored=scored), made)
            return _pack(made, target)


def _exporter(name: str, *scopes: Scope) -> Exporter:
    """An exporter of what is to be taken out.

    Raises:
        ConfigError: if there is none of that name.
        StateError: if it takes something else out.
    """
    exporter = EXPORTERS.get(name)
    if exporter.scope not in scopes:
        fitting = ", ".join(name for name in EXPORTERS if EXPORTERS[name].scope in scopes)
        raise StateError(f"{name} does not fit {_OF[scopes[0]]}; there are {fitting}")
    return exporter


_OF = {Scope.ROWS: "rows", Scope.STUDENT: "a student"}


def _form_of(path: Path) -> str:
    """The exporter whose files end like this name.

    Raises:
        StateError: if there is none.
    """
    endings = {EXPORTERS[name].suffix: name for name in EXPORTERS if EXPORTERS[name].scope is Scope.ROWS}
    if path.suffix not in endings:
        raise StateError(f"{path.name}: give a name that ends in {' or '.join(endings)}")
    return endings[path.suffix]


def _copy_whole(source: Path, to: Path, notes: Mapping[str, str]) -> None:
    """Copy a file, or a folder with the notes as they are now, all or nothing."""
    part = to.with_name(f"{to.name}.part")
    if source.is_dir():
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(source, part)
        write_notes(part, notes)
    else:
        shutil.copy2(source, part)
    part.rename(to)


def _pack(source: Path, path: Path, notes: Mapping[str, str] = NO_NOTES) -> Path:
    """What was taken out as one file: a folder as a zip file, with the notes as they are now; a file as it is."""
    if source.is_dir():
        return _zip(source, path, notes)
    shutil.copy2(source, path)
    return path


def _zip(folder: Path, path: Path, notes: Mapping[str, str]) -> Path:
    """A folder as a zip file, not compressed again: weights don't shrink. The same files make the same bytes."""
    part = path.with_name(f"{path.name}.part")
    files = {str(file.relative_to(folder)): file for file in folder.rglob("*") if file.is_file()}
    with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted({*files, *notes}):
            entry = zipfile.ZipInfo(str(Path(path.stem) / name))
            if name in notes:
                archive.writestr(entry, notes[name])
                continue
            with files[name].open("rb") as source, archive.open(entry, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target)
    part.replace(path)
    return path
