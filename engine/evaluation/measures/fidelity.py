"""Fidelity: for each teacher the share of answers with the label that it gave to the query, with Wilson's interval.

Stanton et al. 2021, "Does Knowledge Distillation Really Work?", section 3, call it top-1 agreement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.evaluation.measures.base import MEASURES, Measure
from engine.evaluation.measures.confidence import show_with_interval
from engine.evaluation.measures.score import wilson
from engine.values import EvalItem
from engine.values.report import Value


def of(items: Sequence[EvalItem]) -> Mapping[str, Value]:
    """By teacher, over the queries that it gave a label to."""
    votes: dict[str, list[bool]] = {}
    for item in items:
        for teacher, same in item.agrees.items():
            votes.setdefault(teacher, []).append(same)
    return {
        teacher: Value(sum(given) / len(given), len(given), *wilson(sum(given), len(given)))
        for teacher, given in sorted(votes.items())
    }


MEASURES.add("fidelity", Measure("agrees with", "Share of answers with each teacher's label.", of, show_with_interval))
