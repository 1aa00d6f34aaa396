"""Standard KD on the labels of one teacher, unselected: what several teachers add is the difference."""

from __future__ import annotations

from engine.plans import standard_kd
from engine.plans.order import PlanSettings
from engine.plans.registry import PLANS, PlanKind
from engine.plans.steps import Plan
from engine.selection.rules.one_teacher import OneTeacher
from engine.selection.settings import SelectionConfig

_NAME = "standard-kd-one-teacher"


def make(settings: PlanSettings) -> Plan:
    """The plan of an order."""
    selection = SelectionConfig(rules=(OneTeacher(),))
    return standard_kd.make(settings).model_copy(update={"name": _NAME, "selection": selection})


PLANS.add(_NAME, PlanKind("Standard KD, one teacher", "The labels of one teacher, unselected.", make))
