"""Distilling Step-by-Step (Hsieh et al. 2023, arXiv 2305.02301): label and rationale as two prefixed tasks.

Scored with the label's prefix, and apart with the rationale's: the paper's 129 to 397 tokens are those of the latter.
"""

from __future__ import annotations

from engine.datasets.two_tasks import EXPLAIN, PREDICT
from engine.losses.half_and_half import HALF_AND_HALF
from engine.plans.one_stage import one_stage_plan
from engine.plans.order import PlanSettings
from engine.plans.registry import PLANS, PlanKind
from engine.plans.steps import Evaluate, Plan

_PLAN, _NAME = "distilling-step-by-step", "step-by-step"


def make(settings: PlanSettings) -> Plan:
    """The plan of an order, alpha .5. Raises as `one_stage_plan`."""
    scored = (
        Evaluate(name=f"evaluate-{_NAME}", start=_NAME, prompt=PREDICT),
        Evaluate(name=f"evaluate-{_NAME}-{EXPLAIN}", start=_NAME, prompt=EXPLAIN, alias=f"{_NAME}-{EXPLAIN}"),
    )
    return one_stage_plan(_PLAN, "two-tasks", settings, *scored, loss=HALF_AND_HALF)


PLANS.add(
    _PLAN,
    PlanKind(
        "Distilling Step-by-Step",
        "Label and rationale as two tasks.",
        make,
        systems={_NAME: "Step-by-Step", f"{_NAME}-{EXPLAIN}": "Step-by-Step, explaining"},
    ),
)
