"""Reasoning and answers only in every batch, by a control word; scored with either word."""

from __future__ import annotations

from engine.datasets.mixed import DIRECT, REASON
from engine.plans.one_stage import one_stage_plan
from engine.plans.order import PlanSettings
from engine.plans.registry import PLANS, PlanKind
from engine.plans.steps import Evaluate, Plan

_NAME = "mixed"


def make(settings: PlanSettings) -> Plan:
    """The plan of an order."""
    scored = (
        Evaluate(name=f"evaluate-{_NAME}", start=_NAME, prompt=DIRECT),
        Evaluate(name=f"evaluate-{_NAME}-{REASON}", start=_NAME, prompt=REASON, alias=f"{_NAME}-{REASON}"),
    )
    return one_stage_plan(_NAME, "mixed", settings, *scored)


PLANS.add(
    _NAME,
    PlanKind(
        "Mixed",
        "Reasoning and answers in every batch, by a control word.",
        make,
        systems={_NAME: "Mixed, direct", f"{_NAME}-{REASON}": "Mixed, reasoning"},
    ),
)
