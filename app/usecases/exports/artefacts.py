"""What can be taken out of a project, one artefact a card: what it is, how large, and whether it is ready."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.usecases.exports.checks import say_read_back
from app.usecases.exports.exports import ADAPTER, EXPORT, ExportService
from app.usecases.exports.items import why_no_items
from app.usecases.workspace.context import Context
from engine.datasets import DATASETS
from engine.errors import NotFound, StateError
from engine.exports import EXPORTERS, Exporter, Scope
from engine.plans import Compress, Plan
from engine.plans.titles import title_of
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
ITEMS = "items-"
"""Artefacts that are a student's answers by an exporter begin so."""
NOT_CHECKED = "Not read back yet: its answers were not compared with the scored ones."
State = Literal[
    "ready", "not checked", "changed", "not prepared", "preparing", "checking", "failed", "refused", "missing"
]


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
        names = {scope: [n for n in EXPORTERS if EXPORTERS[n].scope is scope] for scope in (Scope.STUDENT, Scope.ITEMS)}
        students = [self._student(run, step, name) for name in names[Scope.STUDENT]]
        return [*students, *(self._answers(run, step, name) for name in names[Scope.ITEMS])]

    def _answers(self, run: Run, step: str | None, name: str) -> Artefact:
        """A stage's scored answers for a harness."""
        exporter = EXPORTERS.get(name)
        note = why_no_items(self.context, run, step) if step else "This run has trained no stage yet."
        forms = ((name, exporter.suffix.removeprefix(".").upper() or "zip"),)
        title = f"{_title(exporter)}{f': {title_of(step)}' if step else ''}"
        return Artefact(f"{ITEMS}{name}", title, exporter.help, "", "missing" if note else "ready", forms, note)

    def _student(self, run: Run, step: str | None, name: str) -> Artefact:
        exporter = EXPORTERS.get(name)
        title = f"{_title(exporter)}{f' of {title_of(step)}' if step else ''}"
        forms = ((name, "file" if exporter.suffix else "zip"),)

        def made(state: State, size: str = "", note: str = "") -> Artefact:
            return Artefact(f"{STUDENT}{name}", title, exporter.help, size, state, forms, note)

        if not step:
            return made("missing", note="This run has trained no stage yet.")
        try:
            adapter = self.export.find_adapter(run, step)
        except StateError as error:
            return made("missing", note=str(error))
        if reason := self.export.refusal(run, name):
            return made("refused", note=f"{reason[:1].upper()}{reason[1:]}.")
        output = self.export.prepared(run, step, name)
        there = output.exists() or not exporter.needs_worker
        size = say_size(output if output.exists() else adapter) if there else ""
        job = next((job for job in self._jobs(run) if job.spec["output"] == str(output)), None)
        if job is not None and not job.status.over:
            if output.exists():
                return made("checking", size, "It answers held-out queries, to be compared with the scored answers.")
            return made("preparing", note="Being prepared in the background.")
        read_back = self.export.read_back(run, step, name) if there else None
        if read_back is not None:
            return made("changed" if read_back.changed else "ready", size, say_read_back(read_back))
        failed = job.message or f"The last attempt is {job.status.value}." if job and _is_failed(job) else ""
        if there:
            return made("not checked", size, f"The check failed: {failed}" if failed else NOT_CHECKED)
        return made("failed", note=failed) if failed else made("not prepared")

    def _jobs(self, run: Run) -> Sequence[Job]:
        return [job for job in self.context.jobs.jobs_of(run.project_id) if job.kind == EXPORT]


def _title(exporter: Exporter) -> str:
    return f"{exporter.title[:1].upper()}{exporter.title[1:]}"


def _is_failed(job: Job) -> bool:
    return job.status not in (JobStatus.FINISHED, JobStatus.CANCELLED)


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
