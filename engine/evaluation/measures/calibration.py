"""Calibration error of a student's own confidences: how far they are from the shares of right answers.

Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3, in ten bins of equal width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.evaluation.measures.base import MEASURES, Measure
from engine.evaluation.measures.confidence import Floats, estimate, show_with_interval
from engine.selection.calibration import BINS
from engine.values import EvalItem
from engine.values.report import Value


def find_error(confidence: Floats, right: Floats) -> Floats:
    """The mean distance, weighted by size, between a bin's mean confidence and its share of right answers.

    (..., N) -> (...). A bin's distance times its size is the sum of confidence minus right over it.
    """
    place = np.clip(np.floor(confidence * BINS + 1e-9).astype(np.int64), 0, BINS - 1)
    apart = confidence - right
    bins = [np.abs(np.where(place == number, apart, 0.0).sum(axis=-1)) for number in range(BINS)]
    return np.asarray(sum(bins) / confidence.shape[-1])


def of(items: Sequence[EvalItem]) -> Value | None:
    """The error over the answers with a confidence."""
    return estimate(items, find_error)


MEASURES.add(
    "calibration",
    Measure("calibration error", "How far its own confidences are from its score.", of, show_with_interval),
)
