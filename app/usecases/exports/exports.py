"""Taking results out: the distillation set, the rows of a stage, a stage's student, by the exporters there are."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from app.usecases.exports.cards import base_name, snippet, write_card
from app.usecases.training.materials import StageBuilder
from app.usecases.workspace.context import Context
from engine.datasets.rows import row_to_json
from engine.errors import NotFound, StateError
from engine.exports import EXPORTERS, Exporter, Outgoing, Scope, Student
from engine.jobs.spec import ExportJob
from engine.values import Job, JobStatus
from engine.wording import counted
from storage.projects import Project
from storage.runs import Run

EXPORT = ExportJob.kind
ADAPTER = "adapter"
"""The exporter of students where none is named."""


@dataclass(frozen=True)
class ExportOrder:
    """What is taken out, and as what.

    With a `step` its student; with a `dataset` the rows that it makes of a run's set; else the distillation set.
    `form` names an exporter; where it is empty, a file's name says it, and of a student it is the adapter.
    """

    run: str | None = None
    step: str | None = None
    dataset: str | None = None
    form: str = ""


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
        exporter = _exporter(name, Scope.STUDENT)
        if to.exists():
            raise StateError(f"{to} exists already; nothing was written")
        if exporter.needs_worker:
            self.context.wait(self.prepare(run.id, order.step, name).id)
            _copy_whole(self.prepared(run, order.step, name), to)
        else:
            exporter.write(self.take_student(run, order.step, name), to)
        return f"{order.step}, {exporter.title}, written to {to}"

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

    def take_student(self, run: Run, step: str, name: str, public: bool = False) -> Outgoing:
        """The student of a finished train step with its card and its provenance, for an exporter.

        `public`: it leaves this machine, so a base model in a folder is only named.

        Raises:
            StateError: if the step has no adapter.
        """
        student = Student(run.plan.student, self.find_adapter(run, step))
        notes = write_card(self.context, run, step, name, public).files
        return Outgoing(student=student, notes=notes, base=base_name(run, public))

    def card(self, run: Run, step: str, name: str = ADAPTER) -> str:
        """The card that goes with a stage's student, in Markdown."""
        return write_card(self.context, run, step, name).readme

    def snippet(self, run: Run, step: str, name: str = ADAPTER) -> str:
        """Python that loads a stage's exported student and asks it."""
        project = self.context.projects.get(run.project_id)
        return snippet(self.context, project, run, step, name, base_name(run))

    def find_adapter(self, run: Run, step: str) -> Path:
        """The adapter of a finished train step.

        Raises:
            StateError: if there is none.
        """
        source = StageBuilder(self.context, run).folder(step) / "adapter"
        if step not in {other.name for other in run.plan.steps} or not source.is_dir():
            raise StateError(f"step {step} of run {run.id} has no finished adapter")
        return source

    def stages(self, run: Run) -> list[str]:
        """The train steps of a run whose adapters are there."""
        builder = StageBuilder(self.context, run)
        names = [step.name for step in run.plan.trained]
        return [name for name in names if (builder.folder(name) / "adapter").is_dir()]

    def prepared(self, run: Run, step: str, name: str) -> Path:
        """Where a student lies once a worker has made it; named after the adapter that it was made from."""
        made = self.find_adapter(run, step).stat().st_mtime_ns
        suffix = EXPORTERS.get(name).suffix
        return self.context.workspace / "exports" / f"{run.id}-{step}-{name}-{made}{suffix}"

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

    def prepare(self, run_id: str, step: str, name: str) -> Job:
        """Let a worker make a stage's student; one that is made already, or being it, stays.

        Raises:
            StateError: if the step has no adapter.
            ConfigError: if there is no such exporter.
        """
        run = self.context.runs.get(run_id)
        _exporter(name, Scope.STUDENT)
        given, output = self.take_student(run, step, name), self.prepared(run, step, name)
        for job in self.context.jobs.jobs_of(run.project_id):
            fits = job.kind == EXPORT and job.spec["output"] == str(output)
            if fits and (not job.status.over or (job.status is JobStatus.FINISHED and output.exists())):
                return job
        output.parent.mkdir(parents=True, exist_ok=True)
        payload = ExportJob(
            exporter=name,
            student=run.plan.student,
            adapter=self.find_adapter(run, step),
            output=output,
            notes=given.notes,
            base=given.base,
        )
        spec = {"output": str(output), "step": step, "run": run.id, "what": name}
        return self.context.submit(run.project_id, EXPORT, spec, fill=lambda job: payload)

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
        name = f"{order.step}-{order.form}"
        if exporter.needs_worker:
            source = self.prepared(run, order.step, order.form)
            if not source.exists():
                raise StateError(f"{exporter.title} is not made yet")
            return _pack(source, folder / f"{name}{exporter.suffix or '.zip'}")
        with tempfile.TemporaryDirectory(dir=folder) as part:
            made = Path(part) / f"{order.step}{exporter.suffix}"
            exporter.write(self.take_student(run, order.step, order.form), made)
            return _pack(made, folder / f"{name}{exporter.suffix or '.zip'}")


def _exporter(name: str, scope: Scope) -> Exporter:
    """An exporter of what is to be taken out.

    Raises:
        ConfigError: if there is none of that name.
        StateError: if it takes something else out.
    """
    exporter = EXPORTERS.get(name)
    if exporter.scope is not scope:
        fitting = ", ".join(name for name in EXPORTERS if EXPORTERS[name].scope is scope)
        raise StateError(f"{name} does not fit {_OF[scope]}; there are {fitting}")
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


def _copy_whole(source: Path, to: Path) -> None:
    """Copy a file or a folder, all or nothing."""
    part = to.with_name(f"{to.name}.part")
    if source.is_dir():
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(source, part)
    else:
        shutil.copy2(source, part)
    part.rename(to)


def _pack(source: Path, path: Path) -> Path:
    """What was taken out as one file: a folder as a zip file, a file as it is."""
    if source.is_dir():
        return _zip(source, path)
    shutil.copy2(source, path)
    return path


def _zip(folder: Path, path: Path) -> Path:
    """A folder as a zip file, not compressed again: weights don't shrink. The same files make the same bytes."""
    part = path.with_name(f"{path.name}.part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                entry = zipfile.ZipInfo(str(Path(path.stem) / file.relative_to(folder)))
                with file.open("rb") as source, archive.open(entry, "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target)
    part.replace(path)
    return path
