"""Answer first with other queries' rationales: the control of answer-first (Wadhwa et al. 2024, arXiv 2406.14511)."""

from __future__ import annotations

from engine.plans.answer_first import answer_first_plan
from engine.plans.order import PlanSettings
from engine.plans.registry import PLANS, PlanKind
from engine.plans.steps import Plan

_NAME = "shuffled"


def make(settings: PlanSettings) -> Plan:
    """The plan of an order: the settings are those of its first stage."""
    return answer_first_plan(_NAME, settings)


PLANS.add(
    _NAME,
    PlanKind(
        "Answer first, shuffled",
        "Answer first with other queries' rationales: its control.",
        make,
        systems={_NAME: "Answer first, shuffled"},
    ),
)
