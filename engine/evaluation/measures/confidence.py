"""What a student's own log-probs say of its answers: a confidence each, and intervals of what is reckoned from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.values import EvalItem
from engine.values.report import Value

Floats = NDArray[np.float64]
Statistic = Callable[[Floats, Floats], Floats]
"""(confidences, 1 for right and 0 for wrong), both (..., N) -> (...)."""

_RESAMPLES, _AT_ONCE = 1000, 100


def read_confidences(items: Sequence[EvalItem]) -> tuple[Floats, Floats]:
    """Confidence and verdict, 1 or 0, of each answer whose log-prob is known, (N,) each.

    The confidence is exp of the mean log-prob of the tokens that hold the label: their geometric mean probability. An
    answer that states no label has none.
    """
    known = [(item.log_prob, bool(item.correct)) for item in items if item.log_prob is not None]
    table = np.array(known, dtype=np.float64).reshape(-1, 2)
    return np.exp(table[:, 0]), table[:, 1]


def estimate(items: Sequence[EvalItem], statistic: Statistic) -> Value | None:
    """A statistic of confidences, with its percentile bootstrap interval (Efron & Tibshirani 1993, chapter 13).

    Answers are drawn anew a thousand times, always the same way. The interval is widened to hold the estimate, where
    drawing biases the statistic; two answers or more have one. None where no answer has a confidence.
    """
    from scipy.stats import bootstrap  # noqa: PLC0415 - only where a report is made

    confidence, right = read_confidences(items)
    if not len(confidence):
        return None
    value = float(statistic(confidence, right))
    if len(confidence) < 2:
        return Value(value, 1)

    def drawn(one: Floats, other: Floats, axis: int = -1) -> Any:
        return statistic(np.moveaxis(one, axis, -1), np.moveaxis(other, axis, -1))

    interval = bootstrap(
        (confidence, right),
        drawn,
        n_resamples=_RESAMPLES,
        batch=_AT_ONCE,
        paired=True,
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Value(value, len(confidence), min(value, float(interval.low)), max(value, float(interval.high)))


def show_with_interval(value: Value) -> str:
    """The number and its interval."""
    return f"{value.value:.2f}" if value.low is None else f"{value.value:.2f} [{value.low:.2f}, {value.high:.2f}]"
