"""Ended: the share of answers that ended by themselves, before the limit of tokens, with Wilson's interval."""

from __future__ import annotations

from collections.abc import Sequence

from engine.evaluation.measures.base import MEASURES, Measure
from engine.evaluation.measures.confidence import show_with_interval
from engine.evaluation.measures.score import wilson
from engine.values import EvalItem
from engine.values.report import Value


def of(items: Sequence[EvalItem]) -> Value | None:
    """The share among answers of which it is known."""
    known = [item.finished for item in items if item.finished is not None]
    return Value(sum(known) / len(known), len(known), *wilson(sum(known), len(known))) if known else None


MEASURES.add("ended", Measure("ended by itself", "Share of answers that end before the limit.", of, show_with_interval))
