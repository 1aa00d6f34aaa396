"""What a selection comes to in numbers, and what a person is told of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.selection.arrays import REASONS, TOLERANCE, Selection, count_within
from engine.selection.factors import FACTORS
from engine.selection.settings import SelectionConfig
from engine.values import Reason
from engine.wording import counted, verb
from storage.sample_arrays import SampleArrays

_SAME_SIDE = 0.02
"""A threshold that passes less than this share of a teacher's samples, or all but this share, separates nothing."""


def count_kept(arrays: SampleArrays, chosen: Selection, config: SelectionConfig) -> dict[str, Any]:
    """The numbers of a selection.

    `alone` counts the queries that one teacher answered alone and that have no confidence for it, `differ` those whose
    only two teachers differ; `unscored` are the samples that have no confidence for another reason. `asked_apart` says
    of weighted factors that rest on evidence beside a reply what that is.
    """
    kept = chosen.kept
    numbers = np.bincount(chosen.reason)
    teachers = list(arrays.sources)
    factors = [FACTORS.get(name) for name in config.weights if name in FACTORS.names()]
    asked_apart = [f"{factor.title}: {factor.help}" for factor in factors if factor.evidence]
    per_teacher = np.bincount(arrays.teacher[kept], minlength=len(teachers))
    differ = chosen.reason == REASONS.index(Reason.TEACHERS_DIFFER)
    unscored = chosen.reason == REASONS.index(Reason.NO_CONFIDENCE)
    alone = np.zeros(len(arrays), dtype=bool)
    if config.by_agreement and unscored.any():
        alone = unscored & (count_within(arrays.groups, arrays.teacher) == 1)[arrays.query]
    return {
        "samples": len(arrays),
        "kept": int(kept.sum()),
        "queries": len(arrays.query_column),
        "queries_kept": int((np.bincount(arrays.query[kept]) > 0).sum()),
        "label_disagreements": chosen.disagreements,
        "alone": len(np.unique(arrays.query[alone])),
        "differ": len(np.unique(arrays.query[differ])),
        "unscored": int((unscored & ~alone).sum()),
        "renormalised": int(chosen.renormalised.sum()),
        "reasons": {REASONS[code].value: int(numbers[code]) for code in np.flatnonzero(numbers)},
        "kept_by_teacher": dict(zip(teachers, per_teacher.tolist(), strict=True)),
        **({"asked_apart": asked_apart} if asked_apart else {}),
        "spread": [] if config.cut is None else _spread(arrays, teachers, chosen, config.cut),
    }


def _spread(arrays: SampleArrays, teachers: list[str], chosen: Selection, threshold: float) -> list[dict[str, Any]]:
    """Where each teacher's confidences lie, and whether the threshold separates any of them from the others."""
    rows: list[dict[str, Any]] = []
    for code, teacher in enumerate(teachers):
        values = chosen.confidence[(arrays.teacher == code) & ~np.isnan(chosen.confidence)]
        if not len(values):
            continue
        low, middle, high = (round(float(q), 4) for q in np.quantile(values, (0.05, 0.5, 0.95)))
        passed = float((values >= threshold - TOLERANCE).mean())
        separates = _SAME_SIDE < passed < 1 - _SAME_SIDE
        rows.append(
            {"teacher": teacher, "p5": low, "median": middle, "p95": high, "passed": passed, "separates": separates}
        )
    return rows


def say_notices(counts: Mapping[str, Any]) -> list[str]:
    """What the numbers of a selection don't say by themselves, in a sentence each."""
    sentences = []
    if alone := counts.get("alone", 0):
        sentences.append(
            f"{_queries(alone)} answered by one teacher alone: there is nobody to agree with, so no confidence, and "
            "nothing of them is kept."
        )
    if differ := counts.get("differ", 0):
        sentences.append(
            f"{_queries(differ)} answered by two teachers that differ: nothing speaks for either label, so both are "
            "below the threshold. A third teacher would decide."
        )
    if ungraded := counts.get("reasons", {}).get(Reason.NOT_GRADED.value, 0):
        sentences.append(
            f"{ungraded:,} of {counted(counts['samples'], 'sample')} {verb(ungraded, 'has')} no grade of its own "
            "teacher, so nothing of them is kept. `tacit grade` asks for grades, or the page Label; recordings can't "
            "be asked."
        )
    if unscored := counts.get("unscored", 0):
        sentences.append(
            f"{unscored:,} of {counted(counts['samples'], 'sample')} {verb(unscored, 'has')} no confidence: "
            "less than half of the weight lies on factors that are known for them. "
            + "".join(f"{factor} " for factor in counts.get("asked_apart", ()))
            + "Agreement needs no scores of the teachers' own (Dawid-Skene needs three teachers); the preset `none`, "
            "which keeps all, needs nothing."
        )
    return sentences


def say_kept(counts: Mapping[str, Any]) -> str:
    """How much of what a selection keeps."""
    return (
        f"kept {counts['kept']:,} of {counted(counts['samples'], 'sample')}, for {counts['queries_kept']:,} of "
        f"{counted(counts['queries'], 'query')}; among what passes, the labels of "
        f"{counted(counts['label_disagreements'], 'query')} differ"
    )


def _queries(number: int) -> str:
    return f"{counted(number, 'query')} {verb(number, 'was')}"
