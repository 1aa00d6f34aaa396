"""Cost: what a provider billed for a thousand such answers, in US dollars."""

from __future__ import annotations

from collections.abc import Sequence

from engine.evaluation.measures.base import MEASURES, Measure, mean
from engine.values import EvalItem
from engine.values.report import COST, Value


def of(items: Sequence[EvalItem]) -> Value | None:
    """The mean times a thousand; None where what one of them cost is not known."""
    known = [item.cost for item in items if item.cost is not None]
    return Value(1000 * mean(known), len(known)) if len(known) == len(items) else None


def show(value: Value) -> str:
    """In US dollars."""
    return f"${value.value:.4f}"


MEASURES.add(COST, Measure("cost", "US dollars billed for a thousand answers.", of, show))
