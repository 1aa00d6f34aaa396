"""Answer first: [x; y; r], one stage, stopped behind the answer (Wadhwa et al. 2024, arXiv 2406.14511)."""

from __future__ import annotations

from engine.plans.order import PlanSettings
from engine.plans.registry import PLANS, PlanKind
from engine.plans.steps import Evaluate, Plan, Train
from engine.plans.twt import score_untrained

_NAME = "answer-first"


def answer_first_plan(name: str, dataset: str, settings: PlanSettings, shots: int = 4) -> Plan:
    """One stage on rows whose answer comes first, scored up to the end of its line."""
    steps = (
        *score_untrained(shots),
        Train(name=name, dataset=dataset, train=settings.stages[0]),
        Evaluate(name=f"evaluate-{name}", start=name, stops_behind_answer=True),
    )
    return Plan(name=name, student=settings.student, steps=steps)


def make(settings: PlanSettings) -> Plan:
    """The plan of an order: the settings are those of its first stage."""
    return answer_first_plan(_NAME, _NAME, settings)


PLANS.add(_NAME, PlanKind("Answer first", "The rationale behind the answer; stopped there (Wadhwa et al. 2024).", make))
