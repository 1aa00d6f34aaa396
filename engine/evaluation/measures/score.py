"""Score: the share of answers that are right, or that agree with the teachers, with Wilson's interval."""

from __future__ import annotations

from collections.abc import Sequence

from engine.evaluation.measures.base import MEASURES, Measure
from engine.values import EvalItem
from engine.values.report import SCORE, Value


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Wilson's 95% interval of a proportion (Wilson 1927), by scipy; all of [0, 1] where nothing was counted."""
    from scipy.stats import binomtest  # noqa: PLC0415 - only where a report is made

    if n == 0:
        return 0.0, 1.0
    interval = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    return max(0.0, float(interval.low)), min(1.0, float(interval.high))


def of(items: Sequence[EvalItem]) -> Value:
    """The share of right answers."""
    hits = sum(bool(item.correct) for item in items)
    return Value(hits / len(items), len(items), *wilson(hits, len(items)))


def show(value: Value) -> str:
    """The share and its interval."""
    low, high = value.low or 0.0, 1.0 if value.high is None else value.high
    return f"{value.value:.2f} [{low:.2f}, {high:.2f}]"


MEASURES.add(SCORE, Measure("score", "Share of right answers, or of those that agree with the teachers.", of, show))
