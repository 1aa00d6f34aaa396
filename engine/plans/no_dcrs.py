"""TwT on every sample, an ablation of the paper (arXiv 2503.24198, Table 6): nothing is selected."""

from __future__ import annotations

from engine.plans import twt
from engine.plans.order import PlanSettings
from engine.plans.registry import PLANS, PlanKind
from engine.plans.steps import Plan
from engine.selection.settings import NONE

_NAME = "no-dcrs"


def make(settings: PlanSettings) -> Plan:
    """The plan of an order."""
    return twt.make(settings).model_copy(update={"name": _NAME, "selection": NONE.config})


PLANS.add(
    _NAME, PlanKind("TwT without selection", "TwT on all samples of all teachers (Table 6).", make, compresses=True)
)
