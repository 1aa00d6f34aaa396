"""Selection: embeds what has no vector yet (in a worker), decides on arrays, stores every decision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.usecases.context import Context
from engine.agreement import dawid_skene, plain_agreement
from engine.config import COMPUTED_FACTORS, SelectionConfig
from engine.errors import ConfigError, StateError
from engine.evaluate import auroc
from engine.jobs.spec import SPEC_FILE, write_atomically, write_lines
from engine.select import REASONS, Selection, SelectionInput, select, weigh
from engine.tasks import get_task
from engine.types import Event, SelectionRow, Split, hash_id
from storage.projects import Project
from storage.samples import SampleArrays
from storage.selections import StoredSelection

_OPEN_LABELS = 100
"""How many labels an open answer space is taken to have in Dawid-Skene: agreement by chance is rare there."""


@dataclass(frozen=True)
class SelectService:
    """Use cases of selection."""

    context: Context

    def select(
        self, project_name: str, config: SelectionConfig, on_event: Callable[[Event], None] = lambda event: None
    ) -> StoredSelection:
        """Select and store. Moving a weight or the threshold calls no teacher and embeds nothing again.

        Raises:
            StateError: if there are no samples.
            ConfigError: if a weight names no factor of the task.
        """
        project = self.context.projects.get(project_name)
        factors = get_task(project.config.task).factors
        arrays = self.context.samples.arrays(project.id, factors)
        if not arrays.ids:
            raise StateError(f"{project.name!r} has no samples yet; `tacit label` or `tacit import-outputs` makes them")
        samples = self._as_input(project, arrays, config, self._embed(project, on_event))
        chosen = select(samples, config)
        stored = StoredSelection(
            id=hash_id("selection", project.id, config.fingerprint, hash_id(arrays.ids)),
            project_id=project.id,
            config=config,
            fingerprint=hash_id("selected", sorted(np.array(arrays.ids)[chosen.kept].tolist())),
            counts=_count(arrays, chosen),
        )
        self.context.selections.add(stored, _rows(arrays, chosen))
        return stored

    def _as_input(
        self, project: Project, arrays: SampleArrays, config: SelectionConfig, vectors: NDArray[np.float32]
    ) -> SelectionInput:
        reported = get_task(project.config.task).factors
        names = tuple(config.weights) or reported
        unknown = [name for name in names if name not in reported and name not in COMPUTED_FACTORS]
        if unknown:
            raise ConfigError(
                f"no factor is named {', '.join(unknown)}; there are {', '.join(reported + COMPUTED_FACTORS)}"
            )
        columns = [
            arrays.factors[:, reported.index(name)] if name in reported else self._compute(name, project, arrays)
            for name in names
        ]
        return SelectionInput(
            query=arrays.query,
            teacher=arrays.teacher,
            label=arrays.label,
            order=np.arange(len(arrays.ids)),
            factors=np.stack(columns, axis=1),
            names=names,
            embeddings=vectors,
        )

    def _compute(self, name: str, project: Project, arrays: SampleArrays) -> NDArray[np.float64]:
        if name == "agreement":
            return plain_agreement(arrays.query, arrays.teacher, arrays.label)
        if name == "agreement_ds":
            queries = self.context.queries.get(project.id, Split.DISTILL)
            space = max((len(query.choices) for query in queries), default=0) or _OPEN_LABELS
            return dawid_skene(arrays.query, arrays.teacher, arrays.label, space).posterior
        empty = self.context.db.arrays(
            "SELECT length(trim(rationale)) > 0 AS formed FROM samples WHERE project_id = ? AND split = 'distill' "
            "ORDER BY id",
            [project.id],
        )["formed"]
        return np.asarray(empty, dtype=np.float64)

    def _embed(self, project: Project, on_event: Callable[[Event], None]) -> NDArray[np.float32]:
        """Vectors of all distillation samples; those without one are embedded in a worker first."""
        found = self._complete_vectors(project)
        known = self.context.samples.embedders(project.id)
        if found is None and known:
            self._run_embedder(project, self.context.samples.missing_texts(project.id, *known[0]), on_event)
            found = self._complete_vectors(project)
        if found is None:
            self._run_embedder(project, self.context.samples.all_texts(project.id), on_event)
            found = self._complete_vectors(project)
        if found is None:
            raise StateError("some rationales got no vector; run the selection again")
        return found

    def _complete_vectors(self, project: Project) -> NDArray[np.float32] | None:
        for embedder in self.context.samples.embedders(project.id):
            vectors = self.context.samples.vectors(project.id, embedder)
            if not np.isnan(vectors[:, 0]).any():
                return vectors
        return None

    def _run_embedder(self, project: Project, texts: dict[str, str], on_event: Callable[[Event], None]) -> None:
        job = self.context.prepare(project.id, "embed", {})
        folder = Path(job.folder)
        payload = {
            "embedder": project.config.embedder,
            "file": write_lines(folder / "texts.jsonl", texts.values()),
            "output": str(folder / "vectors.npy"),
        }
        write_atomically(folder / SPEC_FILE, {"kind": "embed", "payload": payload})
        self.context.queue(job)
        self.context.wait(job.id, on_event)

    def measure_scores(self, project_name: str) -> dict[str, float | None]:
        """AUROC of each teacher's own confidence (equal weights) against gold where that is known."""
        project = self.context.projects.get(project_name)
        task = get_task(project.config.task)
        arrays = self.context.samples.arrays(project.id, task.factors)
        confidence, _ = weigh(arrays.factors, task.factors, dict.fromkeys(task.factors, 1.0))
        golds = self.context.queries.golds(project.id)
        queries = {query.id: query for query in self.context.queries.get(project.id, Split.DISTILL)}
        labels = {sample.id: sample.label for sample in self.context.samples.get(project.id, Split.DISTILL)}
        scores: dict[str, tuple[list[float], list[bool]]] = {}
        for sample_id, query_id, teacher, score in zip(
            arrays.ids, arrays.query_ids, arrays.teachers, confidence, strict=True
        ):
            if query_id in golds and not np.isnan(score):
                values, right = scores.setdefault(teacher, ([], []))
                values.append(float(score))
                right.append(task.verify(queries[query_id], labels[sample_id], golds[query_id]))
        return {teacher: auroc(values, right) for teacher, (values, right) in sorted(scores.items())}


def _rows(arrays: SampleArrays, chosen: Selection) -> list[SelectionRow]:
    return [
        SelectionRow(
            sample_id,
            query_id,
            teacher,
            None if np.isnan(confidence) else float(confidence),
            bool(renormalised),
            REASONS[reason],
            None if np.isnan(similarity) else float(similarity),
        )
        for sample_id, query_id, teacher, confidence, renormalised, reason, similarity in zip(
            arrays.ids, arrays.query_ids, arrays.teachers, *chosen[:4], strict=True
        )
    ]


def _count(arrays: SampleArrays, chosen: Selection) -> dict[str, object]:
    kept = chosen.kept
    codes, numbers = np.unique(chosen.reason, return_counts=True)
    teachers = sorted(set(arrays.teachers))
    per_teacher = np.bincount(arrays.teacher[kept], minlength=len(teachers))
    return {
        "samples": len(arrays.ids),
        "kept": int(kept.sum()),
        "queries": len(set(arrays.query_ids)),
        "queries_kept": len(np.unique(arrays.query[kept])),
        "label_disagreements": chosen.disagreements,
        "reasons": {REASONS[code].value: int(number) for code, number in zip(codes, numbers, strict=True)},
        "kept_by_teacher": dict(zip(teachers, per_teacher.tolist(), strict=True)),
    }
