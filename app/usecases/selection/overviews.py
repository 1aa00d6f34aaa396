"""Views over all samples of a project: similarity of teachers, other ways to select, a map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from app.usecases.selection.comparison import Comparison, MatchService, Ways
from app.usecases.selection.selections import SelectService
from app.usecases.workspace.context import Context
from engine.selection.overviews import Likeness, compare_teachers, flatten
from engine.selection.rules.labels import Labels
from engine.selection.rules.least_similar_pair import LeastSimilarPair
from engine.selection.rules.threshold import Threshold
from engine.selection.settings import SelectionConfig

MOST_POINTS = 2_000


@dataclass(frozen=True)
class Survey:
    """The overviews at once. `teachers` name the rows of `likeness`; `ways` are other ways to select."""

    teachers: list[str]
    likeness: Likeness
    ways: Comparison


@dataclass(frozen=True)
class Points:
    """Rationales in a plane: places, teacher, whether kept, and the query's beginning; `shown` of the variance."""

    x: list[float]
    y: list[float]
    teachers: list[str]
    kept: list[bool]
    queries: list[str]
    shown: float
    of: int


@dataclass(frozen=True)
class SurveyService:
    """Use cases of looking at everything at once."""

    context: Context
    select: SelectService
    match: MatchService

    def survey(self, project_name: str, config: SelectionConfig) -> Survey:
        """All overviews but the map, computed once between two writes. Raises as `SelectService.preview`."""
        return self.context.db.once(
            f"survey {project_name} {config.fingerprint}", lambda: self._survey(project_name, config)
        )

    def _survey(self, project_name: str, config: SelectionConfig) -> Survey:
        loaded, _ = self.select.choose(project_name, _with_vectors(config))
        arrays = loaded.arrays
        return Survey(
            list(arrays.sources),
            compare_teachers(arrays.query, arrays.teacher, loaded.embedded[0]),
            self.match.compare_ways(project_name, loaded, self._list_ways(project_name, config)),
        )

    def _list_ways(self, project_name: str, config: SelectionConfig) -> Ways:
        """The settings, the same with labels settled otherwise, and the presets."""
        otherwise = {
            "majority's": ("the same, the majority's labels", config.with_rule(Labels(disagreement="majority"))),
            "agreed": ("the same, no query whose labels differ", config.with_rule(Labels(disagreement="drop"))),
        }
        return self.match.list_ways(project_name, config, otherwise)

    def draw_map(self, project_name: str, config: SelectionConfig) -> Points:
        """Up to 2,000 rationales, evenly out of all, by their two principal components; once between two writes.

        Raises:
            StateError: as `SelectService.preview`.
        """
        return self.context.db.once(
            f"map {project_name} {config.fingerprint}", lambda: self._draw_map(project_name, config)
        )

    def _draw_map(self, project_name: str, config: SelectionConfig) -> Points:
        loaded, chosen = self.select.choose(project_name, _with_vectors(config))
        arrays = loaded.arrays
        rows = np.unique(np.linspace(0, len(arrays) - 1, min(MOST_POINTS, len(arrays))).round().astype(int))
        ids = arrays.id_column.take(pa.array(rows)).to_pylist()
        projection = flatten(self.context.samples.vectors(loaded.project_id, loaded.embedded[1], ids))
        query_ids = arrays.query_column.take(pa.array(arrays.query[rows])).to_pylist()
        texts = self.context.queries.starts(loaded.project_id, sorted(set(query_ids)))
        kept = chosen.kept
        return Points(
            projection.points[:, 0].round(4).tolist(),
            projection.points[:, 1].round(4).tolist(),
            [arrays.sources[code] for code in arrays.teacher[rows]],
            [bool(kept[row]) for row in rows],
            [texts.get(query_id, "") for query_id in query_ids],
            projection.shown,
            len(arrays),
        )


def _with_vectors(config: SelectionConfig) -> SelectionConfig:
    """The settings, with the paper's threshold or pair where no rule looks at confidences or vectors."""
    if not config.needs_confidence:
        config = config.with_rule(Threshold())
    return config if config.needs_vectors else config.with_rule(LeastSimilarPair())
