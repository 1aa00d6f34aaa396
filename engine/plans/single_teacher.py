"""TwT with one teacher, an ablation of the paper (arXiv 2503.24198, Table 6).

The paper does not say what its selection is with one teacher, which has no pair: here all that the teacher said stays.
Which one is a setting of the rule; by default the first by name.
"""

from __future__ import annotations

from engine.plans import twt
from engine.plans.order import PlanSettings
from engine.plans.registry import PLANS, PlanKind
from engine.plans.steps import Plan
from engine.selection.rules.one_teacher import OneTeacher
from engine.selection.settings import SelectionConfig

_NAME = "single-teacher"


def make(settings: PlanSettings) -> Plan:
    """The plan of an order."""
    selection = SelectionConfig(rules=(OneTeacher(),))
    return twt.make(settings).model_copy(update={"name": _NAME, "selection": selection})


PLANS.add(
    _NAME, PlanKind("TwT with one teacher", "TwT on all samples of one teacher (Table 6).", make, compresses=True)
)
