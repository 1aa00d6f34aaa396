"""Taking results out: the distillation set as JSONL or Parquet, a stage's adapter as a folder."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from app.usecases.context import Context
from app.usecases.stages import StageBuilder
from engine.dataset import row_to_json
from engine.errors import StateError
from engine.jobs.spec import write_lines


@dataclass(frozen=True)
class ExportService:
    """Use cases of exports."""

    context: Context

    def write(self, project_name: str, to: Path, run_id: str | None, stage: str | None, dataset: str | None) -> str:
        """Export what the options name; returns a sentence that says what was written.

        Raises:
            StateError: if the options don't fit together.
        """
        if stage is not None and dataset is not None:
            raise StateError("--stage copies an adapter and --dataset writes rows; give one of them")
        project = self.context.projects.get(project_name)
        if run_id is not None and self.context.runs.get(run_id).project_id != project.id:
            raise StateError(f"run {run_id} is not a run of {project.name!r}")
        if stage is not None and run_id is not None:
            return f"adapter of {stage} written to {self.adapter(run_id, stage, to)}"
        if dataset is not None and run_id is not None:
            if dataset not in ("full", "compressed", "label"):
                raise StateError(f"there is no dataset {dataset!r}; there are full, compressed and label")
            return f"{self.stage_dataset(run_id, dataset, to)} rows written to {to}"
        if stage is not None or dataset is not None:
            raise StateError("--stage and --dataset belong to a run; name it with --run")
        selection = (
            self.context.runs.get(run_id).selection_id if run_id else self.context.selections.latest(project.id).id
        )
        return f"{self.dataset(project.id, selection, to)} rows written to {to}"

    def dataset(self, project_id: str, selection_id: str, path: Path) -> int:
        """Write G with its provenance: one row a kept sample; the format follows the name (.jsonl or .parquet).

        Returns:
            The number of rows.
        """
        rows = self.context.db.rows(
            "SELECT q.key, q.text AS query, q.choices, q.kind, s.teacher, coalesce(o.text, s.rationale) AS rationale, "
            "o.text IS NOT NULL AS edited, s.label, r.confidence, "
            "r.reason, r.similarity, s.id AS sample_id, q.id AS query_id, ? AS selection FROM selection_rows r "
            "JOIN samples s ON s.id = r.sample_id AND s.project_id = ? "
            "LEFT JOIN overrules o ON o.number = r.edit "
            "JOIN queries q ON q.id = r.query_id AND q.project_id = ? "
            "WHERE r.selection_id = ? AND r.reason LIKE 'kept%' ORDER BY q.position, s.id",
            [selection_id, project_id, project_id, selection_id],
        )
        _write(path, [{**row, "choices": json.loads(row["choices"])} for row in rows])
        return len(rows)

    def stage_dataset(self, run_id: str, kind: str, path: Path) -> int:
        """Write the rows that a stage of a run trains on, as prompt turns and completion."""
        run = self.context.runs.get(run_id)
        rows = [row_to_json(row) for row in StageBuilder(self.context, run).rows(kind)]
        _write(path, rows)
        return len(rows)

    def adapter(self, run_id: str, step: str, folder: Path) -> Path:
        """Copy the adapter of a finished train step, with a note of what it was made from.

        Raises:
            StateError: if the step has no adapter or the folder exists.
        """
        run = self.context.runs.get(run_id)
        source = StageBuilder(self.context, run).folder(step) / "adapter"
        if not source.is_dir():
            raise StateError(f"step {step} of run {run.id} has no finished adapter")
        if folder.exists():
            raise StateError(f"{folder} exists already; nothing was written")
        part = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(source, part)
        provenance = {
            "run": run.id,
            "step": step,
            "base_model": run.plan.student.model,
            "plan": run.plan.model_dump(mode="json"),
            "report": [vars(row) for row in self.context.reports.rows(run.id) if row.name == step],
        }
        (part / "tacit.json").write_text(json.dumps(provenance, indent=2), "utf-8")
        part.rename(folder)
        return folder


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
