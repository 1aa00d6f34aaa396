"""Seconds: the mean time that an answer took on its device, of those that were measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.evaluation.measures.base import MEASURES, Measure
from engine.values import EvalItem
from engine.values.report import SECONDS, Value


def of(items: Sequence[EvalItem]) -> Value | None:
    """Mean seconds; None where no answer was measured."""
    known = [item.latency_s for item in items if item.latency_s is not None]
    return Value(float(np.mean(known)), len(known)) if known else None


MEASURES.add(SECONDS, Measure("seconds", "Mean seconds an answer.", of, lambda value: f"{value.value:.2f}"))
