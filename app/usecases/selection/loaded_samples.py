"""A project's samples in memory, and what a selection works on of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.usecases.workspace.context import Context
from engine.errors import StateError
from engine.selection.arrays import SelectionInput
from engine.selection.cosines import Cosines
from engine.selection.factors import Scored
from engine.selection.select import count_labels, score_factors
from engine.selection.settings import SelectionConfig
from engine.tasks import get_task
from engine.values import Split
from storage.cosines import Embedder
from storage.projects import Project
from storage.sample_arrays import SampleArrays


@dataclass(frozen=True)
class LoadedSamples:
    """Samples and how alike rationales are; `state` and `known` tell whether they and the evidence are as stored.

    `embedder` made the vectors that cosines are of: model, revision, dimension; both are None where nobody asked for
    them. `factors` are the columns of scores that were computed so far, by name.
    """

    project_id: str
    state: tuple[int, int]
    arrays: SampleArrays
    cosines: Cosines | None
    embedder: Embedder | None
    known: tuple[int, int] = (0, 0)
    evidence: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    factors: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def embedded(self) -> tuple[Cosines, Embedder]:
        """The cosines and whose they are, of samples that were read for settings that ask for them."""
        if self.cosines is None or self.embedder is None:
            raise StateError("these settings read no vectors")
        return self.cosines, self.embedder

    @property
    def embedder_name(self) -> str:
        """The embedder as a person reads it."""
        return f"{self.embedder[0]} ({self.embedder[1]})" if self.embedder else "none"


def gather_input(context: Context, project: Project, loaded: LoadedSamples, config: SelectionConfig) -> SelectionInput:
    """The samples as a selection by these settings reads them.

    Raises:
        ConfigError: if a weight names no factor of the task.
    """
    arrays = loaded.arrays
    columns = _score(context, project, loaded, config)
    return SelectionInput(
        query=arrays.query,
        teacher=arrays.teacher,
        label=arrays.label,
        order=np.arange(len(arrays)),
        factors=np.stack(list(columns.values()), axis=1) if columns else np.empty((len(arrays), 0)),
        names=tuple(columns),
        embeddings=np.zeros((len(arrays), 1), dtype=np.float32) if loaded.cosines is None else loaded.cosines,
        sources=arrays.sources,
        evidence=loaded.evidence,
    )


def _score(
    context: Context, project: Project, loaded: LoadedSamples, config: SelectionConfig
) -> dict[str, NDArray[np.float64]]:
    """The scores of the weighted factors by name, (N,); those of the teachers where no rule reads confidences."""
    arrays, reported = loaded.arrays, get_task(project.config.task).factors
    columns = {name: arrays.factors[:, place] for place, name in enumerate(reported)}
    if not config.needs_confidence:
        return columns
    given = Scored(
        arrays.query,
        arrays.teacher,
        arrays.label,
        label_space=lambda: count_labels(context.queries.get(project.id, Split.DISTILL)),
        texts=lambda: context.samples.rationales(project.id),
        evidence=lambda: loaded.evidence,
    )
    return score_factors(config.weights, columns, given, loaded.factors)
