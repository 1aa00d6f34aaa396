"""TinyLLM (Tian et al. 2024, arXiv 2402.04616): a task for the label, and one a teacher for its rationales.

The pseudo-label stands where the original has gold answers.
"""

from __future__ import annotations

from engine.datasets.two_tasks import PREDICT
from engine.losses.sum_of_tasks import SUM_OF_TASKS
from engine.plans.one_stage import one_stage_plan
from engine.plans.order import PlanSettings
from engine.plans.registry import PLANS, PlanKind
from engine.plans.steps import Evaluate, Plan

_NAME = "tinyllm"


def make(settings: PlanSettings) -> Plan:
    """The plan of an order, all weights 1. Raises as `one_stage_plan`."""
    scored = Evaluate(name=f"evaluate-{_NAME}", start=_NAME, prompt=PREDICT)
    return one_stage_plan(_NAME, "teacher-tasks", settings, scored, loss=SUM_OF_TASKS)


PLANS.add(
    _NAME,
    PlanKind("TinyLLM", "Label, and each teacher's rationale as a task of its own.", make, systems={_NAME: "TinyLLM"}),
)
