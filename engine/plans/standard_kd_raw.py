"""Standard KD on the labels of all samples, selected or not: what selection adds to it is the difference."""

from __future__ import annotations

from engine.plans import standard_kd
from engine.plans.order import PlanSettings
from engine.plans.registry import PLANS, PlanKind
from engine.plans.steps import Plan
from engine.selection.settings import NONE

_NAME = "standard-kd-raw"


def make(settings: PlanSettings) -> Plan:
    """The plan of an order."""
    return standard_kd.make(settings).model_copy(update={"name": _NAME, "selection": NONE.config})


PLANS.add(_NAME, PlanKind("Standard KD, all labels", "The labels of all teachers, unselected.", make))
