"""Which steps make a student. TwT, its baselines and ablations are different plans over the same training."""

from engine.plans.registry import PLANS, PlanKind, make_plan
from engine.plans.steps import Answer, AnyStep, Compress, Evaluate, NamedStep, Plan, Review, Role, Step, Train
from engine.registry import import_variants

__all__ = [
    "PLANS",
    "Answer",
    "AnyStep",
    "Compress",
    "Evaluate",
    "NamedStep",
    "Plan",
    "PlanKind",
    "Review",
    "Role",
    "Step",
    "Train",
    "make_plan",
]

import_variants(__name__, __path__)
