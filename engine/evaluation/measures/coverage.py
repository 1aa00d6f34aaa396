"""Risk at coverage: the share of wrong answers among those that the student is surest of.

El-Yaniv & Wiener 2010, "On the Foundations of Noise-free Selective Classification"; Geifman & El-Yaniv 2017, section 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.evaluation.measures.base import MEASURES, Measure
from engine.evaluation.measures.confidence import Floats, estimate, show_with_interval
from engine.values import EvalItem
from engine.values.report import Value

COVERAGE = 0.8
"""The share of answers that are kept, the surest."""


def find_risk(confidence: Floats, right: Floats) -> Floats:
    """The share of wrong ones among the surest answers, (..., N) -> (...).

    Of answers as sure as the last that is kept each counts by the chance to be among the kept: which ones stay is
    nobody's choice.
    """
    kept = max(1, round(COVERAGE * confidence.shape[-1]))
    bar = -np.partition(-confidence, kept - 1, axis=-1)[..., kept - 1 : kept]
    above, level, wrong = confidence > bar, confidence == bar, 1 - right
    chance = (kept - above.sum(axis=-1)) / level.sum(axis=-1)
    return np.asarray(((wrong * above).sum(axis=-1) + chance * (wrong * level).sum(axis=-1)) / kept)


def of(items: Sequence[EvalItem]) -> Value | None:
    """The risk over the answers with a confidence."""
    return estimate(items, find_risk)


_TITLE, _HELP = (
    f"wrong of its surest {COVERAGE:.0%}",
    f"Share of wrong answers among the {COVERAGE:.0%} it is surest of.",
)
MEASURES.add("risk", Measure(_TITLE, _HELP, of, show_with_interval))
