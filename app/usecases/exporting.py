"""Taking results out: the distillation set, the rows of a stage, a stage's student as adapter or merged model."""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from app.usecases.carding import base_name, write_card
from app.usecases.context import Context
from app.usecases.stages import StageBuilder
from engine.datasets.rows import row_to_json
from engine.errors import NotFound, StateError
from engine.jobs.spec import SPEC_FILE, MergeJob, write_atomically, write_lines
from engine.types import Job, JobStatus
from engine.wording import counted
from storage.runs import Run

MERGE = "merge"
_CONFIG = "adapter_config.json"


@dataclass(frozen=True)
class ExportService:
    """Use cases of exports."""

    context: Context

    def write(
        self,
        project_name: str,
        to: Path,
        run_id: str | None,
        stage: str | None,
        dataset: str | None,
        merged: bool = False,
    ) -> str:
        """Export what the options name; returns a sentence that says what was written.

        Raises:
            StateError: if the options don't fit together.
        """
        if stage is not None and dataset is not None:
            raise StateError("--stage copies a student and --dataset writes rows; give one of them")
        project = self.context.projects.get(project_name)
        run = self.context.runs.get(run_id) if run_id is not None else None
        if run is not None and run.project_id != project.id:
            raise StateError(f"run {run_id} is not a run of {project.name!r}")
        if run is None and (stage is not None or dataset is not None):
            raise StateError("--stage and --dataset belong to a run; name it with --run")
        if merged and (run is None or stage is None):
            raise StateError("--merged needs --run and --stage")
        if run is not None and stage is not None and merged:
            self.context.wait(self.merge(run.id, stage).id)
            _copy_whole(self.merged_folder(run, stage), to)
            return f"{stage}, merged into its base model, written to {to}"
        if run is not None and stage is not None:
            return f"adapter of {stage} written to {self.adapter(run.id, stage, to)}"
        if run is not None and dataset is not None:
            return f"{counted(self.stage_dataset(run.id, dataset, to), 'row')} written to {to}"
        selection = run.selection_id if run else self.context.selections.latest(project.id).id
        return f"{counted(self.dataset(project.id, selection, to), 'row')} written to {to}"

    def dataset(self, project_id: str, selection_id: str, path: Path) -> int:
        """Write G with its provenance: one row a kept sample; the format follows the name (.jsonl or .parquet).

        Returns:
            The number of rows.
        """
        rows = self.context.selections.kept_whole(project_id, selection_id)
        _write(path, rows)
        return len(rows)

    def stage_dataset(self, run_id: str, kind: str, path: Path) -> int:
        """Write the rows that a stage of a run trains on, as prompt turns and completion."""
        run = self.context.runs.get(run_id)
        rows = [row_to_json(row) for row in StageBuilder(self.context, run).rows(kind)]
        _write(path, rows)
        return len(rows)

    def adapter(self, run_id: str, step: str, folder: Path, public: bool = False) -> Path:
        """Copy the adapter of a finished train step, with its card and its provenance.

        `public`: it leaves this machine, so a base model in a folder is only named.

        Raises:
            StateError: if the step has no adapter or the folder exists.
        """
        run = self.context.runs.get(run_id)
        source = self.find_adapter(run, step)
        card = write_card(self.context, run, step, "adapter", public)
        _copy_whole(source, folder, card.files | {_CONFIG: named_config(source, base_name(run, public))})
        return folder

    def card(self, run: Run, step: str) -> str:
        """The card that goes with a stage's adapter, in Markdown."""
        return write_card(self.context, run, step, "adapter").readme

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

    def merged_folder(self, run: Run, step: str) -> Path:
        """Where a stage lies once it was merged; named after the adapter that it was made from."""
        made = self.find_adapter(run, step).stat().st_mtime_ns
        return self.context.workspace / "exports" / f"{run.id}-{step}-{made}"

    def is_merged(self, run: Run, step: str) -> bool:
        """Whether a stage was merged into its base model as it is now."""
        return step in self.stages(run) and self.merged_folder(run, step).is_dir()

    def is_selected(self, project_name: str) -> bool:
        """Whether a project has a distillation set."""
        try:
            self.context.selections.latest(self.context.projects.get(project_name).id)
        except NotFound:
            return False
        return True

    def merge(self, run_id: str, step: str) -> Job:
        """Queue the merging of a stage's adapter into its base model; one that is merged already, or being it, stays.

        Raises:
            StateError: if the step has no adapter.
        """
        run = self.context.runs.get(run_id)
        source, output = self.find_adapter(run, step), self.merged_folder(run, step)
        for job in self.context.jobs.jobs_of(run.project_id):
            fits = job.kind == MERGE and job.spec["output"] == str(output)
            if fits and (not job.status.over or (job.status is JobStatus.FINISHED and output.is_dir())):
                return job
        output.parent.mkdir(parents=True, exist_ok=True)
        job = self.context.prepare(run.project_id, MERGE, {"output": str(output), "step": step, "run": run.id})
        notes = write_card(self.context, run, step, "merged").files
        payload = MergeJob(student=run.plan.student, adapter=str(source), output=str(output), notes=notes)
        write_atomically(Path(job.folder) / SPEC_FILE, {"kind": MERGE, "payload": payload.model_dump(mode="json")})
        return self.context.queue(job)

    def pack(self, project_name: str, what: str, run_id: str | None, step: str, folder: Path) -> Path:
        """Make one file of an export in a folder, to be downloaded: set.jsonl, set.parquet, STAGE-DATASET.jsonl, ...

        `what` is set.jsonl, set.parquet, rows-full, rows-compressed, rows-label, adapter or merged.

        Raises:
            StateError: if there is nothing to export, or the merged model is not made yet.
            NotFound: if there is no such export, or the run is another project's.
        """
        project = self.context.projects.get(project_name)
        run = self.context.runs.get(run_id) if run_id else None
        if run is not None and run.project_id != project.id:
            raise NotFound(f"{project.name!r} has no run {run_id}")
        if what.startswith("set."):
            selection = run.selection_id if run else self.context.selections.latest(project.id).id
            path = folder / what
            self.dataset(project.id, selection, path)
            return path
        if run is None:
            raise StateError("Choose a run first; the page Train starts one.")
        if what.startswith("rows-"):
            path = folder / f"{what}.parquet"
            if not self.stage_dataset(run.id, what.removeprefix("rows-"), path):
                raise StateError("this run has no such rows")
            return path
        if what == "adapter":
            with tempfile.TemporaryDirectory(dir=folder) as part:
                return _zip(self.adapter(run.id, step, Path(part) / step), folder / f"{step}-adapter.zip")
        if what == "merged":
            source = self.merged_folder(run, step)
            if not source.is_dir():
                raise StateError("the model is not merged yet")
            return _zip(source, folder / f"{step}-merged.zip")
        raise NotFound(f"there is no export {what!r}")


def named_config(adapter: Path, base: str) -> str:
    """An adapter's settings with the base model by the name it has outside this machine."""
    settings = json.loads((adapter / _CONFIG).read_text("utf-8"))
    return json.dumps({**settings, "base_model_name_or_path": base}, indent=2)


def _copy_whole(source: Path, folder: Path, files: dict[str, str] | None = None) -> None:
    """Copy a folder with some files in place of its own, all or nothing."""
    if folder.exists():
        raise StateError(f"{folder} exists already; nothing was written")
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(source, part)
    for name, text in (files or {}).items():
        (part / name).write_text(text, "utf-8")
    part.rename(folder)


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


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        part = path.with_name(f"{path.name}.part")
        pq.write_table(pa.Table.from_pylist(rows), part)
        part.replace(path)
    elif path.suffix == ".jsonl":
        write_lines(path, rows)
    else:
        raise StateError(f"{path.name}: give a name that ends in .jsonl or .parquet")
