"""How right confidences are where gold labels exist, and a temperature fitted to them.

For reports: nothing that selects calls this; a temperature counts where a person orders it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.usecases.selection.selections import Held, SelectService
from app.usecases.workspace.context import Context
from engine.errors import StateError
from engine.evaluation.report import auroc
from engine.selection.calibration import (
    BINS,
    COLDEST,
    HOTTEST,
    LEAST_GOLDS,
    fit_temperature,
    measure_calibration,
    temper,
)
from engine.selection.select import weigh
from engine.selection.settings import NONE, SelectionConfig
from engine.tasks import get_task
from engine.values import Split, hash_id
from engine.wording import counted, verb
from storage.projects import Project

MOST_SCORED = 2_000
"""Queries that are scored, evenly out of all with a gold label: more would say the same, slower."""
_FOLDS = 10
_UNSCORED, _WRONG, _RIGHT = -1, 0, 1


@dataclass(frozen=True)
class Measured:
    """How confidences compare with gold labels, on `n` samples of `queries` queries out of `of` that have one.

    `error` is the expected calibration error in ten bins of equal width, `auroc` the chance that a right sample has the
    greater confidence; both None where no confidence is known or all are right or wrong. `right` is the share of right
    labels among all `labels` scored, `kept_right` among the `kept` ones of them. `bins` is a table, a filled bin a row.
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
        held, chosen = self.select.choose(project_name, config)
        verdict = self._verdict(project, held)
        scored = verdict != _UNSCORED
        if not scored.any():
            return None
        confidence, right, kept = chosen.confidence[scored], verdict[scored] == _RIGHT, chosen.kept[scored]
        known = ~np.isnan(confidence)
        found = measure_calibration(confidence, right)
        return Measured(
            error=found.error,
            auroc=auroc(confidence[known].tolist(), right[known].tolist()),
            n=found.n,
            queries=len(np.unique(held.arrays.query[scored][known])),
            of=len(set(held.arrays.query_ids) & golds.keys()),
            labels=int(scored.sum()),
            right=float(right.mean()),
            kept=int(kept.sum()),
            kept_right=float(right[kept].mean()) if kept.any() else None,
            bins=[
                {
                    "from": place / BINS,
                    "to": (place + 1) / BINS,
                    "samples": int(found.size[place]),
                    "confidence": float(found.confidence[place]),
                    "right": float(found.right[place]),
                }
                for place in np.flatnonzero(found.size)
            ],
        )

    def count_golds(self, project_name: str) -> int:
        """How many queries have both samples to distill from and a gold label."""
        return self.context.queries.count_golds(self.context.projects.get(project_name).id)

    def fit(self, project_name: str, config: SelectionConfig) -> Fitted:
        """The temperature of the greatest likelihood for these settings; nothing is stored or decided by it.

        Raises:
            StateError: if fewer than 50 queries have a gold label and a confidence.
        """
        project = self.context.projects.get(project_name)
        held, chosen = self.select.choose(project_name, config.model_copy(update={"temperature": 1.0}))
        verdict = self._verdict(project, held)
        used = (verdict != _UNSCORED) & ~np.isnan(chosen.confidence)
        names, group = np.unique(held.arrays.query[used], return_inverse=True)
        if len(names) < LEAST_GOLDS:
            raise StateError(
                f"{counted(len(names), 'query')} {verb(len(names), 'has')} a gold label and a confidence; a "
                f"temperature needs {LEAST_GOLDS}. "
                "Nothing was changed."
            )
        confidence, right = chosen.confidence[used], verdict[used] == _RIGHT
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
        held = self.select.hold(project_name, NONE.config)
        confidence, _ = weigh(held.arrays.factors, factors, dict.fromkeys(factors, 1.0))
        verdict = self._verdict(project, held)
        used = (verdict != _UNSCORED) & ~np.isnan(confidence)
        found = {}
        for code, teacher in enumerate(sorted(set(held.arrays.teachers))):
            own = used & (held.arrays.teacher == code)
            if own.any():
                found[teacher] = auroc(confidence[own].tolist(), (verdict[own] == _RIGHT).tolist())
        return found

    def _golds(self, project: Project) -> tuple[Mapping[str, str], str]:
        """Gold labels by query id, and their mark, read once between two writes."""

        def read() -> tuple[Mapping[str, str], str]:
            golds = self.context.queries.golds(project.id)
            return golds, hash_id("golds", sorted(golds.items()))

        return self.context.db.once(f"golds {project.id}", read)

    def _verdict(self, project: Project, held: Held) -> NDArray[np.int8]:
        """Whether each sample's label is right, (N,): 1, 0, or -1 where that is not known."""
        golds, mark = self._golds(project)
        key = f"{project.id} {held.state} {mark}"
        found = self._verdicts.get(key)
        if found is None:
            found = self._verify(project, held, golds)
            self._verdicts.clear()
            self._verdicts[key] = found
        return found

    def _verify(self, project: Project, held: Held, golds: Mapping[str, str]) -> NDArray[np.int8]:
        arrays, task = held.arrays, get_task(project.config.task)
        known = sorted(set(arrays.query_ids) & golds.keys())
        chosen = {known[place] for place in np.linspace(0, len(known) - 1, min(MOST_SCORED, len(known))).astype(int)}
        queries = {q.id: q for q in self.context.queries.get(project.id, Split.DISTILL) if q.id in chosen}
        labels = self.context.samples.labels(project.id)
        found: dict[tuple[str, str], int] = {}
        verdict = np.full(len(arrays.ids), _UNSCORED, dtype=np.int8)
        for place, (query_id, label) in enumerate(zip(arrays.query_ids, labels, strict=True)):
            if query_id in queries:
                case = (query_id, label)
                if case not in found:
                    gold = golds[query_id]
                    right = label.strip() == gold.strip() or task.verify(queries[query_id], label, gold)
                    found[case] = _RIGHT if right else _WRONG
                verdict[place] = found[case]
        return verdict


def say_measured(found: Measured) -> list[str]:
    """What the comparison with gold labels shows, in a sentence or two; gold decides nothing."""
    part = f" ({MOST_SCORED:,} of {found.of:,} queries scored)" if found.of > MOST_SCORED else ""
    told = []
    if found.error is not None:
        ranks = "" if found.auroc is None else f", AUROC {found.auroc:.3f}"
        told.append(
            f"Calibration error {found.error:.3f}{ranks} (expected calibration error in {BINS} bins of equal width, "
            f"n = {counted(found.n, 'sample')} of {counted(found.queries, 'query')} with a gold label{part})."
        )
    kept = "" if found.kept_right is None else f"; of the {found.kept:,} kept among them {found.kept_right:.3f}"
    told.append(
        f"By gold labels {found.right:.3f} of {counted(found.labels, 'sample')} {verb(found.labels, 'is')} "
        f"right{kept}; selection reads no gold."
    )
    return told


def say_fitted(found: Fitted) -> str:
    """What a fitted temperature does."""
    bound = " (the end of its range: the confidences tell almost nothing, or all)" if found.at_bound else ""
    return (
        f"Temperature {found.temperature:g}{bound}, fitted by likelihood on {counted(found.n, 'sample')} of "
        f"{counted(found.queries, 'query')} with a gold label: calibration error {found.before:.3f} before, "
        f"{found.after:.3f} after (each tenth of the queries with the temperature of the others). Ranks stay as they "
        "are; what passes a threshold changes."
    )
