"""TwT without its second stage, an ablation of the paper (arXiv 2503.24198, Table 6): nobody compresses."""

from __future__ import annotations

from engine.plans import twt
from engine.plans.order import PlanSettings
from engine.plans.registry import PLANS, PlanKind
from engine.plans.steps import Plan

_NAME = "no-compression"


def make(settings: PlanSettings) -> Plan:
    """The plan of an order."""
    plan = twt.make(settings._replace(compressed=False, compressor=None))
    return plan.model_copy(update={"name": _NAME})


PLANS.add(_NAME, PlanKind("TwT without compression", "Full reasoning, then no reasoning (Table 6).", make))
