"""Output tokens, in the student's tokenizer: the mean, and what 95% of the answers do not pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.evaluation.measures.base import MEASURES, Measure
from engine.values import EvalItem
from engine.values.report import TOKENS, TOKENS_P95, Value


def mean_of(items: Sequence[EvalItem]) -> Value:
    """Mean tokens."""
    return Value(float(np.mean([item.tokens for item in items])), len(items))


def p95_of(items: Sequence[EvalItem]) -> Value:
    """The 95th percentile, between two answers where it lies there."""
    return Value(float(np.percentile([float(item.tokens) for item in items], 95)), len(items))


MEASURES.add(TOKENS, Measure("tokens", "Mean output tokens.", mean_of, lambda value: f"{value.value:.1f}"))
MEASURES.add(TOKENS_P95, Measure("tokens, p95", "95% have no more tokens.", p95_of, lambda value: f"{value.value:.0f}"))
