"""Reasoning and answers only in every batch, by a control word; scored with either word."""

from __future__ import annotations

from engine.datasets.mixed import DIRECT, REASON
from engine.plans.order import PlanSettings
from engine.plans.registry import PLANS, PlanKind
from engine.plans.steps import Evaluate, Plan, Train
from engine.plans.twt import score_untrained

_NAME = "mixed"


def make(settings: PlanSettings) -> Plan:
    """The plan of an order: one stage, with the settings of its first."""
    steps = (
        *score_untrained(4),
        Train(name=_NAME, dataset="mixed", train=settings.stages[0]),
        Evaluate(name=f"evaluate-{_NAME}", start=_NAME, prompt=DIRECT),
        Evaluate(name=f"evaluate-{_NAME}-{REASON}", start=_NAME, prompt=REASON, alias=f"{_NAME}-{REASON}"),
    )
    return Plan(name=_NAME, student=settings.student, steps=steps)


PLANS.add(_NAME, PlanKind("Mixed", "Reasoning and answers in every batch, by a control word.", make))
