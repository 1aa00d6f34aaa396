"""Answer first: [x; y; r], one stage, stopped behind the answer (Wadhwa et al. 2024, arXiv 2406.14511)."""

from __future__ import annotations

from engine.plans.one_stage import one_stage_plan
from engine.plans.order import PlanSettings
from engine.plans.registry import PLANS, PlanKind
from engine.plans.steps import Evaluate, Plan

_NAME = "answer-first"


def answer_first_plan(name: str, settings: PlanSettings) -> Plan:
    """One stage on the dataset of that name, whose answers come first, scored up to the end of their line."""
    scored = Evaluate(name=f"evaluate-{name}", start=name, stops_behind_answer=True)
    return one_stage_plan(name, name, settings, scored)


def make(settings: PlanSettings) -> Plan:
    """The plan of an order."""
    return answer_first_plan(_NAME, settings)


PLANS.add(
    _NAME,
    PlanKind(
        "Answer first",
        "The rationale behind the answer; stopped there (Wadhwa et al. 2024).",
        make,
        systems={_NAME: "Answer first"},
    ),
)
