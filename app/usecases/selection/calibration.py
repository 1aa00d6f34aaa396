"""How right confidences are where gold labels exist, and a temperature fitted to them.

For reports: nothing that selects calls this; a temperature counts where a person orders it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.usecases.selection.behaviour import run_labels
from app.usecases.selection.loaded_samples import LoadedSamples
from app.usecases.selection.selections import SelectService
from app.usecases.workspace.context import Context
from engine.errors import StateError
from engine.evaluation.measures.pass_at_k import mean_pass_at_k
from engine.evaluation.report import auroc
from engine.ports import RunsLabels
from engine.selection.calibration import (
    BINS,
    COLDEST,
    HOTTEST,
    LEAST_GOLDS,
    fit_temperature,
    measure_calibration,
    temper,
)
from engine.selection.comparison import RIGHT, UNSCORED, WRONG, find_wilson
from engine.selection.select import weigh
from engine.selection.settings import NONE, SelectionConfig
from engine.tasks import get_task
from engine.values import Event, Split, hash_id
from engine.wording import counted, verb
from storage.projects import Project

MOST_SCORED = 2_000
"""Queries that are scored, evenly out of all with a gold label: more would say the same, slower."""
_FOLDS = 10


@dataclass(frozen=True)
class Measured:
    """How confidences compare with gold labels, on `n` samples of `queries` queries out of `of` that have one.

    `error` is the expected calibration error in ten bins of equal width, `auroc` the chance that a right sample has the
    greater confidence; both None where no confidence is known or all are right or wrong. `right` is the share of right
    labels among all `labels` scored, `kept_right` among the `kept` ones of them, with Wilson's 95% interval from
    `kept_low` to `kept_high`. `bins` is a table, a filled bin a row.
    """

    error: float | None
    auroc: float | None
    n: int
    queries: int
    of: int
    labels: int
    right: float
    kept: int
    kept_right: float | None
    kept_low: float | None
    kept_high: float | None
    bins: list[dict[str, Any]]


@dataclass(frozen=True)
class Fitted:
    """A temperature, from `n` samples of `queries` queries, and the calibration error before and after.

    `after` is measured fairly: each tenth of the queries with the temperature of the other nine.
    """

    temperature: float
    n: int
    queries: int
    before: float
    after: float

    @property
    def at_bound(self) -> bool:
        """Whether the likelihood would have gone further."""
        return not COLDEST * 1.01 < self.temperature < HOTTEST * 0.99


@dataclass(frozen=True)
class CalibrateService:
    """Use cases of comparing confidences with gold labels."""

    context: Context
    select: SelectService
    _verdicts: dict[str, NDArray[np.int8]] = field(default_factory=dict)

    def measure(self, project_name: str, config: SelectionConfig) -> Measured | None:
        """What these settings' confidences are worth; None where no answered query has a gold label.

        Raises:
            StateError: as `SelectService.preview`.
        """
        project = self.context.projects.get(project_name)
        golds, _ = self._golds(project)
        if not golds:
            return None
        loaded, chosen = self.select.choose(project_name, config)
        verdict = self._verdict(project, loaded)
        scored = verdict != UNSCORED
        if not scored.any():
            return None
        confidence, right, kept = chosen.confidence[scored], verdict[scored] == RIGHT, chosen.kept[scored]
        known = ~np.isnan(confidence)
        calibration = measure_calibration(confidence, right)
        low, high = find_wilson(np.array([float(right[kept].sum())]), np.array([float(kept.sum())]))
        return Measured(
            error=calibration.error,
            auroc=auroc(confidence[known].tolist(), right[known].tolist()),
            n=calibration.n,
            queries=len(np.unique(loaded.arrays.query[scored][known])),
            of=len(golds.keys() & loaded.arrays.query_column.to_pylist()),
            labels=int(scored.sum()),
            right=float(right.mean()),
            kept=int(kept.sum()),
            kept_right=float(right[kept].mean()) if kept.any() else None,
            kept_low=float(low[0]) if kept.any() else None,
            kept_high=float(high[0]) if kept.any() else None,
            bins=[
                {
                    "from": place / BINS,
                    "to": (place + 1) / BINS,
                    "samples": int(calibration.size[place]),
                    "confidence": float(calibration.confidence[place]),
                    "right": float(calibration.right[place]),
                }
                for place in np.flatnonzero(calibration.size)
            ],
        )

    def prepare(
        self, project_name: str, config: SelectionConfig, on_event: Callable[[Event], None] = lambda event: None
    ) -> None:
        """Have labels that must be run for it verified by a worker; until then `measure` knows of none.

        Raises:
            StateError: as `measure`.
            MissingPart: if there is no sandbox here.
        """
        project = self.context.projects.get(project_name)
        golds, _ = self._golds(project)
        if not golds or not isinstance(get_task(project.config.task), RunsLabels):
            return
        loaded = self.select.hold(project_name, config)
        key = self._key(project, loaded)
        if key not in self._verdicts:
            cases = self._cases(project, loaded, golds)
            asked = list(dict.fromkeys(case for case in cases if case is not None))
            queries = {query.id: query for query in self.context.queries.get(project.id, Split.DISTILL)}
            verdicts = run_labels(
                self.context,
                project,
                [(queries[query_id], label, golds[query_id]) for query_id, label in asked],
                on_event,
            )
            self._keep(key, cases, {case: bool(right) for case, right in zip(asked, verdicts, strict=True)})

    def measure_draws(self, project_name: str, config: SelectionConfig) -> list[dict[str, Any]]:
        """Pass@1 and Pass@k of teachers that drew several samples, k at least, of each query with a gold label.

        Each with the ends of its 95% interval behind it.

        Raises:
            StateError: as `measure`.
        """
        project = self.context.projects.get(project_name)
        if not self._golds(project)[0]:
            return []
        loaded = self.select.hold(project_name, config)
        verdict, arrays, rows = self._verdict(project, loaded), loaded.arrays, []
        for code, teacher in enumerate(arrays.sources):
            own = (arrays.teacher == code) & (verdict != UNSCORED)
            _, group = np.unique(arrays.query[own], return_inverse=True)
            draws, right = np.bincount(group), np.bincount(group, verdict[own] == RIGHT)
            k = int(draws.min()) if len(draws) else 1
            if k > 1:
                counts = {str(place): (int(n), int(c)) for place, (n, c) in enumerate(zip(draws, right, strict=True))}
                passes = {f"pass@{wanted}": mean_pass_at_k(counts, wanted) for wanted in (1, k)}
                shown = {name: [value.value, value.low, value.high] for name, value in passes.items()}
                rows.append({"teacher": teacher, "queries": len(counts), **shown})
        return rows

    def count_golds(self, project_name: str) -> int:
        """How many queries have both samples to distill from and a gold label."""
        return self.context.queries.count_golds(self.context.projects.get(project_name).id)

    def fit(self, project_name: str, config: SelectionConfig) -> Fitted:
        """The temperature of the greatest likelihood for these settings; nothing is stored or decided by it.

        Raises:
            StateError: if fewer than 50 queries have a gold label and a confidence.
        """
        project = self.context.projects.get(project_name)
        self.prepare(project_name, config)
        loaded, chosen = self.select.choose(project_name, config.model_copy(update={"temperature": 1.0}))
        verdict = self._verdict(project, loaded)
        used = (verdict != UNSCORED) & ~np.isnan(chosen.confidence)
        names, group = np.unique(loaded.arrays.query[used], return_inverse=True)
        if len(names) < LEAST_GOLDS:
            raise StateError(
                f"{counted(len(names), 'query')} {verb(len(names), 'has')} a gold label and a confidence; a "
                f"temperature needs {LEAST_GOLDS}. "
                "Nothing was changed."
            )
        confidence, right = chosen.confidence[used], verdict[used] == RIGHT
        fair = confidence.copy()
        for fold in range(_FOLDS):
            own = group % _FOLDS == fold
            fair[own] = temper(confidence[own], fit_temperature(confidence[~own], right[~own]))
        return Fitted(
            temperature=round(fit_temperature(confidence, right), 3),
            n=len(right),
            queries=len(names),
            before=measure_calibration(confidence, right).error or 0.0,
            after=measure_calibration(fair, right).error or 0.0,
        )

    def measure_scores(self, project_name: str) -> dict[str, float | None]:
        """AUROC of each teacher's own confidence (equal weights) against gold where that is known."""
        project = self.context.projects.get(project_name)
        factors = get_task(project.config.task).factors
        loaded = self.select.hold(project_name, NONE.config)
        confidence, _ = weigh(loaded.arrays.factors, factors, dict.fromkeys(factors, 1.0))
        verdict = self._verdict(project, loaded)
        used = (verdict != UNSCORED) & ~np.isnan(confidence)
        by_teacher = {}
        for code, teacher in enumerate(loaded.arrays.sources):
            own = used & (loaded.arrays.teacher == code)
            if own.any():
                by_teacher[teacher] = auroc(confidence[own].tolist(), (verdict[own] == RIGHT).tolist())
        return by_teacher

    def verdicts(self, project: Project, loaded: LoadedSamples) -> tuple[NDArray[np.int8], int]:
        """Whether each sample's label is right, (N,), and how many answered queries have a gold label."""
        golds, _ = self._golds(project)
        if not golds:
            return np.full(len(loaded.arrays), UNSCORED, dtype=np.int8), 0
        return self._verdict(project, loaded), len(golds.keys() & loaded.arrays.query_column.to_pylist())

    def _golds(self, project: Project) -> tuple[Mapping[str, str], str]:
        """Gold labels by query id, and their mark, read once between two writes."""

        def read() -> tuple[Mapping[str, str], str]:
            golds = self.context.queries.golds(project.id)
            return golds, hash_id("golds", sorted(golds.items()))

        return self.context.db.once(f"golds {project.id}", read)

    def _key(self, project: Project, loaded: LoadedSamples) -> str:
        return f"{project.id} {loaded.state} {self._golds(project)[1]}"

    def _verdict(self, project: Project, loaded: LoadedSamples) -> NDArray[np.int8]:
        """Whether each sample's label is right, (N,): 1, 0, or -1 where that is not known."""
        key, task = self._key(project, loaded), get_task(project.config.task)
        if key in self._verdicts:
            return self._verdicts[key]
        if isinstance(task, RunsLabels):
            return np.full(len(loaded.arrays), UNSCORED, dtype=np.int8)
        golds, _ = self._golds(project)
        cases = self._cases(project, loaded, golds)
        queries = {query.id: query for query in self.context.queries.get(project.id, Split.DISTILL)}
        right: dict[tuple[str, str], bool] = {}
        for case in dict.fromkeys(case for case in cases if case is not None):
            query_id, label = case
            gold = golds[query_id]
            right[case] = label.strip() == gold.strip() or task.verify(queries[query_id], label, gold)
        return self._keep(key, cases, right)

    def _keep(
        self, key: str, cases: Sequence[tuple[str, str] | None], right: Mapping[tuple[str, str], bool]
    ) -> NDArray[np.int8]:
        """The verdicts of samples by those of their cases, remembered until there are others."""
        verdict = [UNSCORED if case is None else RIGHT if right[case] else WRONG for case in cases]
        self._verdicts.clear()
        self._verdicts[key] = np.array(verdict, dtype=np.int8)
        return self._verdicts[key]

    def _cases(self, project: Project, loaded: LoadedSamples, golds: Mapping[str, str]) -> list[tuple[str, str] | None]:
        """Query id and label of each sample that is to be scored; None of the others."""
        ids = loaded.arrays.query_ids
        known = sorted(set(ids) & golds.keys())
        chosen = {known[place] for place in np.linspace(0, len(known) - 1, min(MOST_SCORED, len(known))).astype(int)}
        labels = self.context.samples.labels(project.id)
        return [(query_id, label) if query_id in chosen else None for query_id, label in zip(ids, labels, strict=True)]


def say_measured(measured: Measured) -> list[str]:
    """What the comparison with gold labels shows, in a sentence or two; gold decides nothing."""
    part = f" ({MOST_SCORED:,} of {measured.of:,} queries scored)" if measured.of > MOST_SCORED else ""
    sentences = []
    if measured.error is not None:
        ranks = "" if measured.auroc is None else f", AUROC {measured.auroc:.3f}"
        sentences.append(
            f"Calibration error {measured.error:.3f}{ranks} (expected calibration error in {BINS} bins of equal width, "
            f"n = {counted(measured.n, 'sample')} of {counted(measured.queries, 'query')} with a gold label{part})."
        )
    kept = (
        "" if measured.kept_right is None else f"; of the {measured.kept:,} kept among them {measured.kept_right:.3f}"
    )
    sentences.append(
        f"By gold labels {measured.right:.3f} of {counted(measured.labels, 'sample')} {verb(measured.labels, 'is')} "
        f"right{kept}; selection reads no gold."
    )
    return sentences


def say_fitted(fitted: Fitted) -> str:
    """What a fitted temperature does."""
    bound = " (the end of its range: the confidences tell almost nothing, or all)" if fitted.at_bound else ""
    return (
        f"Temperature {fitted.temperature:g}{bound}, fitted by likelihood on {counted(fitted.n, 'sample')} of "
        f"{counted(fitted.queries, 'query')} with a gold label: calibration error {fitted.before:.3f} before, "
        f"{fitted.after:.3f} after (each tenth of the queries with the temperature of the others). Ranks stay as they "
        "are; what passes a threshold changes."
    )
