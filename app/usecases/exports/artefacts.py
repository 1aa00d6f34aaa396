"""What can be taken out of a project, one artefact a card: what it is, how large, and whether it is ready."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.usecases.exports.exports import ADAPTER, EXPORT, ExportService
from app.usecases.workspace.context import Context
from engine.datasets import DATASETS
from engine.errors import NotFound, StateError
from engine.exports import EXPORTERS, Scope
from engine.plans import Compress, Plan
from engine.values import Job, JobStatus
from engine.wording import counted
from storage.runs import Run
from storage.selections import StoredSelection

SET = "set"
"""The artefact that is the distillation set."""
ROWS = "rows-"
"""Artefacts that are the rows of a dataset begin so."""
STUDENT = "student-"
"""Artefacts that are a student by an exporter begin so."""
State = Literal["ready", "not prepared", "preparing", "failed", "missing"]


@dataclass(frozen=True)
class Artefact:
    """Something to take along. `forms` are names of exporters with their titles; `note` says what stands in the way.

    `used`: the run's own steps learned from it, or it is of every project; others are offered apart.
    """

    id: str
    title: str
    help: str
    size: str
    state: State
    forms: tuple[tuple[str, str], ...]
    note: str = ""
    used: bool = True

    @property
    def main(self) -> bool:
        """Whether it is what most take along: the student, as it comes by default."""
        return self.id == f"{STUDENT}{ADAPTER}"


@dataclass(frozen=True)
class ArtefactService:
    """Use cases of looking at what can be taken out."""

    context: Context
    export: ExportService

    def of(self, project_name: str, run: Run | None, step: str | None) -> list[Artefact]:
        """What a project, a run of it and a step of that have to offer; what there is none of yet says why."""
        selection = self._selection(project_name, run)
        rows = tuple((name, EXPORTERS[name].title) for name in EXPORTERS if EXPORTERS[name].scope is Scope.ROWS)
        if run is None:
            return [_set(selection, rows)]
        return [*self._students(run, step), _set(selection, rows), *self._datasets(run, rows)]

    def _selection(self, project_name: str, run: Run | None) -> StoredSelection | None:
        try:
            if run is not None:
                return self.context.selections.get(run.selection_id)
            return self.context.selections.latest(self.context.projects.get(project_name).id)
        except NotFound:
            return None

    def _datasets(self, run: Run, forms: tuple[tuple[str, str], ...]) -> list[Artefact]:
        """The rows that the run's steps learned from, then those that other steps would."""
        results = {state.name: state.result for state in self.context.runs.steps(run.id)}
        counts: dict[str, int | None] = {}
        for step in run.plan.trained:
            counts.setdefault(step.dataset, results.get(step.name, {}).get("train_rows"))
        compresses = _compresses(run.plan)
        named = [*counts, *(name for name in DATASETS.names() if name not in counts)]
        return [
            Artefact(
                id=f"{ROWS}{name}",
                title=f"Training rows: {DATASETS.get(name).title}",
                help=DATASETS.get(name).help,
                size="" if counts.get(name) is None else counted(counts[name] or 0, "row"),
                state="ready",
                forms=forms,
                used=name in counts,
            )
            for name in named
            if name in DATASETS.names() and (compresses or not DATASETS.get(name).needs_compress)
        ]

    def _students(self, run: Run, step: str | None) -> list[Artefact]:
        named = [name for name in EXPORTERS if EXPORTERS[name].scope is Scope.STUDENT]
        return [self._student(run, step, name) for name in named]

    def _student(self, run: Run, step: str | None, name: str) -> Artefact:
        exporter = EXPORTERS.get(name)
        title = f"{exporter.title[:1].upper()}{exporter.title[1:]}{f' of {step}' if step else ''}"
        forms = ((name, "file" if exporter.suffix else "zip"),)

        def made(state: State, size: str = "", note: str = "") -> Artefact:
            return Artefact(f"{STUDENT}{name}", title, exporter.help, size, state, forms, note)

        if not step:
            return made("missing", note="This run has trained no stage yet.")
        try:
            adapter = self.export.find_adapter(run, step)
        except StateError as error:
            return made("missing", note=str(error))
        if not exporter.needs_worker:
            return made("ready", say_size(adapter))
        output = self.export.prepared(run, step, name)
        if output.exists():
            return made("ready", say_size(output))
        job = next((job for job in self._jobs(run) if job.spec["output"] == str(output)), None)
        if job is not None and not job.status.over:
            return made("preparing", note="Being prepared in the background.")
        if job is not None and job.status is not JobStatus.FINISHED:
            return made("failed", note=job.message or f"The last attempt is {job.status.value}.")
        return made("not prepared")

    def _jobs(self, run: Run) -> Sequence[Job]:
        return [job for job in self.context.jobs.jobs_of(run.project_id) if job.kind == EXPORT]


def say_size(path: Path) -> str:
    """How large a file is, or a folder with all that lies in it."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    if size >= 1e9:
        return f"{size / 1e9:,.1f} GB"
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size / 1e3:,.1f} KB"


def _set(selection: StoredSelection | None, forms: tuple[tuple[str, str], ...]) -> Artefact:
    about = "The rationales that were kept, with query, label, teacher, confidence and the reason."
    if selection is None:
        note = "Nothing is selected yet: the page Select makes the set."
        return Artefact(SET, "Distillation set", about, "", "missing", forms, note)
    size = counted(int(selection.counts["kept"]), "row")
    return Artefact(SET, "Distillation set", about, size, "ready", forms)


def _compresses(plan: Plan) -> bool:
    return any(isinstance(step, Compress) for step in plan.steps)
