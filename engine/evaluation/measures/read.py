"""Read: the share of answers that a label could be read from."""

from __future__ import annotations

from collections.abc import Sequence

from engine.evaluation.measures.base import MEASURES, Measure, mean
from engine.values import EvalItem
from engine.values.report import READ, Value


def of(items: Sequence[EvalItem]) -> Value:
    """The share of answers with a label."""
    return Value(mean([float(item.label is not None) for item in items]), len(items))


MEASURES.add(READ, Measure("read", "Share of answers that hold a label.", of, lambda value: f"{value.value:.0%}"))
