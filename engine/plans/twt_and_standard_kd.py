"""TwT and Standard KD in one run, so that both are scored on the same queries with equal budgets stated."""

from __future__ import annotations

from engine.plans import twt
from engine.plans.order import PlanSettings
from engine.plans.registry import PLANS, PlanKind
from engine.plans.standard_kd import with_standard_kd
from engine.plans.steps import Plan


def make(settings: PlanSettings) -> Plan:
    """The plan of an order."""
    return with_standard_kd(twt.make(settings))


PLANS.add(
    "twt+standard-kd",
    PlanKind("TwT + Standard KD baseline", "TwT, and labels alone at equal epochs and updates.", make, compresses=True),
)
