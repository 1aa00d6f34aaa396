"""The factor scores of a project's samples as columns: those that teachers reported, and those that are computed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from app.usecases.context import Context
from engine.agreement import dawid_skene, plain_agreement, weighted_agreement
from engine.config import COMPUTED_FACTORS, SelectionConfig
from engine.errors import ConfigError
from engine.tasks import get_task
from engine.types import Split
from storage.projects import Project
from storage.samples import SampleArrays

Column = NDArray[np.float64]
_OPEN_LABELS = 100
"""Labels that an open answer space is taken to have in Dawid-Skene."""


def read_factors(
    context: Context, project: Project, arrays: SampleArrays, config: SelectionConfig, known: dict[str, Column]
) -> dict[str, Column]:
    """The weighted factors' scores by name, each of shape (N,). What is computed is put into `known`, and taken there.

    Raises:
        ConfigError: if a weight names no factor of the task.
    """
    reported = get_task(project.config.task).factors
    names = tuple(config.weights) or reported
    unknown = [name for name in names if name not in reported and name not in COMPUTED_FACTORS]
    if unknown:
        there = ", ".join(reported + COMPUTED_FACTORS)
        raise ConfigError(f"no factor is named {', '.join(unknown)}; there are {there}")
    columns = {}
    for name in names:
        if name in reported:
            columns[name] = arrays.factors[:, reported.index(name)]
            continue
        if name not in known:
            known[name] = _COMPUTE[name](context, project, arrays)
        columns[name] = known[name]
    return columns


def _label_space(context: Context, project: Project) -> int:
    queries = context.queries.get(project.id, Split.DISTILL)
    return max((len(query.choices) for query in queries), default=0) or _OPEN_LABELS


def _agreement(context: Context, project: Project, arrays: SampleArrays) -> Column:
    return plain_agreement(arrays.query, arrays.teacher, arrays.label)


def _weighted(context: Context, project: Project, arrays: SampleArrays) -> Column:
    return weighted_agreement(arrays.query, arrays.teacher, arrays.label, _label_space(context, project))


def _posterior(context: Context, project: Project, arrays: SampleArrays) -> Column:
    return dawid_skene(arrays.query, arrays.teacher, arrays.label, _label_space(context, project)).posterior


def _format(context: Context, project: Project, arrays: SampleArrays) -> Column:
    """1 where a rationale was given, 0 where it is empty."""
    formed = context.db.arrays(
        "SELECT length(trim(rationale)) > 0 AS formed FROM samples WHERE project_id = ? AND split = 'distill' "
        "ORDER BY id",
        [project.id],
    )["formed"]
    return np.asarray(formed, dtype=np.float64)


_COMPUTE: dict[str, Callable[[Context, Project, SampleArrays], Column]] = {
    "agreement_weighted": _weighted,
    "agreement": _agreement,
    "agreement_ds": _posterior,
    "format": _format,
}
